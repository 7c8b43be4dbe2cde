"""Batches from an object store: all objects of the source's format below a period's prefix, as one table."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lifecycle.batches import Period
from lifecycle.exits import RetryableError
from lifecycle.sources.raw_batch import RawBatch, read_table
from lifecycle.spec import S3Source
from lifecycle.store import PATIENCE, Store


def fetch(
    source: S3Source, period: Period, wanted: Sequence[str], folder: Path, *, patience: float = PATIENCE
) -> RawBatch:
    """Read the wanted columns of a period's objects, in the order of their keys.

    Raises:
        RetryableError: There is no object yet, or the store does not answer.
        PermanentError: The store refuses the request, or an object cannot be read as the source's format.
    """
    store = Store(source.bucket, patience=patience)
    prefix = period.render(source.prefix)
    origin = f"s3://{source.bucket}/{prefix}"
    keys = [key for key in store.list(prefix) if key.endswith(f".{source.format}")]
    parts = [part(store, source, key, wanted, folder) for key in keys]
    if not parts:
        raise RetryableError(f"not published yet: no *.{source.format} below {origin}")
    # A column that some objects lack is left out: pd.concat would fill the gaps with nulls.
    common = [name for name in wanted if all(name in each.table.columns for each in parts)]
    table = pd.concat([each.table[common] for each in parts], ignore_index=True)
    dropped = sorted({name for each in parts for name in each.dropped})
    names = "".join(
        f"{each.sha256}  {key.removeprefix(prefix)}\n" for key, each in zip(keys, parts, strict=True)
    )
    return RawBatch(table, tuple(dropped), hashlib.sha256(names.encode()).hexdigest(), origin)


def part(store: Store, source: S3Source, key: str, wanted: Sequence[str], folder: Path) -> RawBatch:
    """Read the wanted columns of one object.

    Raises:
        RetryableError: The object was deleted after it was listed.
        PermanentError: The object cannot be read as the source's format.
    """
    origin = f"s3://{source.bucket}/{key}"
    data = store.get(key)
    if data is None:
        raise RetryableError(f"{origin} went away while the batch was read")
    path = folder / "object"
    path.write_bytes(data)
    return read_table(path, source.format, wanted, origin)
