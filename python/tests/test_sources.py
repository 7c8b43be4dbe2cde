import contextlib
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest

from file_server import Answer, FileServer
from lifecycle.batches import Period
from lifecycle.exits import PermanentError, RetryableError
from lifecycle.sources import http, python, s3, sql
from lifecycle.sources.raw_batch import RawBatch, from_frame
from lifecycle.spec import HttpSource, S3Source, SqlSource
from lifecycle.store import Store
from lifecycle.user_code import UserCode
from processes import free_port
from trip_files import MODEL, parquet, sha256, trips

WANTED = ["begun", "distance", "minutes"]
JANUARY = Period.of("2024-01")


def fetch_http(server: FileServer, folder: Path, kind: Any = "parquet", **limits: Any) -> RawBatch:
    source = HttpSource(server.address + "/{{ month }}." + kind, "month", kind, 0)
    return http.fetch(source, JANUARY, WANTED, folder, **({"patience": 0.0} | limits))


class TestHttp:
    def test_a_parquet_file_is_read_without_unwanted_columns(
        self, file_server: FileServer, tmp_path: Path
    ) -> None:
        data = parquet(trips())
        file_server.answers["/2024-01.parquet"] = Answer(data)
        raw_batch = fetch_http(file_server, tmp_path)
        pd.testing.assert_frame_equal(raw_batch.table, trips()[WANTED], check_dtype=False)
        assert (raw_batch.dropped, raw_batch.sha256) == (("driver",), sha256(data))
        assert raw_batch.origin == f"{file_server.address}/2024-01.parquet"

    def test_a_csv_file_is_read_as_text_and_an_empty_cell_as_null(
        self, file_server: FileServer, tmp_path: Path
    ) -> None:
        file_server.answers["/2024-01.csv"] = Answer(b"begun,distance,minutes\n2024-01-01,NA,\n")
        table = fetch_http(file_server, tmp_path, "csv").table
        assert table.iloc[0, :2].tolist() == ["2024-01-01", "NA"]
        assert table["minutes"].isna().all()

    @pytest.mark.parametrize("status", [403, 404])
    def test_a_file_that_is_not_there_yet_may_pass_later(
        self, file_server: FileServer, tmp_path: Path, status: int
    ) -> None:
        file_server.answers["/2024-01.parquet"] = Answer(b"", status)
        with pytest.raises(RetryableError, match=rf"not published yet.*/2024-01\.parquet \({status}\)"):
            fetch_http(file_server, tmp_path)

    @pytest.mark.parametrize("status", [400, 401, 410, 304])
    def test_a_refusal_stops(self, file_server: FileServer, tmp_path: Path, status: int) -> None:
        file_server.answers["/2024-01.parquet"] = Answer(b"", status)
        with pytest.raises(PermanentError, match=f"is refused: {status}"):
            fetch_http(file_server, tmp_path)

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_a_server_at_fault_may_pass_later(
        self, file_server: FileServer, tmp_path: Path, status: int
    ) -> None:
        file_server.answers["/2024-01.parquet"] = Answer(b"", status)
        with pytest.raises(RetryableError, match=f"is not to be had now: {status}"):
            fetch_http(file_server, tmp_path)

    def test_an_answer_that_does_not_begin_may_pass_later(
        self, file_server: FileServer, tmp_path: Path
    ) -> None:
        file_server.answers["/2024-01.parquet"] = Answer(parquet(trips()), pause=1)
        with pytest.raises(RetryableError, match="is slow"):
            fetch_http(file_server, tmp_path, silence=0.2)

    def test_an_answer_that_halts_may_pass_later(self, file_server: FileServer, tmp_path: Path) -> None:
        file_server.answers["/2024-01.parquet"] = Answer(parquet(trips()), halt=4)
        with pytest.raises(RetryableError, match="broke off"):
            fetch_http(file_server, tmp_path, silence=1)

    def test_an_answer_that_takes_too_long_as_a_whole_may_pass_later(
        self, file_server: FileServer, tmp_path: Path
    ) -> None:
        file_server.answers["/2024-01.parquet"] = Answer(parquet(trips()), halt=0.1)
        with pytest.raises(RetryableError, match=r"is slow: \d+ bytes came before its time was over"):
            fetch_http(file_server, tmp_path, duration=0.05)

    def test_an_answer_that_breaks_off_may_pass_later(self, file_server: FileServer, tmp_path: Path) -> None:
        file_server.answers["/2024-01.parquet"] = Answer(parquet(trips()), missing=100)
        with pytest.raises(RetryableError, match="broke off"):
            fetch_http(file_server, tmp_path)

    def test_a_server_that_is_away_is_waited_for_and_may_pass_later(self, tmp_path: Path) -> None:
        away = FileServer(address=f"http://127.0.0.1:{free_port()}")
        began = time.monotonic()
        with pytest.raises(RetryableError, match="cannot be reached"):
            fetch_http(away, tmp_path, patience=1.0)
        assert time.monotonic() - began >= 1

    def test_a_file_that_is_too_large_stops(self, file_server: FileServer, tmp_path: Path) -> None:
        file_server.answers["/2024-01.parquet"] = Answer(b"x" * 2000)
        with pytest.raises(PermanentError, match="is larger than 1000 bytes"):
            fetch_http(file_server, tmp_path, largest=1000)

    @pytest.mark.parametrize("kind", ["parquet", "csv"])
    def test_a_page_in_place_of_data_stops_and_its_beginning_is_shown(
        self, file_server: FileServer, tmp_path: Path, kind: str
    ) -> None:
        file_server.answers[f"/2024-01.{kind}"] = Answer(b"\n<!DOCTYPE html><title>Sorry</title>")
        with pytest.raises(
            PermanentError, match=r"is a page, not data; it begins '.n<!DOCTYPE html><title>Sorry"
        ):
            fetch_http(file_server, tmp_path, kind)

    @pytest.mark.parametrize("cut", [slice(None, -50), slice(4, None), slice(0, 0)])
    def test_a_damaged_parquet_file_stops(self, file_server: FileServer, tmp_path: Path, cut: slice) -> None:
        file_server.answers["/2024-01.parquet"] = Answer(parquet(trips())[cut])
        with pytest.raises(PermanentError, match="is no readable parquet"):
            fetch_http(file_server, tmp_path)

    def test_a_parquet_file_that_is_damaged_within_stops(
        self, file_server: FileServer, tmp_path: Path
    ) -> None:
        data = bytearray(parquet(trips(5000)))
        data[4:20_000] = bytes(len(data[4:20_000]))
        file_server.answers["/2024-01.parquet"] = Answer(bytes(data))
        with pytest.raises(PermanentError, match="is no readable parquet"):
            fetch_http(file_server, tmp_path)

    @pytest.mark.parametrize("body", [b"", b'begun\n"', b"begun\n\xff\xfe", b"begun\n1,2,3\n1\n1,2,3,4"])
    def test_what_is_no_csv_stops(self, file_server: FileServer, tmp_path: Path, body: bytes) -> None:
        file_server.answers["/2024-01.csv"] = Answer(body)
        with pytest.raises(PermanentError, match="is no readable csv"):
            fetch_http(file_server, tmp_path, "csv")

    def test_two_columns_of_one_name_stop(self, file_server: FileServer, tmp_path: Path) -> None:
        table = trips()[["begun", "distance", "minutes"]]
        renamed = table.rename(columns={"minutes": "distance"})
        with pytest.raises(PermanentError, match="has more than one column distance"):
            from_frame(renamed, WANTED, "a table")

    def test_a_redirection_is_followed_to_another_address(
        self, file_server: FileServer, tmp_path: Path
    ) -> None:
        file_server.answers["/2024-01.parquet"] = Answer(b"", 302, headers=(("Location", "/moved"),))
        file_server.answers["/moved"] = Answer(parquet(trips()))
        assert len(fetch_http(file_server, tmp_path).table) == 400

    @pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://localhost/a", "/2024-01.parquet"])
    def test_a_redirection_to_another_kind_of_address_or_in_a_circle_stops(
        self, file_server: FileServer, tmp_path: Path, location: str
    ) -> None:
        file_server.answers["/2024-01.parquet"] = Answer(b"", 302, headers=(("Location", location),))
        with pytest.raises(PermanentError, match="leads nowhere"):
            fetch_http(file_server, tmp_path)


class TestObjectStore:
    SOURCE = S3Source("data", "incoming/{{ month }}/", "month", "parquet", 0)

    def put(self, client: Any, **files: bytes) -> None:
        for name, data in files.items():
            client.put_object(Bucket="data", Key=f"incoming/2024-01/{name}.parquet", Body=data)

    def fetch(self, folder: Path, source: S3Source = SOURCE) -> RawBatch:
        return s3.fetch(source, JANUARY, WANTED, folder, patience=0)

    def test_the_files_of_a_prefix_are_one_table(self, object_store: Any, tmp_path: Path) -> None:
        self.put(object_store, a=parquet(trips()[:100]), b=parquet(trips()[100:]))
        object_store.put_object(Bucket="data", Key="incoming/2024-01/_SUCCESS", Body=b"")
        object_store.put_object(Bucket="data", Key="incoming/2024-02/c.parquet", Body=parquet(trips()))
        raw_batch = self.fetch(tmp_path)
        pd.testing.assert_frame_equal(raw_batch.table, trips()[WANTED], check_dtype=False)
        assert (raw_batch.dropped, raw_batch.origin) == (("driver",), "s3://data/incoming/2024-01/")

    def test_the_hash_covers_all_files(self, object_store: Any, tmp_path: Path) -> None:
        self.put(object_store, a=parquet(trips()[:100]), b=parquet(trips()[100:]))
        before = self.fetch(tmp_path).sha256
        assert self.fetch(tmp_path).sha256 == before
        self.put(object_store, b=parquet(trips()[101:]))
        assert self.fetch(tmp_path).sha256 != before

    def test_csv_files_are_read_as_text(self, object_store: Any, tmp_path: Path) -> None:
        object_store.put_object(Bucket="data", Key="in/2024-01.csv", Body=b"begun,distance\n2024-01-01,1\n")
        table = self.fetch(tmp_path, S3Source("data", "in/{{ month }}", "month", "csv", 0)).table
        assert table.to_dict("list") == {"begun": ["2024-01-01"], "distance": ["1"]}

    def test_an_empty_prefix_may_pass_later(self, object_store: Any, tmp_path: Path) -> None:
        with pytest.raises(RetryableError, match=r"no \*\.parquet below s3://data/incoming/2024-01/"):
            self.fetch(tmp_path)

    def test_a_column_that_one_file_lacks_is_missing(self, object_store: Any, tmp_path: Path) -> None:
        short = parquet(trips()[100:].drop(columns="distance"))
        self.put(object_store, a=parquet(trips()[:100]), b=short)
        assert list(self.fetch(tmp_path).table.columns) == ["begun", "minutes"]

    def test_a_damaged_file_is_named(self, object_store: Any, tmp_path: Path) -> None:
        self.put(object_store, a=parquet(trips()), b=parquet(trips())[:-1])
        with pytest.raises(
            PermanentError, match=r"s3://data/incoming/2024-01/b\.parquet is no readable parquet"
        ):
            self.fetch(tmp_path)

    def test_a_file_that_is_deleted_meanwhile_may_pass_later(self, object_store: Any, tmp_path: Path) -> None:
        store = Store("data", patience=0)
        with pytest.raises(RetryableError, match="went away while the batch was read"):
            s3.part(store, self.SOURCE, "incoming/2024-01/gone.parquet", WANTED, tmp_path)


@pytest.mark.usefixtures("database")
class TestSql:
    QUERY = "SELECT *, 'begun' || ':start' AS text FROM trips WHERE begun >= :start AND begun < :end;"

    @pytest.fixture(autouse=True)
    def table(self, database: None) -> Iterator[None]:
        with contextlib.closing(psycopg.connect("", autocommit=True)) as connection:
            connection.execute(
                "CREATE TABLE trips (begun timestamp, distance numeric, minutes float, driver text)"
            )
            connection.execute(
                "INSERT INTO trips VALUES ('2023-12-31 23:59:59', 1, 1, 'a'), "
                "('2024-01-01 00:00', 1.5, 2, 'a'), "
                "('2024-01-31 23:59:59', 2.5, NULL, 'b'), "
                "('2024-02-01 00:00', 3, 3, 'c')"
            )
            yield
            connection.execute("DROP TABLE trips")

    def fetch(self, postgres_folder: Path, query: str = QUERY) -> RawBatch:
        environ = {"SOURCE_DATABASE_URL": f"postgresql://tests@/postgres?host={postgres_folder}"}
        return sql.fetch(SqlSource(query, "month", 0), JANUARY, WANTED, environ, patience=0)

    def test_the_rows_from_start_up_to_the_end_are_the_batch(self, postgres_folder: Path) -> None:
        raw_batch = self.fetch(postgres_folder)
        assert raw_batch.table["begun"].tolist() == [datetime(2024, 1, 1), datetime(2024, 1, 31, 23, 59, 59)]
        assert raw_batch.table["distance"].astype(float).tolist() == [1.5, 2.5]
        assert raw_batch.table["minutes"].isna().tolist() == [False, True]
        assert raw_batch.dropped == ("driver", "text")

    def test_more_rows_than_are_fetched_at_once_are_all_there(
        self, postgres_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sql, "ROWS", 3)
        query = (
            "SELECT :start + i * interval '1 h' AS begun FROM generate_series(0, 9) AS i WHERE :start < :end"
        )
        assert len(self.fetch(postgres_folder, query).table) == 10

    def test_the_bounds_are_utc_whatever_the_databases_time_zone(self, postgres_folder: Path) -> None:
        with contextlib.closing(psycopg.connect("", autocommit=True)) as connection:
            connection.execute("ALTER ROLE tests SET timezone TO 'Asia/Tokyo'")
            try:
                assert len(self.fetch(postgres_folder).table) == 2
            finally:
                connection.execute("ALTER ROLE tests RESET timezone")

    def test_the_hash_depends_on_the_rows_and_not_on_their_order(self, postgres_folder: Path) -> None:
        up = self.fetch(postgres_folder, self.QUERY.strip(";") + " ORDER BY begun").sha256
        down = self.fetch(postgres_folder, self.QUERY.strip(";") + " ORDER BY begun DESC").sha256
        assert up == down
        assert self.fetch(postgres_folder, self.QUERY.strip(";") + " LIMIT 1").sha256 != up

    def test_no_row_is_an_empty_table_with_columns(self, postgres_folder: Path) -> None:
        table = self.fetch(
            postgres_folder, "SELECT * FROM trips WHERE begun >= :end AND begun < :start"
        ).table
        assert (len(table), list(table.columns)) == (0, WANTED)

    def test_libpqs_own_variables_name_the_database_as_well(self, postgres_folder: Path) -> None:
        environ = {"PGHOST": str(postgres_folder)}
        raw_batch = sql.fetch(SqlSource(self.QUERY, "month", 0), JANUARY, WANTED, environ, patience=0)
        assert len(raw_batch.table) == 2

    @pytest.mark.parametrize(
        "query", ["SELEKT", "SELECT * FROM nothing WHERE :start < :end", "DELETE FROM trips RETURNING begun"]
    )
    def test_a_query_that_the_database_refuses_stops(self, postgres_folder: Path, query: str) -> None:
        with pytest.raises(PermanentError, match="refuses the query"):
            self.fetch(postgres_folder, query)

    def test_a_database_that_is_away_is_waited_for_and_may_pass_later(self) -> None:
        environ = {"SOURCE_DATABASE_URL": f"postgresql://tests@127.0.0.1:{free_port()}/postgres"}
        began = time.monotonic()
        with pytest.raises(RetryableError, match="does not answer"):
            sql.fetch(SqlSource(self.QUERY, "month", 0), JANUARY, WANTED, environ, patience=1)
        assert time.monotonic() - began >= 1

    def test_no_database_to_ask_stops(self) -> None:
        with pytest.raises(PermanentError, match="set SOURCE_DATABASE_URL"):
            sql.fetch(SqlSource(self.QUERY, "month", 0), JANUARY, WANTED, {})


@pytest.mark.parametrize(
    ("query", "statement"),
    [
        ("a >= :start and a<:end", "a >= %(start)s and a<%(end)s"),
        (
            "a::date, ':start', \":end\" -- :start\n/* :end */ x",
            "a::date, ':start', \":end\" -- :start\n/* :end */ x",
        ),
        ("a LIKE '50%' AND b % 2 = 0", "a LIKE '50%%' AND b %% 2 = 0"),
        (":starting, :ended", ":starting, :ended"),
    ],
)
def test_only_parameters_are_bound(query: str, statement: str) -> None:
    assert sql.bound(query) == statement


class TestOwnersFunction:
    def fetch(self, folder: Path, body: str) -> RawBatch:
        (folder / "model.py").write_text(f"{MODEL}\ndef collect(start, end):\n    {body}\n")
        return python.fetch(UserCode.load(folder / "model.py"), JANUARY, WANTED)

    def test_the_function_is_given_the_period(self, tmp_path: Path) -> None:
        raw_batch = self.fetch(tmp_path, 'return pd.DataFrame({"begun": [start, end], "more": 1})')
        assert raw_batch.table["begun"].tolist() == [JANUARY.start, JANUARY.end]
        assert (raw_batch.dropped, raw_batch.origin) == (("more",), "collect in model.py")

    def test_a_server_that_is_away_may_pass_later(self, tmp_path: Path) -> None:
        with pytest.raises(
            RetryableError, match=r"collect in .*model\.py failed: ConnectionError: away \(line 11\)"
        ):
            self.fetch(tmp_path, 'raise ConnectionError("away")')

    def test_any_other_error_stops_and_its_line_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(PermanentError, match=r"collect in .*model\.py failed: KeyError: 'x' \(line 11\)"):
            self.fetch(tmp_path, 'return {}["x"]')

    def test_a_result_that_is_no_table_stops(self, tmp_path: Path) -> None:
        with pytest.raises(PermanentError, match="must return a pandas DataFrame, got list"):
            self.fetch(tmp_path, "return [1]")

    def test_a_model_without_the_function_stops(self, tmp_path: Path) -> None:
        (tmp_path / "model.py").write_text(MODEL)
        with pytest.raises(PermanentError, match="must define the function collect"):
            python.fetch(UserCode.load(tmp_path / "model.py"), JANUARY, WANTED)
