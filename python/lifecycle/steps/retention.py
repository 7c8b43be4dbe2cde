"""Sampled requests in the object store that have been kept for as long as the pipeline says."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from lifecycle.exits import PermanentError
from lifecycle.payloads import FOLDER, WRITTEN
from lifecycle.store import Store

MOST_OBJECTS = 50_000
"""Deleted in one run; the next run goes on. A replica writes at most 2,880 a day."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def delete_old(store: Store, kept: str, now: datetime) -> int:
    """Delete the objects below `payloads/` that are older than `kept`, and return how many.

    An object's age is in its name. One whose name does not begin with a time is not the sidecar's, and stays.

    Args:
        store: The pipeline's prefix of the bucket `data`.
        kept: A length of time, as in `90d`.
        now: With a time zone, UTC.

    Raises:
        RetryableError: The object store is away.
        PermanentError: It refuses, or `kept` is no length of time.
    """
    old = list(islice(_older(store, f"{now - _length(kept):{WRITTEN}}"), MOST_OBJECTS))
    store.delete(old)
    return len(old)


def _older(store: Store, written: str) -> Iterator[str]:
    """Yield the keys of what was written before; what was written later is hardly listed."""
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
