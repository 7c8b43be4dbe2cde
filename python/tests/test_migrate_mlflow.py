"""MLflow is migrated by one server at a time: a real Postgres, and a stand-in for MLflow that logs calls."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from migrate_mlflow import LOCK, URI, main

# Writes a line when it begins and one when it ends; fails if the file $NOTES.fail exists.
STAND_IN = """#!/bin/sh
echo "begin $0 $*" >> "$NOTES"
sleep 0.1
echo "end" >> "$NOTES"
test ! -e "$NOTES.fail"
"""


@pytest.fixture
def notes(database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the stand-in for MLflow records its calls."""
    program = tmp_path / "mlflow"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    package = tmp_path / "packages" / "mlflow" / "server" / "auth"
    package.mkdir(parents=True)
    # With __init__.py, because an installed regular package takes precedence over namespace packages.
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").touch()
    (package / "__main__.py").write_text(
        f"import subprocess, sys; sys.exit(subprocess.call(['{program}', 'users', *sys.argv[1:]]))"
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    return tmp_path / "notes"


def take_lock(seconds: int) -> None:
    """Take the lock; raise LockNotAvailable if it is not free within `seconds`."""
    with closing(psycopg2.connect("")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", (f"{seconds}s",))
        cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))


def test_upgrades_the_tables_of_runs_and_then_those_of_users(notes: Path) -> None:
    assert main() == 0
    begun = [line.split()[2:] for line in notes.read_text().splitlines() if line.startswith("begin")]
    assert begun == [["db", "upgrade", URI], ["users", "db", "upgrade", "--url", URI]]


def test_several_at_once_take_turns(notes: Path) -> None:
    with ThreadPoolExecutor(4) as runs:
        assert list(runs.map(lambda _: main(), range(4))) == [0] * 4
    lines = [line.split()[0] for line in notes.read_text().splitlines()]
    assert lines == ["begin", "end"] * 8


def test_a_server_that_ends_idle_transactions_does_not_free_the_lock(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c idle_in_transaction_session_timeout=20")
    test_several_at_once_take_turns(notes)


def test_a_failed_upgrade_is_exit_status_1_and_frees_the_lock(
    notes: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    notes.with_name("notes.fail").touch()
    assert main() == 1
    assert notes.read_text().count("begin") == 1
    assert capfd.readouterr().err.startswith("MLflow's tables are not up to date: ")
    take_lock(seconds=20)


def test_a_database_out_of_reach_is_exit_status_1_and_upgrades_nothing(
    notes: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PGHOST", "/nowhere")
    assert main() == 1
    assert not notes.exists()
    assert "Traceback" not in capfd.readouterr().err
