"""What a source gave: a table, and the hash of the bytes it came from."""

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
    """A batch as the source gave it, its values unchecked.

    `table` has the wanted columns, as many of them as there were; `dropped` names the
    others. `sha256` is that of the source's bytes: the same for the same batch.
    """

    table: pd.DataFrame
    dropped: tuple[str, ...]
    sha256: str
    origin: str


def read_table(path: Path, kind: Literal["parquet", "csv"], wanted: Sequence[str], origin: str) -> RawBatch:
    """Read the wanted columns of a file.

    CSV says nothing of types: every value of it is text.

    Raises:
        PermanentError: The file is of another kind, cut off or damaged.
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
    """Take the wanted columns of a table; its hash is that of its rows, in whatever order they came."""
    columns = [str(column) for column in frame.columns]
    dropped = others(columns, wanted, origin)
    kept = frame.set_axis(columns, axis=1)[[name for name in wanted if name in columns]].reset_index(
        drop=True
    )
    rows = pd.util.hash_pandas_object(kept.astype(object), index=False).sort_values().to_numpy()
    digest = hashlib.sha256("\n".join(kept.columns).encode())
    digest.update(rows.astype("<u8").tobytes())
    return RawBatch(kept, dropped, digest.hexdigest(), origin)


def read_parquet(path: Path, wanted: Sequence[str]) -> tuple[list[str], pd.DataFrame]:
    """Return the columns that there are, and the table of the wanted ones."""
    with pq.ParquetFile(path) as file:
        columns = list(file.schema_arrow.names)
        read = file.read(columns=[name for name in wanted if name in columns])
    return columns, read.to_pandas(ignore_metadata=True)


def read_csv(path: Path, wanted: Sequence[str]) -> tuple[list[str], pd.DataFrame]:
    """Return the columns that there are, and the table of the wanted ones; an empty cell is null."""
    text = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], index_col=False)
    return list(text.columns), text[[name for name in wanted if name in text.columns]]


def others(columns: Sequence[str], wanted: Sequence[str], origin: str) -> tuple[str, ...]:
    """The columns that nobody wants, sorted; one that is wanted may be there only once."""
    twice = sorted({name for name in wanted if list(columns).count(name) > 1})
    if twice:
        raise PermanentError(f"{origin} has more than one column {', '.join(twice)}")
    return tuple(sorted(set(columns) - set(wanted)))


def file_sha256(path: Path) -> str:
    """The hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def beginning(path: Path) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(200)


def shown(begin: bytes) -> str:
    """The first characters of a file, so that a log can hold them."""
    return ascii(begin[:80].decode("utf-8", "replace"))
