"""The payload writer: stores sampled requests of pipelines with `serving.payloads` in the object store."""

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
from lifecycle.payloads import FOLDER, WRITTEN

MOST_BYTES = 16 * 1024 * 1024
"""Largest size of the queue while the store does not answer; beyond it the oldest requests are dropped."""

log = logging.getLogger("payload_writer")


class PayloadWriter:
    """A queue of requests, each a line of JSON, that `flush` writes to the object store."""

    def __init__(
        self,
        put: Callable[[str, bytes], None],
        replica: str,
        dropped: Callable[[int], None],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Start with an empty queue.

        Args:
            put: Writes an object, given its key and its bytes.
            replica: This replica's name, part of the objects' names.
            dropped: Called with the number of requests that were dropped.
            most_bytes: Largest size of the queue.
        """
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
        """Queue a request; NaN and infinities become null.

        Args:
            pipeline: Its name.
            version: The version that answered.
            time: Start of the request, in seconds since 1970.
            request_id: The client's id of the request.
            features: Shape [rows, inputs].
            predictions: Shape [rows, outputs].
        """
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
        """Write the queue, one object for each version; requests that cannot be written stay queued."""
        with self._lock:
            taken, self._waiting = self._waiting, deque()
            self._bytes = 0
        groups: dict[tuple[str, int], list[bytes]] = {}
        for pipeline, version, line in taken:
            groups.setdefault((pipeline, version), []).append(line)
        name = f"{datetime.now(UTC):{WRITTEN}}-{self._replica}.jsonl"
        while groups:
            pipeline, version = next(iter(groups))
            try:
                self._put(f"{pipeline}/{FOLDER}{version}/{name}", b"".join(groups[pipeline, version]))
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
