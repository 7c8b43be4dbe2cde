"""Traces as Triton writes them, and what becomes of them; no server runs."""

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lifecycle.exits import Later
from lifecycle.model_repository import BadVersion, Pointer
from lifecycle.sidecar import drift_counters as ledgers
from lifecycle.sidecar.drift_counters import Ledger
from lifecycle.sidecar.model_cache import Shelf
from lifecycle.sidecar.model_version import Rows, Version
from lifecycle.sidecar.payload_writer import Payloads
from lifecycle.sidecar.reconciler import DEATHS, Sync
from lifecycle.sidecar.serving_state import Standing
from lifecycle.sidecar.shadow_scorer import Question, Replay
from lifecycle.sidecar.trace_format import parse
from lifecycle.sidecar.trace_reader import Observe
from lifecycle.sidecar.triton_client import Away, Refused, TritonControl
from serving_stack import version_files


class Control(TritonControl):
    """A Triton that answers what its models would, until it is told to fail."""

    def __init__(self) -> None:
        self.loaded: dict[str, set[int]] = {}
        self.fails: dict[str, list[Exception]] = {}
        self.factor = 1.0
        self.shelf: Shelf

    def serving(self) -> dict[str, set[int]]:
        self._may("serving")
        return {name: set(versions) for name, versions in self.loaded.items()}

    def load(self, name: str) -> None:
        self._may(f"load {name}")
        text = (self.shelf.root / name / "config.pbtxt").read_text()
        self.loaded[name] = {int(text.rsplit("versions: [ ", 1)[1].split(" ")[0])}

    def unload(self, name: str) -> None:
        self._may(f"unload {name}")
        self.loaded.pop(name, None)

    def trace(self, name: str, one_in: int) -> None:
        self._may(f"trace {name}")

    def ask(
        self, name: str, version: int, input_name: str, output_name: str, rows: Rows, request_id: str
    ) -> Rows:
        self._may(f"ask {name}")
        return np.asarray(rows.sum(axis=1, keepdims=True) * np.float32(self.factor), dtype=np.float32)

    def _may(self, what: str) -> None:
        if self.fails.get(what):
            raise self.fails[what].pop(0)


class Bench:
    """An observer, and everything that it hands on to."""

    def __init__(self, folder: Path, most_bytes: int = 10**6, **config: Any) -> None:
        self.traces = folder / "traces"
        self.traces.mkdir(exist_ok=True)
        self.shelf = Shelf(folder / "models")
        self.control = Control()
        self.control.shelf = self.shelf
        self.ledger = Ledger()
        self.version = self.take_in(1, **config)
        self.ledger.serve("trip", self.version)
        self.written: dict[str, bytes] = {}
        self.payloads = Payloads(self._put, "r", lambda lost: self.ledger.drop("payload", lost), 1000)
        self.replay = Replay(self.control, self.ledger)
        self.most_bytes = most_bytes
        self.observe = self.observer()

    def observer(self) -> Observe:
        return Observe(self.traces, self.ledger, self.payloads, self.replay, self.most_bytes)

    def take_in(self, number: int, **config: Any) -> Version:
        def fill(folder: Path) -> None:
            for name, content in version_files(1, **config).items():
                (folder / name).write_bytes(content)

        self.shelf.receive("trip", number, fill)
        return self.shelf.read("trip", number)

    def rows(self) -> int:
        return self.ledger.pages["trip"].tallies[1].rows

    def _put(self, key: str, data: bytes) -> None:
        self.written[key] = data


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def request(
    number: int, rows: int = 1, request_id: str = "", version: int = 1, model: str = "trip"
) -> list[Any]:
    """The records of one request, as Triton 2.51 writes them."""
    data = ",".join(["1", "2", "3"] * rows)
    answers = ",".join(["6"] * rows)
    return [
        {"id": number, "model_name": model, "model_version": version, "request_id": request_id},
        {"id": number, "timestamps": [{"name": "REQUEST_START", "ns": time.monotonic_ns()}]},
        tensor(number, "TENSOR_QUEUE_INPUT", "features", data, f"{rows},3"),
        tensor(number, "TENSOR_BACKEND_INPUT", "features", data, f"{rows},3"),
        tensor(number, "TENSOR_BACKEND_OUTPUT", "prediction", answers, f"{rows},1"),
    ]


def tensor(number: int, activity: str, name: str, data: str, shape: str) -> dict[str, Any]:
    return {
        "id": number,
        "activity": activity,
        "tensor": {"name": name, "data": data, "shape": shape, "dtype": "FP32"},
    }


def write(bench: Bench, name: str, *requests: list[Any], age: float = 0) -> Path:
    file = bench.traces / name
    file.write_text(json.dumps([record for each in requests for record in each]))
    os.utime(file, (time.time() - age, time.time() - age))
    return file


def test_a_finished_file_is_counted_once_and_removed(bench: Bench) -> None:
    file = write(bench, "trace.json.0", request(1, rows=2), request(2))
    bench.observe.tick()
    bench.observer().tick()
    assert bench.rows() == 3
    assert not file.exists()
    assert bench.ledger.trace_bytes == 0


def test_infinities_and_nan_are_read_as_c_prints_them() -> None:
    records = request(1)
    records[2]["tensor"]["data"] = "-nan,inf,-inf"
    values = parse(json.dumps(records))[0].inputs["features"][0]
    assert np.isnan(values[0])
    assert values[1:].tolist() == [np.inf, -np.inf]


def test_half_a_file_waits_for_its_rest_and_then_goes(bench: Bench) -> None:
    file = write(bench, "trace.json.0", request(1), request(2))
    whole = file.read_text()
    file.write_text(whole[:-30])
    bench.observe.tick()
    assert (bench.rows(), file.exists()) == (0, True)
    file.write_text(whole)
    bench.observe.tick()
    assert bench.rows() == 2
    file.write_text(whole[:-30])
    os.utime(file, (0, 0))
    bench.observe.tick()
    assert (bench.ledger.dropped["unreadable"], file.exists()) == (2, False)


@pytest.mark.parametrize("text", ["{}", '[{"model_name": "trip"}]', "[1]", '[{"id": 1, "model_name": "a"}]'])
def test_what_is_no_trace_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="trace"):
        parse(text)


def test_the_growing_file_is_read_from_where_it_was_left(bench: Bench) -> None:
    write(bench, "trace.json", request(1))
    bench.observe.tick()
    bench.observe.tick()
    write(bench, "trace.json", request(1), request(2))
    bench.observer().tick()
    assert bench.rows() == 2, "another process goes on where the first one was"
    write(bench, "trace.json", request(1))
    bench.observer().tick()
    assert bench.rows() == 3, "Triton began anew"


def test_what_a_full_disk_keeps_from_being_noted_is_counted_once_it_is_not_full(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(bench, "trace.json", request(1))
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patched.setattr(Path, "write_text", full)
        bench.observe.tick()
    assert bench.rows() == 0
    bench.observe.tick()
    bench.observe.tick()
    assert bench.rows() == 1


def test_a_growing_file_that_was_cut_off_is_passed_over(bench: Bench) -> None:
    file = write(bench, "trace.json", request(1))
    file.write_text(file.read_text()[:-20])
    bench.observe.tick()
    assert bench.ledger.dropped["unreadable"] == 0
    os.utime(file, (0, 0))
    bench.observe.tick()
    bench.observe.tick()
    assert bench.ledger.dropped["unreadable"] == 1


def test_the_oldest_files_go_when_all_are_too_many(tmp_path: Path) -> None:
    bench = Bench(tmp_path, most_bytes=2000)
    for number in range(5):
        write(bench, f"trace.json.{number}", request(number), age=100 - number)
    size = (bench.traces / "trace.json.0").stat().st_size
    bench.observe.tick()
    assert bench.rows() == 2000 // size
    assert bench.ledger.dropped["disk"] == 5 - 2000 // size


def test_what_is_no_customers_or_not_whole_is_not_counted(bench: Bench) -> None:
    odd = request(5)
    odd[4]["tensor"].update(data="6,6", shape="2,1")
    write(
        bench,
        "trace.json.0",
        request(1, request_id="golden-1"),
        request(2)[:4],
        request(3, version=9),
        request(4, model="trip_shadow"),
        odd,
    )
    bench.observe.tick()
    assert bench.rows() == 0
    assert (bench.ledger.dropped["incomplete"], bench.ledger.dropped["unknown"]) == (2, 2)


def test_counts_of_a_version_that_left_stay_for_a_while(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.ledger.serve("trip", bench.take_in(2))
    write(bench, "trace.json.0", request(1))
    bench.observe.tick()
    assert bench.rows() == 1
    bench.ledger.serve("trip", bench.version)
    bench.ledger.serve("trip", None)
    monkeypatch.setattr(ledgers, "LINGER_SECONDS", -1.0)
    bench.observe.tick()
    assert bench.ledger.pages == {}


def test_payloads_wait_while_the_store_is_away_and_the_oldest_go(tmp_path: Path) -> None:
    bench = Bench(tmp_path, payloads=True)
    away = [Later("away"), Later("away")]
    put = bench._put

    def sometimes(key: str, data: bytes) -> None:
        if away:
            raise away.pop()
        put(key, data)

    bench.payloads._put = sometimes
    for number in range(3):
        write(bench, f"trace.json.{number}", request(number, request_id=f"r{number}"))
    bench.observe.tick()
    bench.payloads.flush()
    assert bench.written == {}
    write(bench, "trace.json.9", *(request(number, request_id=f"s{number}") for number in range(20)))
    bench.observe.tick()
    bench.payloads.flush()
    bench.payloads.flush()
    (lines,) = bench.written.values()
    ids = [json.loads(line)["requestId"] for line in lines.splitlines()]
    assert ids[-1] == "s19"
    assert len(lines) <= 1000
    assert len(ids) + bench.ledger.dropped["payload"] == 23


def test_what_no_longer_fits_when_a_write_failed_is_dropped(tmp_path: Path) -> None:
    bench = Bench(tmp_path, payloads=True)
    rows = np.ones((1, 3))

    def away(key: str, data: bytes) -> None:
        for _ in range(9):
            bench.payloads.add("trip", 1, 0, "new", rows, rows)
        raise Later("away")

    put, bench.payloads._put = bench.payloads._put, away
    for _ in range(9):
        bench.payloads.add("trip", 1, 0, "old", rows, rows)
    bench.payloads.flush()
    bench.payloads._put = put
    bench.payloads.flush()
    (lines,) = bench.written.values()
    assert bench.ledger.dropped["payload"] == 18 - len(lines.splitlines()) > 0


def test_a_request_whose_clock_is_odd_is_of_now(tmp_path: Path) -> None:
    bench = Bench(tmp_path, payloads=True)
    records = request(1)
    records[1]["timestamps"][0]["ns"] = time.monotonic_ns() + 10**12
    write(bench, "trace.json.0", records)
    bench.observe.tick()
    bench.payloads.flush()
    assert abs(json.loads(next(iter(bench.written.values())))["time"] - time.time()) < 5


def test_a_shadow_that_fails_is_told(bench: Bench) -> None:
    answers = np.ones((2, 1), np.float32)
    question = Question("trip", np.ones((2, 3), np.float32), answers, "a")
    bench.replay.add(question)
    bench.ledger.shadow("trip", bench.take_in(2))
    bench.control.fails["ask trip_shadow"] = [Away("gone")]
    for _ in range(3):
        bench.replay.add(question)
    bench.replay.add(Question("trip", np.ones((2, 4), np.float32), answers, "b"))
    bench.replay.tick()
    assert bench.ledger.shadow_rows("trip") == 4
    assert bench.ledger.dropped["shadow"] == 2
    for _ in range(1002):
        bench.replay.add(question)
    assert bench.ledger.dropped["shadow"] == 4
    bench.ledger.shadow("trip", None)
    bench.replay.tick()
    assert bench.ledger.shadow_rows("trip") == 0


class Loop:
    """A reconcile loop over a Triton that can be told to fail; version 1 serves."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self.control = self.bench.control
        self.standing = Standing()
        self.sync = Sync(self.control, self.bench.shelf, self.standing, self.bench.ledger)
        with self.standing.model("trip") as self.model:
            self.model.pointer = Pointer(1)
        self.sync.tick()
        assert self.model.serving == 1
        self.bench.take_in(2)
        self.model.pointer = Pointer(2, 1)


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return Loop(tmp_path)


@pytest.mark.parametrize(("step", "bad"), [("load trip", Refused("no")), ("ask trip", BadVersion("wrong"))])
def test_a_version_that_fails_only_under_its_own_name_is_taken_back(
    loop: Loop, step: str, bad: Exception
) -> None:
    loop.control.fails[step] = [bad]
    loop.sync.tick()
    assert loop.control.loaded == {"trip": {1}}
    assert (loop.model.serving, list(loop.model.refused)) == (1, [2])
    assert "versions: [ 1 ]" in (loop.bench.shelf.root / "trip/config.pbtxt").read_text()
    loop.sync.tick()
    assert not (loop.bench.shelf.root / "trip/2").exists()


def test_a_first_version_that_fails_leaves_nothing(tmp_path: Path) -> None:
    loop = Loop(tmp_path)
    loop.model.pointer = Pointer(None)
    loop.sync.tick()
    loop.bench.take_in(2)
    loop.model.pointer = Pointer(2)
    loop.control.fails["load trip"] = [Refused("no")]
    loop.sync.tick()
    assert loop.control.loaded == {}
    assert (loop.model.serving, list(loop.model.refused)) == (None, [2])


def test_a_version_that_kills_triton_is_refused_after_some_tries(loop: Loop) -> None:
    loop.control.fails["load trip_candidate"] = [Away("died")] * DEATHS
    for attempt in range(1, DEATHS + 1):
        assert loop.model.refused == {}
        loop.control.loaded.pop("trip")
        loop.sync.tick()
        assert loop.control.loaded == {"trip": {1}}, attempt
    assert "went away 3 times" in loop.model.refused[2]


def test_a_triton_that_is_away_is_not_the_versions_fault(loop: Loop) -> None:
    loop.control.fails["serving"] = [Away("restarting")]
    loop.sync.tick()
    assert not loop.standing.ready()
    assert (loop.model.refused, loop.standing.failures["triton"]) == ({}, 1)
    loop.sync.tick()
    assert loop.model.serving == 2


def test_candidates_that_a_killed_process_left_are_unloaded(loop: Loop) -> None:
    loop.control.loaded["trip_candidate"] = {2}
    (loop.bench.shelf.root / "trip_candidate").mkdir()
    Sync(loop.control, loop.bench.shelf, Standing(), loop.bench.ledger).tick()
    assert "trip_candidate" not in loop.control.loaded
    assert not (loop.bench.shelf.root / "trip_candidate").exists()


def test_a_killed_process_leaves_no_half_version(tmp_path: Path) -> None:
    partial = tmp_path / ".versions/trip/7.partial"
    partial.mkdir(parents=True)
    shelf = Shelf(tmp_path)
    assert not partial.exists()
    with pytest.raises(BadVersion, match="cannot be read"):
        shelf.read("trip", 7)
