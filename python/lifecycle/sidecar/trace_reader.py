"""The trace reader: counts the requests in Triton's trace files, and deletes the files."""

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

# A file that cannot be parsed at this age is damaged, because Triton writes each file without a pause.
PATIENCE_SECONDS = 30.0

STATE = ".observed.json"

log = logging.getLogger("trace_reader")


@dataclass(frozen=True)
class TraceFile:
    """A trace file when the folder was listed: size in bytes, and age in seconds."""

    path: Path
    size: int
    age: float


class TraceReader:
    """Reads the folder into which Triton writes its traces.

    Triton finished the files whose names end in a number. Each is deleted before it is counted, so that a
    killed process never counts a trace twice. The file without a number still grows; the position up to which
    it was read is saved before its traces are counted.
    """

    def __init__(
        self,
        folder: Path,
        counters: DriftCounters,
        payload_writer: PayloadWriter,
        shadow_scorer: ShadowScorer,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Continue at the position that the last process saved.

        Args:
            folder: The folder of traces.
            counters: Receives the values of traced requests.
            payload_writer: Receives requests of versions whose payloads are stored.
            shadow_scorer: Receives requests for a shadow to score.
            most_bytes: Size of the folder above which the oldest files are deleted unread.
        """
        self._folder = folder
        self._counters = counters
        self._payload_writer = payload_writer
        self._shadow_scorer = shadow_scorer
        self._most_bytes = most_bytes
        self._offset = self._noted_offset()

    def tick(self) -> None:
        """Count all new traces; traces whose position a full disk cannot save are counted by a later tick."""
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
        """Delete the oldest files until the folder has at most `most_bytes`."""
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
        # A file smaller than the saved position is a new one: Triton restarted.
        offset = self._offset if file.size >= self._offset else 0
        if file.size <= offset + 1:
            return
        # The file is always a closed JSON list: Triton overwrites the closing bracket with the next trace.
        data = file.path.read_bytes()[offset:]
        text = data.decode(errors="replace").strip().removeprefix("[").removeprefix(",").removesuffix("]")
        try:
            traces = parse(f"[{text}]")
        except ValueError:
            if file.age > PATIENCE_SECONDS:
                self._note_offset(offset + len(data))
                self._counters.drop("unreadable", max(1, text.count('"model_name"')))
            return
        # The next trace will begin at the position of the closing bracket.
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
                # For example a version whose counts have expired. Candidates and shadows are not traced.
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
        """Return the trace files, the oldest first."""
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
    """Return when a request began, in seconds since 1970.

    Traces use the monotonic clock, which all containers of a node share. A time that is not within the last
    day is replaced by the current time.
    """
    ago = (time.monotonic_ns() - trace.started) / 1e9
    return now() - ago if 0 <= ago < 86_400 else now()
