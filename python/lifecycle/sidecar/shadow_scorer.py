"""The shadow scorer: sends sampled requests to the shadow and counts its predictions."""

import queue
from dataclasses import dataclass

from lifecycle.sidecar.drift_counters import DriftCounters
from lifecycle.sidecar.model_version import Rows
from lifecycle.sidecar.reconciler import ask
from lifecycle.sidecar.triton_client import Refused, TritonClient, Unavailable

MOST_WAITING = 1000


@dataclass(frozen=True)
class SampledRequest:
    """A sampled request: `rows`, shape [rows, inputs], and the served predictions, shape [rows, outputs]."""

    pipeline: str
    rows: Rows
    answers: Rows
    request_id: str


class ShadowScorer:
    """A queue of sampled requests for shadows, so that a slow shadow delays no other thread."""

    def __init__(self, triton: TritonClient, counters: DriftCounters) -> None:
        """Start with an empty queue."""
        self._triton = triton
        self._counters = counters
        self._waiting: queue.Queue[SampledRequest] = queue.Queue(MOST_WAITING)

    def add(self, request: SampledRequest) -> None:
        """Queue a request if its pipeline has a shadow; if the queue is full, the request is dropped."""
        if self._counters.shadow_version(request.pipeline) is None:
            return
        try:
            self._waiting.put_nowait(request)
        except queue.Full:
            self._counters.drop("shadow")

    def tick(self) -> None:
        """Score all queued requests; those that fail are dropped."""
        while True:
            try:
                request = self._waiting.get_nowait()
            except queue.Empty:
                return
            version = self._counters.shadow_version(request.pipeline)
            if version is None:
                continue
            if request.rows.shape[1] != version.config.inputs:
                self._counters.drop("shadow")
                continue
            name = f"{request.pipeline}_shadow"
            try:
                answers = ask(self._triton, name, version, request.rows, f"shadow-{request.request_id}")
            except (Unavailable, Refused):
                self._counters.drop("shadow")
                continue
            self._counters.count_shadow(request.pipeline, version.number, answers, request.answers)
