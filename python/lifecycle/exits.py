"""How a step ends when it does not simply succeed."""

from typing import ClassVar

from lifecycle import names


class StepExit(Exception):
    """A step's end that Airflow is told by the exit code `code`, and the log by a line that begins `word`."""

    code: ClassVar[int]
    word: ClassVar[str]


class PermanentError(StepExit):
    """It cannot pass, however often it is tried: bad data, a model that cannot be served."""

    code, word = names.PERMANENT_ERROR.code, names.PERMANENT_ERROR.word


class RetryableError(StepExit):
    """It may pass later: a server is away, a file is not yet published."""

    code, word = names.RETRYABLE_ERROR.code, names.RETRYABLE_ERROR.word


class GateRejected(StepExit):
    """The challenger lost the gate: the champion stays."""

    code, word = names.GATE_REJECTED.code, names.GATE_REJECTED.word
