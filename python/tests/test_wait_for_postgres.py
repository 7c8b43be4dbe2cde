"""wait_for_postgres.py waits until the role can connect to its database."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

import wait_for_postgres
from processes import wait_until


def test_a_database_that_is_there_is_not_waited_for(
    database: None, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_for_postgres.main()
    assert capsys.readouterr().out == ""


def test_the_error_is_printed_until_the_role_can_connect(
    database: None, postgres_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("PGPORT", "5432")
    monkeypatch.setenv("PGDATABASE", "late")
    with log.open("w") as out:
        # The pod runs the program's text with `-c`.
        text = Path(wait_for_postgres.__file__).read_text()
        waiting = subprocess.Popen([sys.executable, "-c", text], stdout=out, stderr=out)
        try:
            wait_until(lambda: len(log.read_text().splitlines()) > 1, what="a second look")
            run("CREATE DATABASE late")
            assert waiting.wait(60) == 0
        finally:
            waiting.kill()
            waiting.wait()
            run("DROP DATABASE IF EXISTS late")
    for line in log.read_text().splitlines():
        assert line.startswith(f"waiting for Postgres at {postgres_folder}:5432: ")
        assert line.endswith('database "late" does not exist')


def run(statement: str) -> None:
    with closing(psycopg2.connect(dbname="postgres")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement)
