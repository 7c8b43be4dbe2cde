"""Counts what Triton's traces tell of the requests, and removes them."""

import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lifecycle.names import TRACE_FILE
from lifecycle.sidecar.drift_counters import DriftCounters
from lifecycle.sidecar.payload_writer import PayloadWriter
from lifecycle.sidecar.reconciler import GOLDEN
from lifecycle.sidecar.shadow_scorer import SampledRequest, ShadowScorer
from lifecycle.sidecar.trace_format import Trace, parse

MOST_BYTES = 256 * 1024 * 1024

# Triton writes a file in one go; what is not whole by then was cut off.
PATIENCE_SECONDS = 30.0

STATE = ".observed.json"

log = logging.getLogger("trace_reader")


@dataclass(frozen=True)
class TraceFile:
    """A file as it was when the folder was read; `age` is in seconds."""

    path: Path
    size: int
    age: float


class TraceReader:
    """Reads the folder that Triton writes its traces into.

    Files whose name ends in a number are those that Triton finished: each is removed and then counted, so
    that none is counted twice, whenever this process is killed. The one without grows: how far it was read is
    noted before it is counted.
    """

    def __init__(
        self,
        folder: Path,
        counters: DriftCounters,
        payload_writer: PayloadWriter,
        shadow_scorer: ShadowScorer,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Take up where the last process left off."""
        self._folder = folder
        self._counters = counters
        self._payload_writer = payload_writer
        self._shadow_scorer = shadow_scorer
        self._most_bytes = most_bytes
        self._offset = self._noted_offset()

    def tick(self) -> None:
        """Count what is there. What a full disk keeps from being noted is counted later."""
        try:
            self._tick()
        except OSError as error:
            log.error("%s", error)

    def _tick(self) -> None:
        self._bound()
        for file in self._files():
            if file.path.name == TRACE_FILE:
                self._read_growing(file)
            else:
                self._read_finished(file)
        self._counters.trace_bytes = sum(file.size for file in self._files())
        self._counters.expire()

    def _bound(self) -> None:
        """Remove the oldest files while all of them are too many."""
        files = self._files()
        total = sum(file.size for file in files)
        for file in files:
            if total <= self._most_bytes:
                return
            self._discard(file, "disk")
            total -= file.size

    def _read_finished(self, file: TraceFile) -> None:
        try:
            traces = parse(file.path.read_text())
        except FileNotFoundError:
            return
        except ValueError:
            if file.age > PATIENCE_SECONDS:
                self._discard(file, "unreadable")
            return
        file.path.unlink(missing_ok=True)
        self._count(traces)

    def _read_growing(self, file: TraceFile) -> None:
        # Smaller than what was read of it: Triton began anew.
        offset = self._offset if file.size >= self._offset else 0
        if file.size <= offset + 1:
            return
        # It is one list that is never complete but always closed: the bracket is overwritten by what comes.
        data = file.path.read_bytes()[offset:]
        text = data.decode(errors="replace").strip().removeprefix("[").removeprefix(",").removesuffix("]")
        try:
            traces = parse(f"[{text}]")
        except ValueError:
            if file.age > PATIENCE_SECONDS:
                self._note_offset(offset + len(data))
                self._counters.drop("unreadable", max(1, text.count('"model_name"')))
            return
        # The closing bracket is where the next trace begins.
        self._note_offset(offset + len(data) - (1 if data.rstrip().endswith(b"]") else 0))
        self._count(traces)

    def _count(self, traces: list[Trace]) -> None:
        for trace in traces:
            if trace.request_id.startswith(GOLDEN):
                continue
            if len(trace.inputs) != 1 or len(trace.outputs) != 1:
                self._counters.drop("incomplete")
                continue
            (features,), (predictions,) = trace.inputs.values(), trace.outputs.values()
            if features.ndim != 2 or predictions.ndim != 2 or len(features) != len(predictions):
                self._counters.drop("incomplete")
                continue
            version = self._counters.count(trace.model, trace.version, features, predictions)
            if version is None:
                # Candidates and shadows are not traced; this is a version that left long ago.
                self._counters.drop("unknown")
                continue
            if version.config.payloads:
                self._payload_writer.add(
                    trace.model, trace.version, _time(trace), trace.request_id, features, predictions
                )
            rows, answers = features.astype("float32"), predictions.astype("float32")
            self._shadow_scorer.add(SampledRequest(trace.model, rows, answers, trace.request_id))

    def _discard(self, file: TraceFile, reason: str) -> None:
        with suppress(FileNotFoundError):
            traces = file.path.read_bytes().count(b'"model_name"')
            file.path.unlink()
            self._counters.drop(reason, max(1, traces))
            log.warning("%s: %d traces are dropped", file.path.name, traces)

    def _files(self) -> list[TraceFile]:
        """The oldest first."""
        now = time.time()
        files = []
        for path in self._folder.glob(f"{TRACE_FILE}*"):
            with suppress(FileNotFoundError):
                stat = path.stat()
                files.append(TraceFile(path, stat.st_size, now - stat.st_mtime))
        return sorted(files, key=lambda file: -file.age)

    def _noted_offset(self) -> int:
        try:
            return int(json.loads((self._folder / STATE).read_bytes())["offset"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def _note_offset(self, offset: int) -> None:
        partial = self._folder / f"{STATE}.partial"
        partial.write_text(json.dumps({"offset": offset}))
        partial.replace(self._folder / STATE)
        self._offset = offset


def _time(trace: Trace, now: Callable[[], float] = time.time) -> float:
    """When a request began, in seconds since 1970; containers of one machine share its monotonic clock."""
    ago = (time.monotonic_ns() - trace.started) / 1e9
    return now() - ago if 0 <= ago < 86_400 else now()
