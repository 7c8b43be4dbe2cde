import json
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from file_server import Answer, FileServer
from lifecycle.__main__ import main
from lifecycle.exits import PermanentError, RetryableError
from lifecycle.model_repository import Pointer, write_pointer
from lifecycle.steps import traffic
from lifecycle.steps.context import Context
from lifecycle.steps.traffic import Load, Tally
from processes import free_port, wait_until
from small_triton import SmallTriton, serving_triton
from trip_files import MODEL, context, parquet, spec_json, trips

SHORT = Load(seconds=0.5, clients=2, pause=0.01)
Made = Callable[..., Context]


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallTriton]:
    """A SmallTriton on which version 1 answers every request; waiting times are short."""
    monkeypatch.setattr(traffic, "SETTLING", 0.0)
    monkeypatch.setattr(traffic, "PATIENCE", 1.0)
    with serving_triton() as started:
        started.fixed_answer = answer(1)
        yield started


@pytest.fixture
def made(object_store: Any, file_server: FileServer, triton: SmallTriton, tmp_path: Path) -> Made:
    """Makes contexts: version 1 serves, and the source has the batch 2024-01 with four bad rows."""

    def of(*, until: str | None = None, **options: Any) -> Context:
        url = f"{file_server.address}/{{{{ month }}}}.parquet"
        raw = spec_json(type="http", url=url, **({} if until is None else {"until": until}))
        address = {"TRITON_HTTP_URL": f"127.0.0.1:{triton.port}"}
        given = context(tmp_path, raw, run="traffic-1", environ=os.environ | address, **options)
        write_pointer(given.models, Pointer(1))
        return given

    bad = trips()
    bad.loc[:2, "distance"] = [-1.0, -2.0, 500.0]
    bad.loc[3, "minutes"] = 500.0
    file_server.answers["/2024-01.parquet"] = Answer(parquet(bad))
    return of


def answer(version: int) -> dict[str, Any]:
    return {"model_version": str(version), "outputs": []}


def summary_of(captured: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The JSON object in the last line of the output."""
    found: dict[str, Any] = json.loads(captured.readouterr().out.splitlines()[-1])
    return found


def test_every_client_asks_until_the_time_is_over(
    made: Made, triton: SmallTriton, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    traffic.run(made(), SHORT)
    assert time.monotonic() - began >= 0.5
    summary = summary_of(capsys)
    # The first request of each client only shows that Triton answers; it is not counted.
    asked = len(triton.questions) - SHORT.clients
    assert asked > 4
    assert summary == {
        "requests": asked,
        "failed": 0,
        "versions": {"1": asked},
        "slowestMs": summary["slowestMs"],
    }
    assert 0 < summary["slowestMs"] < 10_000


def test_the_good_rows_of_the_batch_are_asked_with(made: Made, triton: SmallTriton) -> None:
    given = made()
    traffic.run(given, SHORT)
    good = {row[0] for row in traffic.questions(given).tolist()}
    assert len(good) == 396
    for question in triton.questions:
        (tensor,) = question["inputs"]
        assert (tensor["name"], tensor["datatype"], tensor["shape"]) == ("features", "FP32", [8, 1])
        assert set(tensor["data"]) <= good


def test_no_request_has_the_id_of_a_golden_request(made: Made, triton: SmallTriton) -> None:
    traffic.run(made(), SHORT)
    ids = [question["id"] for question in triton.questions]
    assert len(set(ids)) == len(ids)
    assert all(each.startswith("traffic-") for each in ids)


def test_no_more_rows_at_once_than_the_model_takes(made: Made, triton: SmallTriton) -> None:
    given = made()
    serving = replace(given.spec.serving, max_batch_size=3)
    traffic.run(replace(given, spec=replace(given.spec, serving=serving)), SHORT)
    assert {tuple(each["inputs"][0]["shape"]) for each in triton.questions} == {(3, 1)}


def test_nothing_is_written_to_the_object_store(made: Made) -> None:
    given = made()
    traffic.run(given, SHORT)
    assert given.data.list() == []
    assert given.models.list() == ["pointer.json"]


def test_a_change_of_version_and_failures_are_counted(
    made: Made, triton: SmallTriton, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "PROGRESS_SECONDS", 0.1)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(traffic.run, made(), replace(SHORT, seconds=2))
        wait_until(lambda: len(triton.questions) >= 20, what="20 questions")
        triton.failures = 3
        wait_until(lambda: not triton.failures, what="three failures")
        triton.fixed_answer = answer(2)
        running.result()
    lines = capsys.readouterr().out.splitlines()
    summary = json.loads(lines[-1])
    assert summary["failed"] == 3
    assert set(summary["versions"]) == {"1", "2"}
    assert summary["requests"] == 3 + sum(summary["versions"].values())
    progress = [line for line in lines if re.match(r"\d+ s: \d+ requests, ", line)]
    assert len(progress) >= 5
    assert "3 failed (the newest: Refused(" in progress[-1]
    assert "by version 1, " in progress[-1]


def test_a_connection_is_kept_until_it_breaks(made: Made) -> None:
    """A real Triton keeps connections open until its pod ends."""
    connections: list[Any] = []
    answers = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal answers
            self.rfile.read(int(self.headers["Content-Length"]))
            if self.connection not in connections:
                connections.append(self.connection)
            if answers == 5 and len(connections) == 1:
                self.close_connection = True
                return
            answers += 1
            body = json.dumps(answer(1)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Log nothing."""

    given, tally = made(), Tally()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, ThreadPoolExecutor() as pool:
        server.daemon_threads = True
        pool.submit(server.serve_forever)
        try:
            environ = {**given.environ, "TRITON_HTTP_URL": f"127.0.0.1:{server.server_port}"}
            client = traffic.Client(replace(given, environ=environ), traffic.questions(given), 0)
            client.begin(time.monotonic() + 1)
            client.go_on(time.monotonic() + 0.5, 0.01, tally)
            client._connection.close()
        finally:
            server.shutdown()
    assert len(connections) == 2
    assert tally.summary()["failed"] == 1
    assert tally.why.startswith("RemoteDisconnected(")
    assert tally.summary()["versions"] == {"1": answers - 1}
    assert answers > 6


def test_a_first_request_that_fails_is_repeated(
    made: Made, triton: SmallTriton, capsys: pytest.CaptureFixture[str]
) -> None:
    triton.failures = 1
    traffic.run(made(), SHORT)
    assert summary_of(capsys)["failed"] == 0


def test_an_unreachable_triton_is_a_retryable_error(made: Made) -> None:
    given = made()
    environ = {**given.environ, "TRITON_HTTP_URL": f"127.0.0.1:{free_port()}"}
    with pytest.raises(
        RetryableError, match=r"/v2/models/trips/infer does not answer: ConnectionRefusedError"
    ):
        traffic.run(replace(given, environ=environ), SHORT)


def test_no_successful_request_is_a_retryable_error(
    made: Made, triton: SmallTriton, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = traffic.Client.begin

    def then_away(client: traffic.Client, deadline: float) -> None:
        begin(client, deadline)
        triton.failures = 1_000_000

    monkeypatch.setattr(traffic.Client, "begin", then_away)
    with pytest.raises(
        RetryableError, match=r"not one of \d+ requests was answered: Refused\('503 .*not now"
    ):
        traffic.run(made(), replace(SHORT, clients=1))
    summary = summary_of(capsys)
    assert summary["requests"] == summary["failed"] > 0
    assert (summary["versions"], summary["slowestMs"]) == ({}, None)


def test_rows_that_triton_refuses_stop(made: Made, triton: SmallTriton) -> None:
    triton.fixed_answer, triton.status_code = {"error": "unexpected shape for input 'features'"}, 400
    with pytest.raises(PermanentError, match=r"refuses the rows: 400 .*unexpected shape"):
        traffic.run(made(), SHORT)


def test_without_a_version_that_serves_it_stops(made: Made) -> None:
    given = made()
    given.models.delete(["pointer.json"])
    with pytest.raises(PermanentError, match="'trips' has no version that serves"):
        traffic.run(given, SHORT)
    write_pointer(given.models, Pointer(None))
    with pytest.raises(PermanentError, match="'trips' has no version that serves"):
        traffic.run(given, SHORT)


@pytest.mark.parametrize(
    ("load", "why"),
    [
        ({"seconds": 0.0}, "--seconds must be above 0, got 0"),
        ({"seconds": float("nan")}, "--seconds must be above 0, got nan"),
        ({"clients": 0}, "--clients must be at least 1, got 0"),
        ({"pause": -1.0}, "--pause must be at least 0 seconds, got -1"),
    ],
)
def test_an_invalid_load_is_refused(made: Made, load: dict[str, Any], why: str) -> None:
    with pytest.raises(PermanentError, match=why):
        traffic.run(made(), replace(SHORT, **load))


def test_a_bad_batch_stops_as_in_collect(made: Made, file_server: FileServer) -> None:
    file_server.answers["/2024-01.parquet"] = Answer(parquet(trips().assign(distance=-1.0)))
    with pytest.raises(PermanentError, match=r"batch 2024-01: 400 of 400 rows are bad.*distance: below 0"):
        traffic.run(made(), SHORT)


def test_bad_features_stop_as_in_preprocess(made: Made) -> None:
    with pytest.raises(PermanentError, match=r"what features in .*model\.py made: 397 of 397 rows are bad"):
        traffic.run(made(model=MODEL.replace('trips["minutes"]', 'trips["minutes"] + 1000')), SHORT)


class TestProgram:
    @pytest.fixture
    def program(self, made: Made, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
        def of(*more: str, until: str | None = None) -> int:
            given = made(until=until)
            files = ["--spec", str(given.model_path.parent / "spec.json"), "--model", str(given.model_path)]
            command = ["traffic", "--pipeline", "trips", "--run", "traffic-1", *files, "--seconds=0.3"]
            return main([*command, *more], given.environ)

        return of

    def test_its_last_line_is_json(
        self, program: Callable[..., int], triton: SmallTriton, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert program("--batch=2024-01", "--clients=3", "--pause=0.05") == 0
        assert summary_of(capsys)["requests"] == len(triton.questions) - 3

    def test_a_batch_that_the_pipeline_will_never_collect_may_be_asked_with(
        self, program: Callable[..., int], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert program("--batch=2024-01", until="2023-12") == 0
        assert summary_of(capsys)["failed"] == 0

    @pytest.mark.parametrize(
        ("batch", "code", "end"),
        [
            ("january", 65, "stopped: a batch is a period, as in 2024, 2024-01"),
            ("2024-13", 65, "stopped: there is no period '2024-13'"),
            ("2024", 65, "stopped: batch 2024 is of the kind 'year', this source has 'month'"),
            ("2023-05", 75, "later: not published yet, or not for us"),
        ],
    )
    def test_a_batch_that_is_none_has_a_clear_end(
        self,
        program: Callable[..., int],
        capsys: pytest.CaptureFixture[str],
        batch: str,
        code: int,
        end: str,
    ) -> None:
        assert program(f"--batch={batch}") == code
        assert capsys.readouterr().out.splitlines()[-1].startswith(end)
