import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest

from file_server import Answer, FileServer
from lifecycle.exits import PermanentError, RetryableError
from lifecycle.steps import collect
from lifecycle.steps.context import Context
from trip_files import MODEL, context, parquet, read, sha256, spec_json, trips

Collecting = Callable[..., Context]


@pytest.fixture
def collecting(object_store: Any, file_server: FileServer, tmp_path: Path) -> Collecting:
    """Makes contexts whose source is the file server, which has files of 2023-12 and 2024-01."""

    def made(*, schema: dict[str, Any] | None = None, **options: Any) -> Context:
        raw = spec_json(type="http", url=f"{file_server.address}/{{{{ month }}}}.parquet")
        raw["collection"]["schema"] |= schema or {}
        return context(tmp_path, raw, **options)

    file_server.answers["/2024-01.parquet"] = Answer(parquet(spoiled()))
    file_server.answers["/2023-12.parquet"] = Answer(parquet(trips(month="2023-12")))
    return made


def spoiled() -> pd.DataFrame:
    """400 trips; the first three are bad."""
    made = trips()
    made.loc[:2, "distance"] = [-1.0, -2.0, 500.0]
    return made


def manifest(made: Context) -> dict[str, Any]:
    found = made.data.get_json("raw/2024-01/manifest.json")
    assert found is not None
    return found


def test_a_batch_leaves_good_rows_bad_rows_and_a_manifest_with_exact_counts(collecting: Collecting) -> None:
    made = collecting()
    collect.run(made)
    written = manifest(made)
    data = made.data.get(f"raw/2024-01/data-{written['sha256']}.parquet")
    assert data is not None
    assert written["sha256"] == sha256(data)
    assert written["sourceSha256"] == sha256(parquet(spoiled()))
    assert written["quarantined"] == {
        "total": 3,
        "reasons": {"distance: above 100": 1, "distance: below 0": 2},
    }
    assert (written["batch"], written["rows"], written["droppedColumns"]) == ("2024-01", 397, ["driver"])
    assert (written["periodStart"], written["periodEnd"]) == (1704067200, 1706745600)
    assert written["source"].endswith("/2024-01.parquet")
    good = read(made.data, f"raw/2024-01/data-{written['sha256']}.parquet")
    pd.testing.assert_frame_equal(
        good, spoiled()[3:].drop(columns="driver").reset_index(drop=True), check_dtype=False
    )
    bad = read(made.data, f"raw/2024-01/quarantine-{written['quarantineSha256']}.parquet")
    assert bad[["distance", "reason"]].to_numpy().tolist() == [
        [-1.0, "distance: below 0"],
        [-2.0, "distance: below 0"],
        [500.0, "distance: above 100"],
    ]


def test_the_runs_result_and_the_status_for_the_sidecar_are_written(collecting: Collecting) -> None:
    made = collecting()
    collect.run(made)
    written = manifest(made)
    assert made.result("collect") == {
        "run": "run-1",
        "batch": "2024-01",
        "sha256": written["sha256"],
        "sourceSha256": written["sourceSha256"],
        "rows": 397,
        "quarantined": written["quarantined"],
    }
    assert made.models.get_json("status/batch.json") == {
        "batch": "2024-01",
        "periodEnd": 1706745600,
        "collectedAt": written["collectedAt"],
        "rows": 397,
        "quarantined": 3,
    }


def test_a_batch_without_a_bad_row_has_no_quarantine(collecting: Collecting) -> None:
    made = collecting(batch="2023-12")
    collect.run(made)
    assert [key.split("-")[1][:3] for key in made.data.list("raw/2023-12/")] == ["12/", "12/"]
    written = made.data.get_json("raw/2023-12/manifest.json")
    assert written is not None
    assert written["quarantineSha256"] is None
    assert not [key for key in made.data.list() if "quarantine" in key]


def test_the_same_batch_twice_changes_nothing(
    collecting: Collecting, capsys: pytest.CaptureFixture[str]
) -> None:
    first = collecting()
    collect.run(first)
    before = {key: first.data.get(key) for key in first.data.list("raw/")}
    second = collecting(run="run-2")
    collect.run(second)
    assert {key: second.data.get(key) for key in second.data.list("raw/")} == before
    assert second.result("collect") == first.result("collect") | {"run": "run-2"}
    assert "found: the batch was collected before" in capsys.readouterr().out


def test_the_manifest_of_a_batch_that_changed_later_is_kept(
    collecting: Collecting, file_server: FileServer, capsys: pytest.CaptureFixture[str]
) -> None:
    made = collecting()
    before, after = collected_twice(made, file_server, trips(300))
    assert after["rows"] == 300
    assert kept(made) == [before]
    assert len(read(made.data, f"raw/2024-01/data-{before['sha256']}.parquet")) == 397
    assert "changed after the fact: before, 397 rows" in capsys.readouterr().out


def collected_twice(
    made: Context, file_server: FileServer, changed: pd.DataFrame
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Collect a batch, change the source to `changed`, collect again; return the manifests of both."""
    collect.run(made)
    before = manifest(made)
    file_server.answers["/2024-01.parquet"] = Answer(parquet(changed))
    collect.run(made)
    return before, manifest(made)


def kept(made: Context) -> list[Any]:
    """The manifests that were kept under keys of their own."""
    return [made.data.get_json(key) for key in made.data.list("raw/2024-01/manifest-")]


def test_a_change_of_bad_rows_only_is_a_change_of_the_batch(
    collecting: Collecting, file_server: FileServer, capsys: pytest.CaptureFixture[str]
) -> None:
    made = collecting()
    mended = spoiled().drop(index=0)
    before, after = collected_twice(made, file_server, mended)
    assert (after["sha256"], after["sourceSha256"]) == (before["sha256"], sha256(parquet(mended)))
    assert kept(made) == [before]
    for written, rows in ((before, 3), (after, 2)):
        bad = read(made.data, f"raw/2024-01/quarantine-{written['quarantineSha256']}.parquet")
        assert len(bad) == written["quarantined"]["total"] == rows
    assert "batch 2024-01 changed after the fact: before, 397 rows" in capsys.readouterr().out


def test_the_same_bytes_under_another_schema_are_checked_again(collecting: Collecting) -> None:
    collect.run(collecting())
    wider = collecting(schema={"columns": columns(max_distance=500)})
    collect.run(wider)
    assert manifest(wider)["quarantined"] == {"total": 2, "reasons": {"distance: below 0": 2}}


def test_a_batch_whose_data_is_gone_is_written_again(collecting: Collecting) -> None:
    made = collecting()
    collect.run(made)
    key = f"raw/2024-01/data-{manifest(made)['sha256']}.parquet"
    made.data.delete([key])
    collect.run(made)
    assert len(read(made.data, key)) == 397


def test_a_backfill_does_not_replace_the_status_of_a_newer_batch(collecting: Collecting) -> None:
    collect.run(collecting())
    collect.run(collecting(run="run-2", batch="2023-12"))
    made = collecting()
    status = made.models.get_json("status/batch.json")
    assert status is not None
    assert status["batch"] == "2024-01"
    assert made.data.list("raw/2023-12/manifest.json") == ["raw/2023-12/manifest.json"]


def test_a_bad_batch_stops_and_leaves_nothing(collecting: Collecting, file_server: FileServer) -> None:
    file_server.answers["/2024-01.parquet"] = Answer(parquet(trips().assign(minutes=None)))
    made = collecting()
    with pytest.raises(PermanentError, match="no value at all in column minutes"):
        collect.run(made)
    assert made.data.list() == []
    assert made.models.list() == []


def test_a_period_that_has_not_ended_is_not_asked_for(
    collecting: Collecting, file_server: FileServer
) -> None:
    with pytest.raises(RetryableError, match="batch 2999-01 is not complete before 2999-02-01T00:00:00Z"):
        collect.run(collecting(batch="2999-01"))
    assert file_server.seen == []


def test_a_killed_step_is_run_again(collecting: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    made = collecting()
    # The step is ended at each of its writes in turn, as if it was killed; only the object store stays.
    for writes in range(5):
        made.data.delete(made.data.list())
        remaining = iter(range(writes))
        put = type(made.data).put

        def dying(store: Any, key: str, data: bytes, left: Any = remaining, put: Any = put) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt
            put(store, key, data)

        with monkeypatch.context() as patched:
            patched.setattr(type(made.data), "put", dying)
            with pytest.raises(KeyboardInterrupt):
                collect.run(made)
    collect.run(made)
    assert manifest(made)["rows"] == 397
    assert len(made.data.list("raw/2024-01/")) == 3


def test_objects_are_a_source(object_store: Any, tmp_path: Path) -> None:
    object_store.put_object(Bucket="data", Key="incoming/2024-01/a.parquet", Body=parquet(trips()))
    made = context(tmp_path, spec_json(type="s3", bucket="data", prefix="incoming/{{ month }}/"))
    collect.run(made)
    assert manifest(made)["rows"] == 400


def test_the_function_collect_of_model_py_is_a_source(object_store: Any, tmp_path: Path) -> None:
    model = MODEL + (
        "\ndef collect(start, end):\n"
        "    times = pd.date_range(start, end, freq='h', inclusive='left')\n"
        "    return pd.DataFrame({'begun': times, 'distance': 1.0, 'minutes': 5.0})\n"
    )
    made = context(tmp_path, spec_json(type="python", period="month"), model=model)
    collect.run(made)
    assert manifest(made)["rows"] == 31 * 24


def test_a_query_is_a_source(object_store: Any, tmp_path: Path, postgres_folder: Path) -> None:
    address = f"postgresql://tests@/postgres?host={postgres_folder}"
    with psycopg.connect(address) as connection:
        connection.execute("CREATE TABLE rides (begun timestamptz, distance numeric, minutes float)")
        connection.execute(
            "INSERT INTO rides SELECT '2024-01-01Z'::timestamptz + i * interval '1 hour', 1 + i / 100.0, 5 "
            "FROM generate_series(-5, 999) AS i"
        )
    query = "SELECT * FROM rides WHERE begun >= :start AND begun < :end"
    made = context(
        tmp_path,
        spec_json(type="sql", query=query, period="month"),
        environ={"SOURCE_DATABASE_URL": address},
    )
    collect.run(made)
    assert manifest(made)["rows"] == 31 * 24
    before = manifest(made)
    time.sleep(0.01)
    collect.run(replace(made, run="run-2"))
    assert manifest(made) == before
    with psycopg.connect(address) as connection:
        connection.execute("DROP TABLE rides")


def columns(max_distance: float) -> dict[str, Any]:
    made = json.loads(json.dumps(spec_json()["collection"]["schema"]["columns"]))
    made["distance"]["max"] = max_distance
    return dict(made)
