from collections.abc import Callable

import pytest

from lifecycle.exits import PermanentError
from lifecycle.model_repository import Pointer, read_manifest, read_pointer, read_version, write_pointer
from lifecycle.steps import register, train
from lifecycle.steps.tracking import Tracking
from small_pipeline import LINEAR, Pipeline

pytest_plugins = ("servers_mlflow",)


def test_a_run_becomes_a_version_with_its_lineage(pipeline: Pipeline) -> None:
    context = pipeline.until("register", "first")
    (version,) = pipeline.tracking().versions("first")
    run = pipeline.tracking().run(context.result("train")["runId"])
    lineage = {name: value for name, value in run.data.tags.items() if name in version.tags}
    assert set(version.tags) >= {
        "lifecycle.run",
        "lifecycle.batch",
        "lifecycle.batch_sha256",
        "lifecycle.code_sha256",
    }
    assert version.tags == lineage
    assert version.run_id == context.result("train")["runId"]
    assert pipeline.alias("challenger") == 1
    assert sorted(read_version(context.models, 1)) == [
        "baseline.json",
        "config.json",
        "golden.json",
        "model.onnx",
    ]
    manifest = read_manifest(context.models, 1)
    assert manifest is not None
    assert (manifest["run"], manifest["batch"], manifest["runId"]) == ("first", "2024-01", version.run_id)


def test_a_later_version_names_its_parent(pipeline: Pipeline) -> None:
    pipeline.until("deploy", "first")
    pipeline.until("register", "second")
    (version,) = pipeline.tracking().versions("second")
    assert version.tags["lifecycle.parent_version"] == "1"


def test_repeated_steps_register_one_version(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    context = pipeline.until("register", "first")
    register.run(context)
    assert "found: this run registered version 1 before" in capsys.readouterr().out
    context.data.delete([context.key("register.json")])
    register.run(context)
    assert context.result("register")["version"] == 1
    assert len(pipeline.tracking().versions("first")) == 1


def test_two_that_register_at_once_leave_one_version(pipeline: Pipeline) -> None:
    context = pipeline.until("train", "first")
    found = context.result("train")
    registry = pipeline.tracking()
    for _ in range(2):
        registry.register(
            found["runId"], f"models:/{found['modelId']}", found["modelId"], {"lifecycle.run": "first"}
        )
    register.run(context)
    (left,) = registry.versions("first")
    assert int(left.version) == 1


def test_another_model_of_the_same_run_stops(pipeline: Pipeline) -> None:
    pipeline.until("register", "first")
    context = pipeline.preprocessed("first", code=LINEAR + "\n# changed\n")
    train.run(context)
    with pytest.raises(PermanentError, match="run first registered version 1 before, of another model"):
        register.run(context)


def test_artifacts_that_are_gone_stop(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    context = pipeline.until("train", "first")
    monkeypatch.setattr(Tracking, "fetch", lambda *_: {"model.onnx": b""})
    with pytest.raises(PermanentError, match=r"lack serving/baseline\.json, golden\.json, config\.json"):
        register.run(context)


def test_a_shadow_is_written_to_an_existing_pointer(pipelines: Callable[..., Pipeline]) -> None:
    pipeline = pipelines(serving__shadow=True)
    context = pipeline.until("register", "first")
    assert read_pointer(context.models) is None
    write_pointer(context.models, Pointer(7, None, None, 1.0, "tests"))
    later = pipeline.until("register", "second")
    assert read_pointer(later.models) == Pointer(7, None, 2, 1.0, "tests")
