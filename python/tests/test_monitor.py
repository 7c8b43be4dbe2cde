import json
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

with warnings.catch_warnings():
    # Importing Evidently gives warnings about invalid escape sequences in its docstrings.
    warnings.simplefilter("ignore")
    from lifecycle.steps import drift_report, monitor
from lifecycle.exits import PermanentError
from lifecycle.payloads import WRITTEN
from small_pipeline import LINEAR, Pipeline, collect, trips

pytest_plugins = ("servers_mlflow",)


def reports(pipeline: Pipeline) -> list[str]:
    registry = pipeline.tracking()
    champion = registry.by_alias("champion")
    assert champion is not None
    return [each.path for each in registry._client.list_artifacts(champion.run_id, "reports")]


def test_before_anything_serves_there_is_nothing_to_watch(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    monitor.run(pipeline.context("watch"))
    assert "nothing serves yet" in capsys.readouterr().out


def test_old_payloads_are_deleted_even_if_the_model_cannot_be_measured(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pipeline.context("watch").data
    now = datetime.now(UTC)
    for days in (2, 4):
        data.put(f"payloads/1/{now - timedelta(days=days):{WRITTEN}}-a.jsonl", payload("x", [1.0, 1.0]))
    pipeline.changes["serving.payloadRetention"] = "3d"
    monitor.run(pipeline.context("watch"))
    output = capsys.readouterr().out
    assert "deleted 1 objects of sampled requests that were older than 3d" in output
    assert "nothing serves yet" in output
    assert len(data.list("payloads/")) == 1


def test_without_newer_labels_it_says_so(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    context = pipeline.until("deploy", "first")
    monitor.run(pipeline.context("watch"))
    output = capsys.readouterr().out
    assert "no labels yet that are newer than version 1's batch 2024-01" in output
    assert "no report" in output
    assert context.models.get_json("status/error.json") is None


def test_the_error_is_that_of_the_newest_batch(pipeline: Pipeline) -> None:
    context = pipeline.until("deploy", "first")
    for batch, noise in (("2024-02", 1.0), ("2024-03", 5.0)):
        collect(pipeline.context("later", batch=batch), trips(batch, noise=noise))
    monitor.run(pipeline.context("watch"))
    found = context.models.get_json("status/error.json")
    assert found is not None
    assert (found["version"], found["metric"], found["rows"]) == (1, "mae", 400)
    assert 3 < found["value"] < 5
    (report,) = reports(pipeline)
    assert report.startswith("reports/drift-batch-")


def payload(request: str, *rows: list[float | None], answers: list[float] | None = None) -> bytes:
    predictions = [[value] for value in answers or [0.0] * len(rows)]
    line = {"time": 1.0, "requestId": request, "features": list(rows), "predictions": predictions}
    return (json.dumps(line) + "\n").encode()


def test_sampled_requests_are_joined_with_their_labels(
    pipelines: Callable[..., Pipeline], capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = pipelines(serving__payloads=True, collection__schema__requestId="request")
    context = pipeline.until("deploy", "first")
    later = trips("2024-02")
    collect(pipeline.context("later", batch="2024-02"), later)
    lines = [payload(f"2024-02-{row}", [5.0, 1.0], answers=[later["minutes"][row] + 2]) for row in range(20)]
    lines += [
        payload("2024-02-30", [5.0, 1.0], [6.0, 1.0]),
        payload("2024-02-31", [None, 1.0]),
        payload("x", [1.0, 1.0]),
    ]
    context.data.put(f"payloads/1/{datetime.now(UTC):{WRITTEN}}-a.jsonl", b"".join(lines))
    monitor.run(pipeline.context("watch"))
    found = context.models.get_json("status/error.json")
    assert found is not None
    assert found["rows"] == 20
    assert found["value"] == pytest.approx(2, rel=1e-4)
    assert "of 22 sampled requests those with a label by their id" in capsys.readouterr().out
    (report,) = reports(pipeline)
    assert report.startswith("reports/drift-requests-")


def test_without_labelled_requests_the_whole_batch_is_measured(
    pipelines: Callable[..., Pipeline], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "MOST_ROWS", 1)
    pipeline = pipelines(serving__payloads=True, collection__schema__requestId="request")
    context = pipeline.until("deploy", "first")
    collect(pipeline.context("later", batch="2024-02"), trips("2024-02"))
    for name in ("a", "b"):
        context.data.put(f"payloads/1/{name}.jsonl", payload("nobody", [5.0, 1.0]) * 100)
    monitor.run(pipeline.context("watch"))
    output = capsys.readouterr().out
    assert "none of 1 sampled requests has a label" in output
    assert "on 400 rows: all rows of batch 2024-02" in output


def test_a_report_is_bounded(pipeline: Pipeline) -> None:
    rows = trips("2024-01", rows=6000)[["distance", "hour"]]
    page = drift_report.html(rows, rows[:300])
    assert "<html" in page
    assert len(page) < 8_000_000


def test_a_schema_that_the_champion_does_not_know_stops(pipeline: Pipeline) -> None:
    pipeline.until("deploy", "first")
    pipeline.changes["collection.schema.features"] = [{"name": "distance", "type": "float"}]
    with pytest.raises(PermanentError, match="version 1 takes distance, hour, the schema now has distance"):
        monitor.run(pipeline.context("watch", code=LINEAR))


def test_a_champion_that_cannot_be_read_stops(pipeline: Pipeline) -> None:
    context = pipeline.until("deploy", "first")
    context.models.put("versions/1/model.onnx", b"")
    with pytest.raises(PermanentError, match="the champion, version 1, cannot be read"):
        monitor.run(pipeline.context("watch"))


def test_training_rows_that_are_gone_stop_the_report_but_not_the_error(pipeline: Pipeline) -> None:
    context = pipeline.until("deploy", "first")
    collect(pipeline.context("later", batch="2024-02"), trips("2024-02"))
    context.data.delete([context.key("train.parquet")])
    with pytest.raises(PermanentError, match=r"runs/first/train\.parquet is gone"):
        monitor.run(pipeline.context("watch"))
    assert context.models.get_json("status/error.json") is not None


def test_a_metric_that_is_no_number_stops(pipelines: Callable[..., Pipeline]) -> None:
    pipeline = pipelines()
    pipeline.until("deploy", "first")
    collect(pipeline.context("later", batch="2024-02"), trips("2024-02"))
    pipeline.changes["registry.gate.metric"] = "accuracy"
    with pytest.raises(PermanentError, match="accuracy of version 1 on batch 2024-02 is nan"):
        monitor.run(pipeline.context("watch"))
