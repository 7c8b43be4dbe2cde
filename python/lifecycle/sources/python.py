"""Batches from the function `collect` of the pipeline's model.py."""

from collections.abc import Sequence

import pandas as pd

from lifecycle.batches import Period
from lifecycle.exits import PermanentError
from lifecycle.sources.raw_batch import RawBatch, from_frame
from lifecycle.user_code import UserCode


def fetch(user_code: UserCode, period: Period, wanted: Sequence[str]) -> RawBatch:
    """Call `collect(start, end)` of model.py with the period's bounds in UTC.

    Raises:
        RetryableError: The function raised an OSError.
        PermanentError: model.py has no such function, or it raised another error or returned no DataFrame.
    """
    if not callable(user_code.collect):
        raise PermanentError(
            f"{user_code.path} must define the function collect: the pipeline's source is of type 'python'"
        )
    frame = user_code.call(user_code.collect, period.start, period.end)
    if not isinstance(frame, pd.DataFrame):
        raise PermanentError(
            f"collect in {user_code.path} must return a pandas DataFrame, got {type(frame).__name__}"
        )
    return from_frame(frame, wanted, f"collect in {user_code.path.name}")
