"""The raw batch: the table that a source delivered, and the hash of its bytes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lifecycle.exits import PermanentError

BLOCK = 1 << 20


@dataclass(frozen=True)
class RawBatch:
    """A batch as the source delivered it; its values are not checked yet.

    Attributes:
        table: Rows x those of the wanted columns that the source has.
        dropped: Names of the source's other columns, sorted.
        sha256: Hash of the source's bytes; the same batch has the same hash.
        origin: Address or description of the source, for logs and the manifest.
    """

    table: pd.DataFrame
    dropped: tuple[str, ...]
    sha256: str
    origin: str


def read_table(path: Path, kind: Literal["parquet", "csv"], wanted: Sequence[str], origin: str) -> RawBatch:
    """Read the wanted columns of a Parquet or CSV file.

    Parquet columns keep their types. CSV has no types, so all its values are text.

    Raises:
        PermanentError: The file has another format, is truncated or damaged, or has a wanted column twice.
    """
    begin = beginning(path)
    if begin.lstrip().startswith(b"<"):
        raise PermanentError(f"{origin} is a page, not data; it begins {shown(begin)}")
    reader = read_parquet if kind == "parquet" else read_csv
    try:
        columns, table = reader(path, wanted)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise PermanentError(f"{origin} is no readable {kind}: {error}; it begins {shown(begin)}") from error
    return RawBatch(table, others(columns, wanted, origin), file_sha256(path), origin)


def from_frame(frame: pd.DataFrame, wanted: Sequence[str], origin: str) -> RawBatch:
    """Make a raw batch of a table's wanted columns. Its hash does not depend on the order of the rows.

    Raises:
        PermanentError: A wanted column occurs twice.
    """
    columns = [str(column) for column in frame.columns]
    dropped = others(columns, wanted, origin)
    table = frame.set_axis(columns, axis=1)[[name for name in wanted if name in columns]].reset_index(
        drop=True
    )
    rows = pd.util.hash_pandas_object(table.astype(object), index=False).sort_values().to_numpy()
    digest = hashlib.sha256("\n".join(table.columns).encode())
    digest.update(rows.astype("<u8").tobytes())
    return RawBatch(table, dropped, digest.hexdigest(), origin)


def read_parquet(path: Path, wanted: Sequence[str]) -> tuple[list[str], pd.DataFrame]:
    """Return the names of all columns, and the table of the wanted ones."""
    with pq.ParquetFile(path) as file:
        columns = list(file.schema_arrow.names)
        read = file.read(columns=[name for name in wanted if name in columns])
    return columns, read.to_pandas(ignore_metadata=True)


def read_csv(path: Path, wanted: Sequence[str]) -> tuple[list[str], pd.DataFrame]:
    """Return the names of all columns, and the table of the wanted ones as text; an empty cell is null."""
    text = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], index_col=False)
    return list(text.columns), text[[name for name in wanted if name in text.columns]]


def others(columns: Sequence[str], wanted: Sequence[str], origin: str) -> tuple[str, ...]:
    """Return the columns that are not wanted, sorted.

    Raises:
        PermanentError: A wanted column occurs twice.
    """
    twice = sorted({name for name in wanted if list(columns).count(name) > 1})
    if twice:
        raise PermanentError(f"{origin} has more than one column {', '.join(twice)}")
    return tuple(sorted(set(columns) - set(wanted)))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def beginning(path: Path) -> bytes:
    """Return the first 200 bytes of a file."""
    with path.open("rb") as file:
        return file.read(200)


def shown(begin: bytes) -> str:
    """Return the first 80 bytes as ASCII text that is safe to print."""
    return ascii(begin[:80].decode("utf-8", "replace"))
