import json
import os
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from file_server import Answer, FileServer
from lifecycle.__main__ import main, safe
from lifecycle.batches import batch_of
from lifecycle.exits import GateRejected, PermanentError, RetryableError
from lifecycle.spec import PythonSource
from lifecycle.store import Store
from trip_files import MODEL, parquet, spec_json, trips

PACKAGE = Path(__file__).parent.parent


class Pipeline:
    """A small pipeline whose steps are run by their command line."""

    def __init__(self, folder: Path, server: FileServer) -> None:
        self.folder = folder
        url = f"{server.address}/{{{{ month }}}}.parquet"
        (folder / "spec.json").write_text(json.dumps(spec_json(type="http", url=url, monthsUntilPublished=1)))
        (folder / "model.py").write_text(MODEL)
        self.data = Store("data", "trips/", patience=0)

    def arguments(self, step: str, *more: str, run: str = "run-1", pipeline: str = "trips") -> list[str]:
        files = ["--spec", str(self.folder / "spec.json"), "--model", str(self.folder / "model.py")]
        return [step, "--pipeline", pipeline, "--run", run, *files, *more]

    def run(self, *arguments: str, **options: str) -> int:
        return main(self.arguments(*arguments, **options), os.environ)


@pytest.fixture
def pipeline(object_store: Any, file_server: FileServer, tmp_path: Path) -> Pipeline:
    file_server.answers["/2024-01.parquet"] = Answer(parquet(trips()))
    return Pipeline(tmp_path, file_server)


def test_steps_follow_one_another_with_the_batch_of_the_first(pipeline: Pipeline) -> None:
    assert pipeline.run("collect", "--at", "2024-03-31T23:59:59+00:00") == 0
    assert pipeline.run("preprocess", "--at", "2025-01-01") == 0
    result = pipeline.data.get_json("runs/run-1/preprocess.json")
    assert result is not None
    assert result["batch"] == "2024-01"


def test_a_step_is_a_program_whose_last_line_says_how_it_ended(
    pipeline: Pipeline, file_server: FileServer
) -> None:
    command = [sys.executable, "-m", "lifecycle", *pipeline.arguments("collect", "--batch", "2023-05")]
    ended = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, check=False)
    assert ended.returncode == 75
    last = ended.stdout.splitlines()[-1]
    assert last == f"later: not published yet, or not for us: {file_server.address}/2023-05.parquet (404)"


def test_a_repeated_run_keeps_its_batch(pipeline: Pipeline, file_server: FileServer) -> None:
    assert pipeline.run("collect", "--at", "2024-03-01T00:00:00Z") == 0
    assert pipeline.run("collect", "--at", "2024-04-01T00:00:00Z") == 0
    assert set(file_server.seen) == {"/2024-01.parquet"}


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["preprocess"], {}, "stopped: run run-1 has collected no batch: the step 'collect' comes first"),
        (["collect"], {"pipeline": "others"}, "is the pipeline 'trips', not 'others'"),
        (["collect", "--at", "noon"], {}, "stopped: --at must be a moment"),
        (["collect", "--batch", "2024"], {}, "stopped: batch 2024 is of the kind 'year'"),
        (["collect"], {"run": ""}, "stopped: --run must have 1 to 250 characters, got 0"),
        (["collect"], {"run": "x" * 251}, "stopped: --run must have 1 to 250 characters, got 251"),
    ],
)
def test_what_cannot_be_done_stops(
    pipeline: Pipeline,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    options: dict[str, str],
    message: str,
) -> None:
    assert pipeline.run(*arguments, **options) == 65
    assert message in capsys.readouterr().out.splitlines()[-1]


def test_a_run_has_one_batch(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    assert pipeline.run("collect", "--batch", "2024-01") == 0
    assert pipeline.run("collect", "--batch", "2024-02") == 65
    assert "stopped: run run-1 is of batch 2024-01; --batch 2024-02 needs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("end", "code", "word"),
    [(PermanentError, 65, "stopped"), (RetryableError, 75, "later"), (GateRejected, 99, "kept")],
)
def test_each_end_has_its_exit_code_and_one_last_line(
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    end: type[PermanentError],
    code: int,
    word: str,
) -> None:
    def ending(context: object) -> None:
        raise end("over\nand out")

    monkeypatch.setattr("lifecycle.steps.collect.run", ending)
    assert pipeline.run("collect", "--batch", "2024-01") == code
    assert capsys.readouterr().out.splitlines()[-1] == f"{word}: over and out"


def test_any_other_error_is_a_fault_with_its_traceback(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifecycle.steps.collect.run", lambda context: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pipeline.run("collect", "--batch", "2024-01")


def test_without_a_batch_or_a_moment_the_newest_batch_is_collected(
    pipeline: Pipeline, file_server: FileServer
) -> None:
    before = batch_of(datetime.now(UTC), PythonSource("month", 1))
    assert pipeline.run("collect") == 75
    after = batch_of(datetime.now(UTC), PythonSource("month", 1))
    assert file_server.seen in ([f"/{before}.parquet"], [f"/{after}.parquet"])


def test_airflows_run_ids_are_safe_in_keys(pipeline: Pipeline) -> None:
    run = "scheduled__2026-11-01T06:00:00+00:00"
    assert pipeline.run("collect", "--batch", "2024-01", run=run) == 0
    assert pipeline.data.list("runs/") == ["runs/scheduled__2026-11-01T06~3A00~3A00~2B00~3A00/collect.json"]


def test_different_run_names_are_encoded_differently() -> None:
    seeded = random.Random(0)
    runs = {"".join(seeded.choices("a:~3A/.é", k=seeded.randrange(1, 6))) for _ in range(5000)}
    made = {safe(run) for run in runs}
    assert len(made) == len(runs)
    assert not [each for each in made if "/" in each or each.startswith(".") or not each.isascii()]
    assert safe("manual-1.a_b") == "manual-1.a_b"
