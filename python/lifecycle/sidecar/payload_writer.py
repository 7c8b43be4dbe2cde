"""Sampled requests on their way to the object store, where a pipeline asks for it."""

import json
import logging
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lifecycle.exits import StepExit

MOST_BYTES = 16 * 1024 * 1024
"""What waits while the store is away; more than that, and the oldest go."""

log = logging.getLogger("payload_writer")


class PayloadWriter:
    """Requests that wait to be written, as lines of JSON."""

    def __init__(
        self,
        put: Callable[[str, bytes], None],
        replica: str,
        dropped: Callable[[int], None],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """`put` writes an object, `dropped` counts requests that were never written."""
        self._put = put
        self._replica = replica
        self._dropped = dropped
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, int, bytes]] = deque()
        self._bytes = 0

    def add(
        self,
        pipeline: str,
        version: int,
        time: float,
        request_id: str,
        features: NDArray[np.floating],
        predictions: NDArray[np.floating],
    ) -> None:
        """Take a request; `time` is in seconds since 1970. NaN and infinities become null."""
        line = _line(
            {
                "time": round(time, 3),
                "requestId": request_id,
                "features": _plain(features),
                "predictions": _plain(predictions),
            }
        )
        lost = 0
        with self._lock:
            self._waiting.append((pipeline, version, line))
            self._bytes += len(line)
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._waiting.popleft()[2])
                lost += 1
        if lost:
            self._dropped(lost)

    def flush(self) -> None:
        """Write what waits, one object for each version; what cannot be written goes on waiting."""
        with self._lock:
            taken, self._waiting = self._waiting, deque()
            self._bytes = 0
        groups: dict[tuple[str, int], list[bytes]] = {}
        for pipeline, version, line in taken:
            groups.setdefault((pipeline, version), []).append(line)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{self._replica}.jsonl"
        while groups:
            pipeline, version = next(iter(groups))
            try:
                self._put(f"{pipeline}/payloads/{version}/{name}", b"".join(groups[pipeline, version]))
            except StepExit as error:
                log.warning("%s", error)
                break
            del groups[pipeline, version]
        self._give_back(groups)

    def _give_back(self, groups: dict[tuple[str, int], list[bytes]]) -> None:
        lines = [(*key, line) for key, group in groups.items() for line in group]
        lost = 0
        with self._lock:
            for each in reversed(lines):
                if self._bytes + len(each[2]) > self._most_bytes:
                    lost += 1
                    continue
                self._waiting.appendleft(each)
                self._bytes += len(each[2])
        if lost:
            self._dropped(lost)


def _plain(rows: NDArray[np.floating]) -> list[list[float | None]]:
    return [[float(value) if np.isfinite(value) else None for value in row] for row in rows]


def _line(fields: dict[str, Any]) -> bytes:
    return (json.dumps(fields, allow_nan=False, separators=(",", ":")) + "\n").encode()
