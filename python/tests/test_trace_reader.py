"""The trace reader, the shadow scorer, the payload writer and the reconciler, without any server."""

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lifecycle.exits import RetryableError
from lifecycle.model_repository import BadVersion, Pointer
from lifecycle.sidecar import drift_counters
from lifecycle.sidecar.drift_counters import DriftCounters
from lifecycle.sidecar.model_cache import ModelCache
from lifecycle.sidecar.model_version import ModelVersion, Rows
from lifecycle.sidecar.payload_writer import PayloadWriter
from lifecycle.sidecar.reconciler import DEATHS, Reconciler
from lifecycle.sidecar.serving_state import ServingState
from lifecycle.sidecar.shadow_scorer import SampledRequest, ShadowScorer
from lifecycle.sidecar.trace_format import parse
from lifecycle.sidecar.trace_reader import TraceReader
from lifecycle.sidecar.triton_client import Refused, TritonClient, Unavailable
from serving_stack import version_files


class ScriptedTriton(TritonClient):
    """A Triton client without a server: it answers as the models would; `fails` makes calls raise."""

    def __init__(self) -> None:
        self.loaded: dict[str, set[int]] = {}
        self.fails: dict[str, list[Exception]] = {}
        self.factor = 1.0
        self.cache: ModelCache

    def serving(self) -> dict[str, set[int]]:
        self._may("serving")
        return {name: set(versions) for name, versions in self.loaded.items()}

    def load(self, name: str) -> None:
        self._may(f"load {name}")
        text = (self.cache.root / name / "config.pbtxt").read_text()
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
    """A trace reader with the counters, the payload writer and the shadow scorer that it feeds."""

    def __init__(self, folder: Path, most_bytes: int = 10**6, **config: Any) -> None:
        self.traces = folder / "traces"
        self.traces.mkdir(exist_ok=True)
        self.cache = ModelCache(folder / "models")
        self.triton = ScriptedTriton()
        self.triton.cache = self.cache
        self.counters = DriftCounters()
        self.version = self.take_in(1, **config)
        self.counters.serve("trip", self.version)
        self.written: dict[str, bytes] = {}
        self.payload_writer = PayloadWriter(
            self._put, "r", lambda lost: self.counters.drop("payload", lost), 1000
        )
        self.shadow_scorer = ShadowScorer(self.triton, self.counters)
        self.most_bytes = most_bytes
        self.reader = self.new_reader()

    def new_reader(self) -> TraceReader:
        return TraceReader(
            self.traces, self.counters, self.payload_writer, self.shadow_scorer, self.most_bytes
        )

    def take_in(self, number: int, **config: Any) -> ModelVersion:
        def fill(folder: Path) -> None:
            for name, content in version_files(1, **config).items():
                (folder / name).write_bytes(content)

        self.cache.receive("trip", number, fill)
        return self.cache.read("trip", number)

    def rows(self) -> int:
        return self.counters.pipelines["trip"].versions[1].rows

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
    bench.reader.tick()
    bench.new_reader().tick()
    assert bench.rows() == 3
    assert not file.exists()
    assert bench.counters.trace_bytes == 0


def test_infinities_and_nan_are_read_as_c_prints_them() -> None:
    records = request(1)
    records[2]["tensor"]["data"] = "-nan,inf,-inf"
    values = parse(json.dumps(records))[0].inputs["features"][0]
    assert np.isnan(values[0])
    assert values[1:].tolist() == [np.inf, -np.inf]


def test_an_incomplete_file_is_kept_while_it_is_new_and_then_dropped(bench: Bench) -> None:
    file = write(bench, "trace.json.0", request(1), request(2))
    whole = file.read_text()
    file.write_text(whole[:-30])
    bench.reader.tick()
    assert (bench.rows(), file.exists()) == (0, True)
    file.write_text(whole)
    bench.reader.tick()
    assert bench.rows() == 2
    file.write_text(whole[:-30])
    os.utime(file, (0, 0))
    bench.reader.tick()
    assert (bench.counters.dropped["unreadable"], file.exists()) == (2, False)


@pytest.mark.parametrize("text", ["{}", '[{"model_name": "trip"}]', "[1]", '[{"id": 1, "model_name": "a"}]'])
def test_what_is_no_trace_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="trace"):
        parse(text)


def test_the_growing_file_is_read_from_where_it_was_left(bench: Bench) -> None:
    write(bench, "trace.json", request(1))
    bench.reader.tick()
    bench.reader.tick()
    write(bench, "trace.json", request(1), request(2))
    bench.new_reader().tick()
    assert bench.rows() == 2, "another process goes on where the first one was"
    write(bench, "trace.json", request(1))
    bench.new_reader().tick()
    assert bench.rows() == 3, "Triton began anew"


def test_traces_whose_position_a_full_disk_cannot_save_are_counted_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(bench, "trace.json", request(1))
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patched.setattr(Path, "write_text", full)
        bench.reader.tick()
    assert bench.rows() == 0
    bench.reader.tick()
    bench.reader.tick()
    assert bench.rows() == 1


def test_a_growing_file_that_was_cut_off_is_dropped(bench: Bench) -> None:
    file = write(bench, "trace.json", request(1))
    file.write_text(file.read_text()[:-20])
    bench.reader.tick()
    assert bench.counters.dropped["unreadable"] == 0
    os.utime(file, (0, 0))
    bench.reader.tick()
    bench.reader.tick()
    assert bench.counters.dropped["unreadable"] == 1


def test_the_oldest_files_are_deleted_above_the_size_limit(tmp_path: Path) -> None:
    bench = Bench(tmp_path, most_bytes=2000)
    for number in range(5):
        write(bench, f"trace.json.{number}", request(number), age=100 - number)
    size = (bench.traces / "trace.json.0").stat().st_size
    bench.reader.tick()
    assert bench.rows() == 2000 // size
    assert bench.counters.dropped["disk"] == 5 - 2000 // size


def test_golden_requests_and_incomplete_traces_are_not_counted(bench: Bench) -> None:
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
    bench.reader.tick()
    assert bench.rows() == 0
    assert (bench.counters.dropped["incomplete"], bench.counters.dropped["unknown"]) == (2, 2)


def test_counts_of_a_version_that_left_stay_for_a_while(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.counters.serve("trip", bench.take_in(2))
    write(bench, "trace.json.0", request(1))
    bench.reader.tick()
    assert bench.rows() == 1
    bench.counters.serve("trip", bench.version)
    bench.counters.serve("trip", None)
    monkeypatch.setattr(drift_counters, "LINGER_SECONDS", -1.0)
    bench.reader.tick()
    assert bench.counters.pipelines == {}


def test_payloads_are_queued_while_the_store_fails_and_the_oldest_are_dropped(tmp_path: Path) -> None:
    bench = Bench(tmp_path, payloads=True)
    away = [RetryableError("away"), RetryableError("away")]
    put = bench._put

    def sometimes(key: str, data: bytes) -> None:
        if away:
            raise away.pop()
        put(key, data)

    bench.payload_writer._put = sometimes
    for number in range(3):
        write(bench, f"trace.json.{number}", request(number, request_id=f"r{number}"))
    bench.reader.tick()
    bench.payload_writer.flush()
    assert bench.written == {}
    write(bench, "trace.json.9", *(request(number, request_id=f"s{number}") for number in range(20)))
    bench.reader.tick()
    bench.payload_writer.flush()
    bench.payload_writer.flush()
    (lines,) = bench.written.values()
    ids = [json.loads(line)["requestId"] for line in lines.splitlines()]
    assert ids[-1] == "s19"
    assert len(lines) <= 1000
    assert len(ids) + bench.counters.dropped["payload"] == 23


def test_payloads_that_no_longer_fit_after_a_failed_write_are_dropped(tmp_path: Path) -> None:
    bench = Bench(tmp_path, payloads=True)
    rows = np.ones((1, 3))

    def away(key: str, data: bytes) -> None:
        for _ in range(9):
            bench.payload_writer.add("trip", 1, 0, "new", rows, rows)
        raise RetryableError("away")

    put, bench.payload_writer._put = bench.payload_writer._put, away
    for _ in range(9):
        bench.payload_writer.add("trip", 1, 0, "old", rows, rows)
    bench.payload_writer.flush()
    bench.payload_writer._put = put
    bench.payload_writer.flush()
    (lines,) = bench.written.values()
    assert bench.counters.dropped["payload"] == 18 - len(lines.splitlines()) > 0


def test_a_request_with_an_impossible_start_gets_the_current_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, payloads=True)
    records = request(1)
    records[1]["timestamps"][0]["ns"] = time.monotonic_ns() + 10**12
    write(bench, "trace.json.0", records)
    bench.reader.tick()
    bench.payload_writer.flush()
    assert abs(json.loads(next(iter(bench.written.values())))["time"] - time.time()) < 5


def test_requests_that_the_shadow_cannot_score_are_counted_as_dropped(bench: Bench) -> None:
    answers = np.ones((2, 1), np.float32)
    sampled = SampledRequest("trip", np.ones((2, 3), np.float32), answers, "a")
    bench.shadow_scorer.add(sampled)
    bench.counters.shadow("trip", bench.take_in(2))
    bench.triton.fails["ask trip_shadow"] = [Unavailable("gone")]
    for _ in range(3):
        bench.shadow_scorer.add(sampled)
    bench.shadow_scorer.add(SampledRequest("trip", np.ones((2, 4), np.float32), answers, "b"))
    bench.shadow_scorer.tick()
    assert bench.counters.shadow_rows("trip") == 4
    assert bench.counters.dropped["shadow"] == 2
    for _ in range(1002):
        bench.shadow_scorer.add(sampled)
    assert bench.counters.dropped["shadow"] == 4
    bench.counters.shadow("trip", None)
    bench.shadow_scorer.tick()
    assert bench.counters.shadow_rows("trip") == 0


class Loop:
    """A reconciler with a ScriptedTriton; version 1 serves, and the pointer names version 2."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self.triton = self.bench.triton
        self.state = ServingState()
        self.reconciler = Reconciler(self.triton, self.bench.cache, self.state, self.bench.counters)
        with self.state.model("trip") as self.model:
            self.model.pointer = Pointer(1)
        self.reconciler.tick()
        assert self.model.serving == 1
        self.bench.take_in(2)
        self.model.pointer = Pointer(2, 1)


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return Loop(tmp_path)


@pytest.mark.parametrize(("step", "bad"), [("load trip", Refused("no")), ("ask trip", BadVersion("wrong"))])
def test_a_version_that_fails_under_the_pipelines_name_is_replaced_by_the_old_one(
    loop: Loop, step: str, bad: Exception
) -> None:
    loop.triton.fails[step] = [bad]
    loop.reconciler.tick()
    assert loop.triton.loaded == {"trip": {1}}
    assert (loop.model.serving, list(loop.model.refused)) == (1, [2])
    assert "versions: [ 1 ]" in (loop.bench.cache.root / "trip/config.pbtxt").read_text()
    loop.reconciler.tick()
    assert not (loop.bench.cache.root / "trip/2").exists()


def test_a_first_version_that_fails_leaves_nothing(tmp_path: Path) -> None:
    loop = Loop(tmp_path)
    loop.model.pointer = Pointer(None)
    loop.reconciler.tick()
    loop.bench.take_in(2)
    loop.model.pointer = Pointer(2)
    loop.triton.fails["load trip"] = [Refused("no")]
    loop.reconciler.tick()
    assert loop.triton.loaded == {}
    assert (loop.model.serving, list(loop.model.refused)) == (None, [2])


def test_a_version_that_kills_triton_is_refused_after_some_tries(loop: Loop) -> None:
    loop.triton.fails["load trip_candidate"] = [Unavailable("died")] * DEATHS
    for attempt in range(1, DEATHS + 1):
        assert loop.model.refused == {}
        loop.triton.loaded.pop("trip")
        loop.reconciler.tick()
        assert loop.triton.loaded == {"trip": {1}}, attempt
    assert "went away 3 times" in loop.model.refused[2]


def test_a_triton_that_is_away_is_not_the_versions_fault(loop: Loop) -> None:
    loop.triton.fails["serving"] = [Unavailable("restarting")]
    loop.reconciler.tick()
    assert not loop.state.ready()
    assert (loop.model.refused, loop.state.failures["triton"]) == ({}, 1)
    loop.reconciler.tick()
    assert loop.model.serving == 2


def test_candidates_that_a_killed_process_left_are_unloaded(loop: Loop) -> None:
    loop.triton.loaded["trip_candidate"] = {2}
    (loop.bench.cache.root / "trip_candidate").mkdir()
    Reconciler(loop.triton, loop.bench.cache, ServingState(), loop.bench.counters).tick()
    assert "trip_candidate" not in loop.triton.loaded
    assert not (loop.bench.cache.root / "trip_candidate").exists()


def test_a_killed_process_leaves_no_half_version(tmp_path: Path) -> None:
    partial = tmp_path / ".versions/trip/7.partial"
    partial.mkdir(parents=True)
    cache = ModelCache(tmp_path)
    assert not partial.exists()
    with pytest.raises(BadVersion, match="cannot be read"):
        cache.read("trip", 7)
