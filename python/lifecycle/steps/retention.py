"""Deletes sampled requests from the object store when their retention time is over."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from lifecycle.exits import PermanentError
from lifecycle.payloads import FOLDER, WRITTEN
from lifecycle.store import Store

MOST_OBJECTS = 50_000
"""Largest number of objects that one run deletes; the next run continues.

A replica writes at most 2,880 objects a day for each model, one every 30 seconds."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def delete_old(store: Store, keep_for: str, now: datetime) -> int:
    """Delete the objects below `payloads/` that are older than `keep_for`, and return their number.

    The time of writing is read from an object's name. An object whose name does not begin with a time was not
    written by the sidecar and is kept.

    Args:
        store: The pipeline's prefix of the bucket `data`.
        keep_for: A duration, as in `90d`.
        now: The current time, in UTC and aware of it.

    Raises:
        RetryableError: The object store does not answer.
        PermanentError: The object store refuses the request, or `keep_for` is not a duration.
    """
    old = list(islice(_older(store, f"{now - _length(keep_for):{WRITTEN}}"), MOST_OBJECTS))
    store.delete(old)
    return len(old)


def _older(store: Store, written: str) -> Iterator[str]:
    """Yield the keys of objects written before `written`, a time in the format WRITTEN.

    Keys sort by time, so listing a version's folder ends at its first newer object.
    """
    for version in store.folders(FOLDER):
        for key in store.walk(version):
            found = re.match(r"\d{8}T\d{12}Z", key.removeprefix(version))
            if found is None:
                continue
            if found[0] >= written:
                break
            yield key


def _length(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9]\d*)([smhd])", text)
    if found is None:
        raise PermanentError(
            f"serving.payloadRetention must be a length of time, as in '36h' or '90d', got {text!r}"
        )
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
