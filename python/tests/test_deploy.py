from collections.abc import Callable
from dataclasses import replace

import pytest

from lifecycle.exits import GateRejected, PermanentError, RetryableError
from lifecycle.model_repository import Pointer, read_pointer, write_pointer
from lifecycle.sidecar.reconciler import GOLDEN
from lifecycle.steps import deploy, gate, register, train
from lifecycle.steps.context import Context
from small_pipeline import MEAN, Pipeline

pytest_plugins = ("servers_mlflow",)


def promoted(pipeline: Pipeline, run: str, **given: str) -> Context:
    return pipeline.until("gate", run, **given)


def noisy(pipeline: Pipeline) -> Context:
    """Promote a first version that is worse than later ones."""
    return promoted(pipeline, "worse", code=MEAN)


def test_the_first_version_serves_and_is_champion(pipeline: Pipeline) -> None:
    context = promoted(pipeline, "first")
    deploy.run(context)
    pointer = read_pointer(context.models)
    assert pointer is not None
    assert (pointer.version, pointer.previous, pointer.by) == (1, None, "run first")
    assert (pipeline.alias("champion"), pipeline.alias("previous"), pipeline.alias("challenger")) == (
        1,
        None,
        None,
    )
    assert context.result("deploy")["replicas"] == 1


def test_golden_questions_are_no_traffic_and_fit_the_batch_size(pipeline: Pipeline) -> None:
    deploy.run(promoted(pipeline, "first"))
    assert len(pipeline.triton.questions) == 2 * deploy.REPEATS
    assert all(each["id"].startswith(GOLDEN) for each in pipeline.triton.questions)
    assert all(each["inputs"][0]["shape"][0] <= 16 for each in pipeline.triton.questions)


def test_a_better_version_follows_and_the_one_before_is_kept(pipeline: Pipeline) -> None:
    deploy.run(noisy(pipeline))
    context = promoted(pipeline, "second")
    deploy.run(context)
    pointer = read_pointer(context.models)
    assert pointer is not None
    assert (pointer.version, pointer.previous) == (2, 1)
    assert (pipeline.alias("champion"), pipeline.alias("previous"), pipeline.alias("challenger")) == (
        2,
        1,
        None,
    )


def test_a_repeated_deployment_changes_nothing(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    context = promoted(pipeline, "first")
    deploy.run(context)
    before = read_pointer(context.models)
    deploy.run(context)
    assert read_pointer(context.models) == before
    assert "deployed version 1 before" in capsys.readouterr().out


def test_two_versions_are_kept_and_older_ones_deleted(
    pipelines: Callable[..., Pipeline],
) -> None:
    # With a negative margin, equally good versions are promoted.
    pipeline = pipelines(registry__gate__margin=-0.5)
    for number in range(1, 5):
        context = pipeline.until("deploy", f"run-{number}")
    folders = {key.split("/")[1] for key in context.models.list("versions/")}
    assert folders == {"3", "4"}
    assert pipeline.tracking().version(1) is not None


def test_a_version_that_a_replica_refuses_moves_the_pointer_back(pipeline: Pipeline) -> None:
    first = noisy(pipeline)
    deploy.run(first)
    before = first.models.get("pointer.json")
    context = promoted(pipeline, "second")
    pipeline.triton.refused = {2: "golden answers are wrong"}
    with pytest.raises(
        PermanentError, match=r"refused version 2: golden answers are wrong; the pointer is back on version 1"
    ):
        deploy.run(context)
    assert first.models.get("pointer.json") == before
    assert pipeline.alias("champion") == 1


def test_a_first_version_that_is_refused_leaves_no_pointer(pipeline: Pipeline) -> None:
    context = promoted(pipeline, "first")
    pipeline.triton.refused = {1: "it is corrupt"}
    with pytest.raises(PermanentError, match="the pointer is gone again: nothing served before"):
        deploy.run(context)
    assert read_pointer(context.models) is None


def test_replicas_that_do_not_follow_are_waited_for_and_then_put_back(pipeline: Pipeline) -> None:
    deploy.run(noisy(pipeline))
    context = promoted(pipeline, "second")
    pipeline.triton.stuck = 1
    slow = replace(context, environ={**context.environ, "DEPLOY_SECONDS": "0.6"})
    with pytest.raises(RetryableError, match=r"serves 1; the pointer is back on version 1"):
        deploy.run(slow)
    pipeline.triton.stuck = None
    deploy.run(context)
    assert pipeline.alias("champion") == 2


def test_no_replica_at_all_is_a_retryable_error(pipeline: Pipeline) -> None:
    context = promoted(pipeline, "first")
    nobody = {"TRITON_REPLICAS": "no-such-host.invalid:9101", "DEPLOY_SECONDS": "0"}
    with pytest.raises(RetryableError, match=r"no-such-host\.invalid:9101 has no address"):
        deploy.run(replace(context, environ={**context.environ, **nobody}))


def test_wrong_answers_through_the_service_put_the_pointer_back(pipeline: Pipeline) -> None:
    deploy.run(noisy(pipeline))
    context = promoted(pipeline, "second")
    pipeline.triton.wrong = 1.0
    with pytest.raises(PermanentError, match=r"answers wrongly through the Service: .* back on version 1"):
        deploy.run(context)


def test_answers_of_another_version_put_the_pointer_back(pipeline: Pipeline) -> None:
    context = promoted(pipeline, "first")
    pipeline.triton.fixed_answer = {"model_version": "7", "outputs": []}
    with pytest.raises(PermanentError, match="answered with version 7, not 1"):
        deploy.run(context)


def test_answers_of_another_shape_put_the_pointer_back(pipeline: Pipeline) -> None:
    context = promoted(pipeline, "first")
    output = {"name": "prediction", "data": [0.0] * 32}
    pipeline.triton.fixed_answer = {"model_version": "1", "outputs": [output]}
    with pytest.raises(PermanentError, match="answers wrongly"):
        deploy.run(context)


def test_a_service_that_refuses_the_questions_puts_the_pointer_back(pipeline: Pipeline) -> None:
    context = promoted(pipeline, "first")
    pipeline.triton.fixed_answer, pipeline.triton.status_code = {"error": "no such input"}, 400
    with pytest.raises(PermanentError, match=r"refuses the golden questions: 400 .*no such input"):
        deploy.run(context)


def test_a_golden_request_that_fails_is_repeated(pipeline: Pipeline) -> None:
    context = promoted(pipeline, "first")
    pipeline.triton.failures = 2
    deploy.run(context)
    assert pipeline.alias("champion") == 1


def test_an_unreachable_service_is_a_retryable_error(pipeline: Pipeline) -> None:
    context = promoted(pipeline, "first")
    away = {"TRITON_HTTP_URL": "127.0.0.1:9", "DEPLOY_SECONDS": "1"}
    with pytest.raises(RetryableError, match=r"127\.0\.0\.1:9/v2/models/.*does not answer"):
        deploy.run(replace(context, environ={**context.environ, **away}))
    assert read_pointer(context.models) is None


def test_a_rejected_version_is_not_deployed(pipeline: Pipeline) -> None:
    deploy.run(promoted(pipeline, "first"))
    context = pipeline.preprocessed("second", code=MEAN)
    train.run(context)
    register.run(context)
    with pytest.raises(GateRejected):
        gate.run(context)
    with pytest.raises(GateRejected, match="version 2"):
        deploy.run(context)
    assert pipeline.alias("champion") == 1


def test_an_older_decision_does_not_undo_a_newer_deployment(pipeline: Pipeline) -> None:
    context = promoted(pipeline, "first")
    write_pointer(context.models, Pointer(5, 4, None, 0.0, "run other"))
    with pytest.raises(PermanentError, match="run other put version 5 in place meanwhile"):
        deploy.run(context)
    assert read_pointer(context.models) == Pointer(5, 4, None, 0.0, "run other")


def test_what_was_rolled_back_is_not_deployed_again_by_the_same_run(pipeline: Pipeline) -> None:
    deploy.run(noisy(pipeline))
    context = promoted(pipeline, "second")
    write_pointer(context.models, Pointer(1, 2, None, 0.0, "rollback by-hand"))
    with pytest.raises(PermanentError, match="rollback by-hand put version 1 in place meanwhile"):
        deploy.run(context)


def test_a_corrupt_version_never_moves_the_pointer(pipeline: Pipeline) -> None:
    context = promoted(pipeline, "first")
    context.models.put("versions/1/model.onnx", b"half a mod")
    with pytest.raises(
        PermanentError, match=r"cannot be deployed: model.onnx has .* the pointer was not moved"
    ):
        deploy.run(context)
    assert read_pointer(context.models) is None


def test_a_pointer_that_somebody_moves_meanwhile_is_left(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = promoted(pipeline, "first")
    theirs = Pointer(9, None, None, 1.0, "run other")

    def moved(*_: object) -> int:
        write_pointer(context.models, theirs)
        raise RetryableError("too late")

    monkeypatch.setattr(deploy, "_await_replicas", moved)
    with pytest.raises(RetryableError, match="too late; the pointer was moved by run other since, and stays"):
        deploy.run(context)
    assert read_pointer(context.models) == theirs


def test_a_pointer_that_named_the_version_before_stays(pipeline: Pipeline) -> None:
    context = promoted(pipeline, "first")
    write_pointer(context.models, Pointer(1, None, None, 1.0, "run first"))
    pipeline.triton.wrong = 1.0
    with pytest.raises(PermanentError, match="the pointer stays: it named this version before"):
        deploy.run(context)


def test_aliases_need_mlflow_before_the_pointer_moves(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = promoted(pipeline, "first")

    def away(*_: object, **__: object) -> Callable[[], None]:
        raise RetryableError("MLflow is away")

    monkeypatch.setattr(deploy, "Tracking", away)
    with pytest.raises(RetryableError):
        deploy.run(context)
    assert read_pointer(context.models) is None
