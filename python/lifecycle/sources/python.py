"""Batches that the owner's own function collects."""

from collections.abc import Sequence

import pandas as pd

from lifecycle.batches import Period
from lifecycle.exits import Stopped
from lifecycle.sources.raw_batch import Fetched, of_frame
from lifecycle.user_code import Owner


def fetch(owner: Owner, period: Period, wanted: Sequence[str]) -> Fetched:
    """Call `collect(start, end)` of model.py, with both in UTC.

    Raises:
        Later: It ended in an OSError.
        Stopped: There is no such function, it failed otherwise, or returned no DataFrame.
    """
    if not callable(owner.collect):
        raise Stopped(
            f"{owner.path} must define the function collect: the pipeline's source is of type 'python'"
        )
    frame = owner.call(owner.collect, period.start, period.end)
    if not isinstance(frame, pd.DataFrame):
        raise Stopped(f"collect in {owner.path} must return a pandas DataFrame, got {type(frame).__name__}")
    return of_frame(frame, wanted, f"collect in {owner.path.name}")
