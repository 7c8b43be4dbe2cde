from collections.abc import Callable
from dataclasses import replace

import pytest

from lifecycle.exits import PermanentError, RetryableError
from lifecycle.model_repository import read_pointer
from lifecycle.steps import rollback
from lifecycle.steps.tracking import Tracking
from small_pipeline import MEAN, Pipeline

pytest_plugins = ("servers_mlflow",)


@pytest.fixture
def twice(pipeline: Pipeline) -> Pipeline:
    pipeline.until("deploy", "first", code=MEAN)
    pipeline.until("deploy", "second")
    return pipeline


def serves(pipeline: Pipeline) -> tuple[int | None, int | None]:
    pointer = read_pointer(pipeline.context("look").models)
    return (None, None) if pointer is None else (pointer.version, pointer.previous)


def test_the_version_before_serves_again(twice: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    rollback.run(twice.context("back"))
    assert serves(twice) == (1, 2)
    assert (twice.alias("champion"), twice.alias("previous")) == (1, 2)
    assert "version 1 serves again instead of 2; one more rollback goes back to 2" in capsys.readouterr().out


def test_a_second_rollback_returns_to_the_newer_version(twice: Pipeline) -> None:
    rollback.run(twice.context("back"))
    rollback.run(twice.context("forth"))
    assert serves(twice) == (2, 1)
    assert twice.alias("champion") == 2


def test_the_same_rollback_repeated_changes_nothing(
    twice: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    context = twice.context("back")
    rollback.run(context)
    rollback.run(context)
    context.data.delete([context.key("rollback.json")])
    rollback.run(context)
    assert serves(twice) == (1, 2)
    assert "this run went back from version 2 to 1 before" in capsys.readouterr().out


def test_if_mlflow_fails_after_the_pointer_moved_the_next_rollback_moves_the_aliases(
    twice: Pipeline, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise RetryableError("MLflow is away")

    with monkeypatch.context() as patched:
        patched.setattr(rollback, "move_aliases", away)
        with pytest.raises(
            RetryableError,
            match="version 1 serves again, but MLflow's aliases do not say so: MLflow is away; the same",
        ):
            rollback.run(twice.context("back"))
    assert (serves(twice), twice.alias("champion")) == ((1, 2), 2)
    rollback.run(twice.context("again"))
    assert (serves(twice), twice.alias("champion"), twice.alias("previous")) == ((1, 2), 1, 2)
    assert "found: the pointer went back to version 1, the aliases have not followed yet" in (
        capsys.readouterr().out
    )
    rollback.run(twice.context("forth"))
    assert (serves(twice), twice.alias("champion")) == ((2, 1), 2)


def test_an_unreachable_mlflow_changes_nothing(twice: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise RetryableError("MLflow is away")

    monkeypatch.setattr(Tracking, "by_alias", away)
    with pytest.raises(RetryableError, match=r"^MLflow is away$"):
        rollback.run(twice.context("back"))
    assert serves(twice) == (2, 1)


def test_without_a_version_before_it_says_so(pipeline: Pipeline) -> None:
    with pytest.raises(PermanentError, match="has no version that serves"):
        rollback.run(pipeline.context("back"))
    pipeline.until("deploy", "first")
    with pytest.raises(
        PermanentError, match="version 1 is the first that serves: there is none to go back to"
    ):
        rollback.run(pipeline.context("back"))


def test_a_version_that_answers_wrongly_is_not_gone_back_to(twice: Pipeline) -> None:
    twice.triton.wrong = 1.0
    with pytest.raises(PermanentError, match="the pointer is back on version 2"):
        rollback.run(twice.context("back"))
    assert serves(twice) == (2, 1)
    assert twice.alias("champion") == 2


def test_a_version_whose_files_are_gone_is_not_gone_back_to(twice: Pipeline) -> None:
    context = twice.context("back")
    context.models.delete(["versions/1/manifest.json"])
    with pytest.raises(PermanentError, match="version 1 cannot be deployed"):
        rollback.run(context)


def test_a_version_that_mlflow_lost_gets_no_alias(twice: Pipeline) -> None:
    twice.tracking().unregister(2)
    rollback.run(replace(twice.context("back")))
    assert serves(twice) == (1, 2)
    assert twice.alias("champion") == 1


def test_a_deployment_and_a_rollback_take_turns(twice: Pipeline, pipelines: Callable[..., Pipeline]) -> None:
    rollback.run(twice.context("back"))
    twice.until("deploy", "third", batch="2024-02")
    assert serves(twice) == (3, 1)
