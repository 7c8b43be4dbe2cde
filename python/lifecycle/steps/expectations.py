"""Checks a batch against the schema: quarantines bad rows with reasons, and fails if there are too many."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from lifecycle.batches import Period
from lifecycle.exits import PermanentError
from lifecycle.spec import Column, Schema

REASONS = {"multiple_fields_uniqueness": "duplicate", "not_nullable": "null"}
"""Pandera's names of built-in checks, and the reasons that we write for them."""

TRUTH = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


@dataclass(frozen=True)
class Checked:
    """A batch after its check.

    Attributes:
        good: The good rows, with the columns and types of the schema.
        bad: The bad rows as the source delivered them, and a column `reason`.
        reasons: Number of rows for each reason; a row with two reasons counts under both.
    """

    good: pd.DataFrame
    bad: pd.DataFrame
    reasons: dict[str, int]


def check(table: pd.DataFrame, schema: Schema, period: Period) -> Checked:
    """Check a raw batch against the schema.

    Args:
        table: Rows x columns as the source delivered them, of any types.
        schema: The expected columns.
        period: The batch's period; rows with a timestamp outside of it are bad.

    Raises:
        PermanentError: There are no rows, a column is missing or all null, or more rows are bad than
            `max_quarantined` allows.
    """
    present(table, schema)
    typed, strange = coerced(table, schema)
    # Values of a wrong type are null in `typed`. Their rows have a reason already and are not checked again.
    sound = typed.drop(index=[row for row, _ in strange])
    bad = sorted({*strange, *failures(sound, schema, period)})
    reasons = Counter(reason for _, reason in bad)
    texts: dict[int, list[str]] = {}
    for row, reason in bad:
        texts.setdefault(row, []).append(reason)
    tolerated(len(texts), len(table), reasons, schema.max_quarantined, f"batch {period.batch}")
    quarantined = as_text(table.loc[list(texts)]).assign(reason=["; ".join(each) for each in texts.values()])
    good = typed.drop(index=list(texts)).reset_index(drop=True)
    return Checked(settled(good, schema), quarantined.reset_index(drop=True), dict(sorted(reasons.items())))


def tolerated(bad: int, rows: int, reasons: Counter[str], share: float, what: str) -> None:
    """Check that the share of bad rows is small enough.

    Args:
        bad: Number of bad rows.
        rows: Number of all rows.
        reasons: Number of rows for each reason, for the message.
        share: Largest tolerated share of bad rows, 0 to 1.
        what: Subject of the message, as in `batch 2024-01`.

    Raises:
        PermanentError: More than `share` of the rows are bad, or all are.
    """
    if bad <= share * rows and bad < rows:
        return
    counts = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
    raise PermanentError(f"{what}: {bad} of {rows} rows are bad, {share:.4g} of them may be ({counts})")


def present(table: pd.DataFrame, schema: Schema) -> None:
    """Raise PermanentError if a column is missing or all null, or if there are no rows."""
    missing = [name for name in schema.columns if name not in table.columns]
    if missing:
        found = ", ".join(table.columns) or "none of the wanted ones"
        raise PermanentError(f"the batch has no column {', '.join(missing)}; there are: {found}")
    if table.empty:
        raise PermanentError("the batch is empty: it has columns and no rows")
    # This holds for nullable columns too: a column without any value was probably not delivered.
    null = [name for name in schema.columns if table[name].isna().all()]
    if null:
        raise PermanentError(f"the batch has no value at all in column {', '.join(null)}")


def coerced(table: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, list[tuple[int, str]]]:
    """Convert the columns to the schema's types.

    Returns:
        The converted table, with null for each value that cannot be converted, and a pair (row, reason) for
        each such value.
    """
    typed: dict[str, Any] = {}
    bad: list[tuple[int, str]] = []
    for name, column in schema.columns.items():
        typed[name] = COERCIONS[column.type](table[name])
        lost = table.index[typed[name].isna() & table[name].notna()]
        bad += [(int(row), f"{name}: not of type {column.type}") for row in lost]
    return pd.DataFrame(typed), bad


def failures(typed: pd.DataFrame, schema: Schema, period: Period) -> list[tuple[int, str]]:
    """Return a pair (row, reason) for each failed check of the converted table."""
    try:
        expectations(schema, period).validate(typed, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        named = [REASONS.get(check, check) for check in cases["check"]]
        where = cases["column"].where(cases["check"] != "multiple_fields_uniqueness")
        found = zip(cases["index"], where, named, strict=True)
        return [
            (int(row), reason if pd.isna(column) else f"{column}: {reason}") for row, column, reason in found
        ]
    return []


def expectations(schema: Schema, period: Period) -> Any:
    """Return the pandera schema that checks nulls, ranges, the period and duplicates, but no types."""
    columns = {
        # The timestamp is never nullable: without it a row belongs neither to a batch nor to the holdout.
        name: pa.Column(checks=checks(column), nullable=column.nullable and name != schema.timestamp)
        for name, column in schema.columns.items()
    }
    start, end = (moment.replace(tzinfo=None) for moment in (period.start, period.end))
    columns[schema.timestamp].checks.append(
        pa.Check(lambda times: (times >= start) & (times < end), error=f"outside of {period.batch}")
    )
    return pa.DataFrameSchema(columns, unique=list(columns), report_duplicates="exclude_first")


def checks(column: Column) -> list[Any]:
    """Return the pandera checks of a column's values."""
    wanted = []
    if column.type == "float":
        wanted.append(pa.Check(np.isfinite, error="infinite"))
    if column.min is not None:
        wanted.append(pa.Check.ge(column.min, error=f"below {column.min:g}"))
    if column.max is not None:
        wanted.append(pa.Check.le(column.max, error=f"above {column.max:g}"))
    return wanted


def settled(good: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Convert int and bool columns to int64 and bool; with nulls they stay float64 and object."""
    types = {"int": "int64", "bool": "bool"}
    whole = {
        name: types[column.type]
        for name, column in schema.columns.items()
        if column.type in types and good[name].notna().all()
    }
    return good.astype(whole)


def as_text(rows: pd.DataFrame) -> pd.DataFrame:
    """Convert columns of dtype object to text, because Parquet cannot hold values of mixed types."""
    mixed = [name for name in rows.columns if rows[name].dtype == object]
    return rows.assign(**{name: rows[name].map(str, na_action="ignore").astype("str") for name in mixed})


def floats(values: Any) -> Any:
    """Convert to float64; a value that is no number becomes NaN."""
    if pd.api.types.is_datetime64_any_dtype(values) or pd.api.types.is_bool_dtype(values):
        return pd.Series(np.nan, index=values.index)
    return pd.to_numeric(values, errors="coerce").astype("float64")


def ints(values: Any) -> Any:
    """Convert to float64; a value that is no whole number becomes NaN."""
    numbers = floats(values)
    return numbers.where(numbers % 1 == 0)


def strings(values: Any) -> Any:
    """Keep text values; any other value becomes null."""
    return values.where(values.map(lambda value: isinstance(value, str)).astype(bool)).astype("str")


def bools(values: Any) -> Any:
    """Convert the spellings in TRUTH to True and False; any other value becomes null."""
    return values.map(lambda value: TRUTH.get(str(value).strip().lower()), na_action="ignore").astype(object)


def datetimes(values: Any) -> Any:
    """Convert to datetime64[us] in UTC without a time zone; a value without a time zone counts as UTC."""
    # Numbers become null: pandas would read them as nanoseconds since 1970.
    if not pd.api.types.is_datetime64_any_dtype(values):
        values = values.where(
            ~values.map(lambda value: isinstance(value, int | float | np.number)).astype(bool)
        )
    moments = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
    return moments.dt.tz_convert(None).astype("datetime64[us]")


COERCIONS: dict[str, Callable[[Any], Any]] = {
    "float": floats,
    "int": ints,
    "string": strings,
    "bool": bools,
    "datetime": datetimes,
}
