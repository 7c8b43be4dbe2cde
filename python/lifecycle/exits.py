"""Exceptions with which a step ends when it does not succeed."""

from typing import ClassVar

from lifecycle import names


class StepExit(Exception):
    """Ends a step with exit code `code`; the last line of its log is `word`, a colon and the message."""

    code: ClassVar[int]
    word: ClassVar[str]


class PermanentError(StepExit):
    """A retry cannot help: bad data, a model that cannot be served."""

    code, word = names.PERMANENT_ERROR.code, names.PERMANENT_ERROR.word


class RetryableError(StepExit):
    """A later retry may succeed: a server does not answer, a file is not published yet."""

    code, word = names.RETRYABLE_ERROR.code, names.RETRYABLE_ERROR.word


class GateRejected(StepExit):
    """The gate rejected the challenger; the champion goes on serving."""

    code, word = names.GATE_REJECTED.code, names.GATE_REJECTED.word
