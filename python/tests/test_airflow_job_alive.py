"""The probe of Airflow's jobs, against a real Postgres with Airflow's `job` table."""

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - it is a class

from airflow_job_alive import main

# The columns of Airflow 3 that the probe reads, with their types.
JOB = """
CREATE TABLE job (
  id serial PRIMARY KEY, state varchar(20), job_type varchar(30),
  latest_heartbeat timestamptz, hostname varchar(500)
)
"""


@pytest.fixture
def jobs(database: None) -> Iterator[Cursor]:
    """An empty `job` table."""
    with closing(psycopg2.connect("")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(JOB)
        yield cursor
        cursor.execute("DROP TABLE job")


def add(
    jobs: Cursor, job_type: str = "TriggererJob", host: str = "10.0.0.1", state: str = "running", age: int = 5
) -> None:
    """Add a job whose last heartbeat was `age` seconds ago."""
    jobs.execute(
        "INSERT INTO job (state, job_type, hostname, latest_heartbeat)"
        " VALUES (%s, %s, %s, now() - %s * interval '1 second')",
        (state, job_type, host, age),
    )


def test_a_running_job_with_a_fresh_heartbeat_is_alive(jobs: Cursor) -> None:
    add(jobs)
    assert main("TriggererJob", "10.0.0.1") == 0


def test_dead_jobs_of_earlier_pods_are_ignored(jobs: Cursor) -> None:
    add(jobs, state="failed", age=5000)
    add(jobs, host="10.0.0.2", age=5000)
    add(jobs)
    assert main("TriggererJob", "10.0.0.1") == 0


def test_a_job_without_a_heartbeat_for_a_minute_is_not_alive(
    jobs: Cursor, capsys: pytest.CaptureFixture[str]
) -> None:
    add(jobs, age=61)
    assert main("TriggererJob", "10.0.0.1") == 1
    assert capsys.readouterr().out == "no TriggererJob on 10.0.0.1 has had a heartbeat for 60 seconds\n"


def test_a_job_that_ended_is_not_alive(jobs: Cursor) -> None:
    add(jobs, state="success")
    assert main("TriggererJob", "10.0.0.1") == 1


def test_a_job_of_another_type_on_this_host_does_not_count(jobs: Cursor) -> None:
    add(jobs, job_type="DagProcessorJob")
    assert main("TriggererJob", "10.0.0.1") == 1


def test_a_job_of_another_pod_does_not_count(jobs: Cursor) -> None:
    add(jobs, host="10.0.0.2")
    assert main("TriggererJob", "10.0.0.1") == 1


def test_a_database_before_its_migration_is_reported_in_one_line(
    database: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("TriggererJob", "10.0.0.1") == 1
    assert 'relation "job" does not exist' in capsys.readouterr().out


def test_an_unreachable_database_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PGHOST", "/nowhere")
    assert main("TriggererJob", "10.0.0.1") == 1
    assert capsys.readouterr().out.startswith("the database cannot be asked: ")
