import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lifecycle.exits import PermanentError, RetryableError
from lifecycle.spec import Feature
from lifecycle.steps import train
from lifecycle.steps.scoring import Scorer
from lifecycle.steps.tracking import Tracking
from lifecycle.steps.train import as_typed
from small_pipeline import LINEAR, Pipeline, trips

pytest_plugins = ("servers_mlflow",)

CLASSES = LINEAR.replace('trips["minutes"]', '(trips["minutes"] > 30).astype(int)').replace(
    "LinearRegression", "LogisticRegression"
)


def trained(pipeline: Pipeline, run: str = "first", **given: Any) -> dict[str, Any]:
    context = pipeline.preprocessed(run, **given)
    train.run(context)
    return context.result("train")


def runs(pipeline: Pipeline, run: str) -> list[Any]:
    registry = pipeline.tracking()
    return registry.runs(registry.experiment(), run)


def test_a_run_has_parameters_metrics_and_its_lineage(pipeline: Pipeline) -> None:
    pipeline.environ["AIRFLOW_RUN_URL"] = "http://airflow.example.com/run"
    left = trained(pipeline)
    (found,) = runs(pipeline, "first")
    assert found.info.status == "FINISHED"
    assert found.info.run_id == left["runId"]
    assert found.data.params["fit_intercept"] == "True"
    assert found.data.params["holdout_rows"] == "80"
    assert set(found.data.metrics) == {"mae", "rmse", "r2", "onnx_difference", "train_seconds"}
    assert 0.5 < found.data.metrics["mae"] < 1
    context = pipeline.context("first")
    assert found.data.tags["lifecycle.batch_sha256"] == context.result("preprocess")["inputs"]["sha256"]
    assert found.data.tags["lifecycle.spec_sha256"] == context.spec.sha256
    assert found.data.tags["lifecycle.airflow_run"] == "http://airflow.example.com/run"
    assert "lifecycle.parent_version" not in found.data.tags


def test_the_files_for_serving_are_artifacts_of_the_run(pipeline: Pipeline, tmp_path: Path) -> None:
    left = trained(pipeline)
    files = pipeline.tracking().fetch(left["runId"], "serving", tmp_path)
    assert sorted(files) == ["baseline.json", "config.json", "golden.json", "model.onnx"]
    golden, config = json.loads(files["golden.json"]), json.loads(files["config.json"])
    assert (config["inputs"], config["outputs"], config["maxBatchSize"]) == (2, 1, 16)
    assert len(golden["inputs"]) == 32
    predicted = Scorer(files["model.onnx"]).predict(np.asarray(golden["inputs"], np.float32))
    assert np.allclose(predicted, golden["outputs"], rtol=1e-4, atol=1e-4)
    assert [each["name"] for each in json.loads(files["baseline.json"])["features"]] == ["distance", "hour"]


def test_golden_rows_hold_the_extremes(pipeline: Pipeline, tmp_path: Path) -> None:
    left = trained(pipeline)
    golden = json.loads(pipeline.tracking().fetch(left["runId"], "serving", tmp_path)["golden.json"])
    holdout = trips("2024-01").iloc[320:]
    distances = [row[0] for row in golden["inputs"]]
    assert max(distances) == pytest.approx(holdout["distance"].max())
    assert min(distances) == pytest.approx(holdout["distance"].min())


def test_every_client_of_mlflow_can_load_the_model(pipeline: Pipeline) -> None:
    import mlflow

    left = trained(pipeline)
    loaded = mlflow.onnx.load_model(f"models:/{left['modelId']}")
    signature = mlflow.models.get_model_info(f"models:/{left['modelId']}").signature
    assert loaded.graph.input[0].name == "features"
    assert signature.inputs.inputs[0].shape == (-1, 2)


def test_a_classification_is_judged_by_its_probabilities(pipelines: Callable[..., Pipeline]) -> None:
    pipeline = pipelines(
        registry__gate={"metric": "log_loss", "better": "lower", "margin": 0.01},
        collection__schema__target={"name": "minutes", "type": "int"},
    )
    left = trained(pipeline, code=CLASSES)
    assert {"accuracy", "log_loss", "f1"} < set(left["metrics"])
    assert left["metrics"]["accuracy"] > 0.9


def test_a_finished_run_with_the_same_inputs_is_not_trained_again(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    context = pipeline.preprocessed("first")
    train.run(context)
    before = context.result("train")
    context.data.delete([context.key("train.json")])
    train.run(context)
    assert context.result("train") == before
    assert len(runs(pipeline, "first")) == 1
    assert "found: trained before" in capsys.readouterr().out


def test_other_code_is_trained_again(pipeline: Pipeline) -> None:
    first = trained(pipeline)
    second = trained(pipeline, code=LINEAR + "\n# changed\n")
    assert first["runId"] != second["runId"]


def test_unfinished_mlflow_runs_are_marked_killed(pipeline: Pipeline) -> None:
    registry = pipeline.tracking()
    left = registry.start(registry.experiment(), "first", {"lifecycle.run": "first"})
    trained(pipeline)
    assert sorted(each.info.status for each in runs(pipeline, "first")) == ["FINISHED", "KILLED"]
    assert registry.run(left).info.status == "KILLED"


def test_an_error_in_model_py_stops_with_its_line(pipeline: Pipeline) -> None:
    with pytest.raises(PermanentError, match=r"train in .* failed: ZeroDivisionError: .* \(line 8\)"):
        trained(
            pipeline, code=LINEAR.replace("return LinearRegression()", "1 / 0; return LinearRegression()")
        )
    (found,) = runs(pipeline, "first")
    assert found.info.status == "FAILED"
    assert "ZeroDivisionError" in found.data.tags["lifecycle.stopped"]


def test_an_unknown_metric_stops_and_the_known_ones_are_named(pipelines: Callable[..., Pipeline]) -> None:
    pipeline = pipelines(registry__gate={"metric": "auc", "better": "higher", "margin": 0.01})
    with pytest.raises(PermanentError, match=r"judges by 'auc', and what can be measured .* mae, rmse, r2"):
        trained(pipeline)


def test_metrics_that_are_no_numbers_stop() -> None:
    with pytest.raises(PermanentError, match="cannot be judged: on the holdout mae=nan"):
        train._judgeable({"mae": float("nan"), "r2": 1.0}, "mae")


def test_a_table_that_changed_since_stops(pipeline: Pipeline) -> None:
    context = pipeline.preprocessed("first")
    context.data.put(context.key("holdout.parquet"), b"other bytes")
    with pytest.raises(PermanentError, match="is not what preprocess left"):
        train.run(context)
    context.data.delete([context.key("holdout.parquet")])
    with pytest.raises(PermanentError, match="is gone: run 'preprocess' again"):
        train.run(context)


def test_the_page_of_the_run_is_printed(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.environ["MLFLOW_PAGE_URL"] = "https://mlflow.example.com/"
    left = trained(pipeline)
    assert "https://mlflow.example.com/#/experiments/" in capsys.readouterr().out
    assert left["runId"]


def test_parameters_are_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    class Many:
        def get_params(self, deep: bool) -> dict[str, Any]:
            return {f"p{number:04d}": "x" * 1000 for number in range(500)} | {"inner": Many(), "list": [1]}

    found = train._parameters(Many())
    assert len(found) == 200
    assert {len(value) for value in found.values()} == {500}
    assert "logged are the first 200 of 500" in capsys.readouterr().out
    assert train._parameters(object()) == {}


def test_columns_have_the_types_of_the_schema() -> None:
    rows = trips("2024-01").astype({"distance": "float32", "hour": "float32"})
    typed = as_typed(rows, [Feature("distance", "float"), Feature("hour", "int")])
    assert typed.dtypes.astype(str).to_dict() == {"distance": "float64", "hour": "int64"}


def test_an_unreachable_mlflow_is_a_retryable_error(pipeline: Pipeline) -> None:
    context = pipeline.context("first")
    with pytest.raises(RetryableError, match=r"MLflow at http://127\.0\.0\.1:9 does not answer"):
        Tracking(context.spec, {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, patience=0.6)


def test_a_missing_address_of_mlflow_stops(pipeline: Pipeline) -> None:
    with pytest.raises(PermanentError, match="must be MLflow's address"):
        Tracking(pipeline.context("first").spec, {})


def test_a_deleted_experiment_stops_with_the_way_to_restore_it(pipeline: Pipeline) -> None:
    registry = pipeline.tracking()
    registry._client.delete_experiment(registry.experiment())
    with pytest.raises(PermanentError, match="mlflow experiments restore -x"):
        trained(pipeline)


def test_refusals_of_mlflow_are_permanent_and_failures_are_retryable(pipeline: Pipeline) -> None:
    registry = pipeline.tracking()
    with pytest.raises(PermanentError, match="refuses: INVALID_PARAMETER_VALUE"):
        registry.runs(registry.experiment(), "it's")
    with pytest.raises(PermanentError, match="knows no run 0123"):
        registry.run("0123")
    away = pipeline.tracking()
    away._client = type(registry._client)(
        tracking_uri="http://127.0.0.1:9", registry_uri="http://127.0.0.1:9"
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(RetryableError, match="does not answer as it should"):
            away.experiment()


def test_artifacts_that_the_store_refuses_are_a_retryable_error(pipeline: Pipeline, tmp_path: Path) -> None:
    registry = pipeline.tracking()
    experiment = registry._client.create_experiment(pipeline.name, "s3://no-such-bucket/artifacts")
    run_id = registry.start(experiment, "first", {})
    (tmp_path / "file").write_text("x")
    with pytest.raises(RetryableError, match="does not take or give MLflow's artifacts"):
        registry.log_file(run_id, tmp_path / "file", "serving")


def test_a_run_without_its_inputs_stops(pipeline: Pipeline) -> None:
    with pytest.raises(PermanentError, match=r"has no preprocess\.json"):
        train.run(replace(pipeline.context("first"), run="none"))
