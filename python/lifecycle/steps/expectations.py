"""What a good batch is: bad rows are set aside with their reasons, and too many of them stop the run."""

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
"""Pandera's names for its own checks, and ours."""

TRUTH = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


@dataclass(frozen=True)
class Checked:
    """A batch after its check.

    `good` has the columns and types of the schema; `bad` the rows as they came, and a column `reason`.
    `reasons` counts rows; a row that is bad in two ways is counted under both.
    """

    good: pd.DataFrame
    bad: pd.DataFrame
    reasons: dict[str, int]


def check(table: pd.DataFrame, schema: Schema, period: Period) -> Checked:
    """Hold a batch, as it came, against its schema.

    Raises:
        PermanentError: There are no rows, a column is missing or wholly null, or more
            rows are bad than `max_quarantined` allows.
    """
    present(table, schema)
    typed, strange = coerced(table, schema)
    # What is of another type is null by now, and has its reason already.
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
    """Raise PermanentError where more than this share of the rows is bad, or all of them are."""
    if bad <= share * rows and bad < rows:
        return
    counts = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
    raise PermanentError(f"{what}: {bad} of {rows} rows are bad, {share:.4g} of them may be ({counts})")


def present(table: pd.DataFrame, schema: Schema) -> None:
    """Raise PermanentError where there is nothing to check row by row."""
    missing = [name for name in schema.columns if name not in table.columns]
    if missing:
        found = ", ".join(table.columns) or "none of the wanted ones"
        raise PermanentError(f"the batch has no column {', '.join(missing)}; there are: {found}")
    if table.empty:
        raise PermanentError("the batch is empty: it has columns and no rows")
    # Also where nulls are allowed: a column that has no value at all was not delivered.
    null = [name for name in schema.columns if table[name].isna().all()]
    if null:
        raise PermanentError(f"the batch has no value at all in column {', '.join(null)}")


def coerced(table: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, list[tuple[int, str]]]:
    """Return the columns as their types, and the rows whose values are of another one."""
    typed: dict[str, Any] = {}
    bad: list[tuple[int, str]] = []
    for name, column in schema.columns.items():
        typed[name] = COERCIONS[column.type](table[name])
        lost = table.index[typed[name].isna() & table[name].notna()]
        bad += [(int(row), f"{name}: not of type {column.type}") for row in lost]
    return pd.DataFrame(typed), bad


def failures(typed: pd.DataFrame, schema: Schema, period: Period) -> list[tuple[int, str]]:
    """Return the rows that break an expectation, each with what it breaks."""
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
    """The schema in pandera's words; types were seen to before."""
    columns = {
        # Without its time a row belongs neither to a batch nor to a side of the split.
        name: pa.Column(checks=checks(column), nullable=column.nullable and name != schema.timestamp)
        for name, column in schema.columns.items()
    }
    start, end = (moment.replace(tzinfo=None) for moment in (period.start, period.end))
    columns[schema.timestamp].checks.append(
        pa.Check(lambda times: (times >= start) & (times < end), error=f"outside of {period.batch}")
    )
    return pa.DataFrameSchema(columns, unique=list(columns), report_duplicates="exclude_first")


def checks(column: Column) -> list[Any]:
    """What is asked of each value of a column."""
    wanted = []
    if column.type == "float":
        wanted.append(pa.Check(np.isfinite, error="infinite"))
    if column.min is not None:
        wanted.append(pa.Check.ge(column.min, error=f"below {column.min:g}"))
    if column.max is not None:
        wanted.append(pa.Check.le(column.max, error=f"above {column.max:g}"))
    return wanted


def settled(good: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The good rows in the types that an owner expects; whole numbers with nulls among them stay floats."""
    types = {"int": "int64", "bool": "bool"}
    whole = {
        name: types[column.type]
        for name, column in schema.columns.items()
        if column.type in types and good[name].notna().all()
    }
    return good.astype(whole)


def as_text(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as they came; a column of several types cannot be written, so that it becomes text."""
    mixed = [name for name in rows.columns if rows[name].dtype == object]
    return rows.assign(**{name: rows[name].map(str, na_action="ignore").astype("str") for name in mixed})


def floats(values: Any) -> Any:
    """The values as float64, NaN where one is no number."""
    if pd.api.types.is_datetime64_any_dtype(values) or pd.api.types.is_bool_dtype(values):
        return pd.Series(np.nan, index=values.index)
    return pd.to_numeric(values, errors="coerce").astype("float64")


def ints(values: Any) -> Any:
    """The values as float64, NaN where one is no whole number."""
    numbers = floats(values)
    return numbers.where(numbers % 1 == 0)


def strings(values: Any) -> Any:
    """The values that are text."""
    return values.where(values.map(lambda value: isinstance(value, str)).astype(bool)).astype("str")


def bools(values: Any) -> Any:
    """The values as True and False, however they were written."""
    return values.map(lambda value: TRUTH.get(str(value).strip().lower()), na_action="ignore").astype(object)


def datetimes(values: Any) -> Any:
    """The values as moments in UTC, without saying so; what says no time zone is taken as UTC."""
    # A number is no moment: pandas would count it as nanoseconds since 1970.
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
