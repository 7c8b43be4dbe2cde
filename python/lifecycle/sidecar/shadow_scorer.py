"""Asks the shadow what was asked of the model that serves."""

import queue
from dataclasses import dataclass

from lifecycle.sidecar.drift_counters import DriftCounters
from lifecycle.sidecar.model_version import Rows
from lifecycle.sidecar.reconciler import ask
from lifecycle.sidecar.triton_client import Refused, TritonClient, Unavailable

MOST_WAITING = 1000


@dataclass(frozen=True)
class SampledRequest:
    """Rows of one sampled request, shape [rows, inputs], and the answers to them, [rows, outputs]."""

    pipeline: str
    rows: Rows
    answers: Rows
    request_id: str


class ShadowScorer:
    """Requests that wait for a shadow: it may be slow, and must slow down nothing."""

    def __init__(self, triton: TritonClient, counters: DriftCounters) -> None:
        """Nothing waits."""
        self._triton = triton
        self._counters = counters
        self._waiting: queue.Queue[SampledRequest] = queue.Queue(MOST_WAITING)

    def add(self, request: SampledRequest) -> None:
        """Take a request, if its pipeline has a shadow."""
        if self._counters.shadow_version(request.pipeline) is None:
            return
        try:
            self._waiting.put_nowait(request)
        except queue.Full:
            self._counters.drop("shadow")

    def tick(self) -> None:
        """Ask all that waits."""
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
