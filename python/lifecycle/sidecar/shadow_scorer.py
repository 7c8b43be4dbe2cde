"""Asks the shadow what was asked of the model that serves."""

import queue
from dataclasses import dataclass

from lifecycle.sidecar.drift_counters import Ledger
from lifecycle.sidecar.model_version import Rows
from lifecycle.sidecar.reconciler import ask
from lifecycle.sidecar.triton_client import Away, Refused, TritonControl

MOST_WAITING = 1000


@dataclass(frozen=True)
class Question:
    """Rows of one sampled request, shape [rows, inputs], and the answers to them, [rows, outputs]."""

    pipeline: str
    rows: Rows
    answers: Rows
    request_id: str


class Replay:
    """Questions that wait for a shadow: it may be slow, and must slow down nothing."""

    def __init__(self, control: TritonControl, ledger: Ledger) -> None:
        """Nothing waits."""
        self._control = control
        self._ledger = ledger
        self._waiting: queue.Queue[Question] = queue.Queue(MOST_WAITING)

    def add(self, question: Question) -> None:
        """Take a question, if its pipeline has a shadow."""
        if self._ledger.shadow_version(question.pipeline) is None:
            return
        try:
            self._waiting.put_nowait(question)
        except queue.Full:
            self._ledger.drop("shadow")

    def tick(self) -> None:
        """Ask all that waits."""
        while True:
            try:
                question = self._waiting.get_nowait()
            except queue.Empty:
                return
            version = self._ledger.shadow_version(question.pipeline)
            if version is None:
                continue
            if question.rows.shape[1] != version.config.inputs:
                self._ledger.drop("shadow")
                continue
            name = f"{question.pipeline}_shadow"
            try:
                answers = ask(self._control, name, version, question.rows, f"shadow-{question.request_id}")
            except (Away, Refused):
                self._ledger.drop("shadow")
                continue
            self._ledger.count_shadow(question.pipeline, version.number, answers, question.answers)
