"""Step 2, preprocess: compute the features with model.py and split the rows by time."""

import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.exits import PermanentError
from lifecycle.spec import Feature, Schema
from lifecycle.steps.collect import data_key, parquet
from lifecycle.steps.context import Context
from lifecycle.steps.expectations import tolerated
from lifecycle.user_code import UserCode

HOLDOUT = 0.2
"""Share of the rows, the newest ones, that are held out."""
FEWEST = 50
"""Smallest number of rows in train and in holdout; metrics of fewer rows are too uncertain."""


def run(context: Context) -> None:
    """Write `train.parquet`, `holdout.parquet` and `preprocess.json` of this run.

    Both tables are rows x (features in the schema's order, then the target), float32, oldest row first.

    Raises:
        RetryableError: The object store does not answer.
        PermanentError: `features` returns a table that does not fit the schema, or too few rows are left.
    """
    collected = context.result("collect")
    user_code = UserCode.load(context.model_path)
    inputs = {
        "sha256": collected["sha256"],
        "codeSha256": user_code.sha256,
        "specSha256": context.spec.sha256,
    }
    if found(context, inputs):
        print("found: this run was preprocessed before, from the same data, model.py and spec")
        return
    schema = context.spec.collection.schema
    raw = rows_of(context, collected["sha256"])
    made = user_code.call(user_code.features, raw.copy())
    table = shaped(made, raw, schema, str(user_code.path))
    good, reasons = usable(table, schema)
    dropped = len(table) - len(good)
    tolerated(dropped, len(table), reasons, schema.max_quarantined, f"what features in {user_code.path} made")
    sides = split(good, raw.loc[good.index, schema.timestamp])
    result: dict[str, Any] = {
        "run": context.run,
        "batch": context.batch,
        "inputs": inputs,
        "rows": len(raw),
        "leftOut": len(raw) - len(table),
        "dropped": {"total": dropped, "reasons": dict(sorted(reasons.items()))},
    }
    for name, side in sides.items():
        data = parquet(side.reset_index(drop=True))
        context.data.put(context.key(f"{name}.parquet"), data)
        times = raw.loc[side.index, schema.timestamp]
        result[name] = {
            "key": context.key(f"{name}.parquet"),
            "sha256": hashlib.sha256(data).hexdigest(),
            "rows": len(side),
            "from": seconds(times.min()),
            "to": seconds(times.max()),
        }
        print(f"{name}: {len(side)} rows from {times.min()} to {times.max()}")
    print(f"features made {len(table)} rows of {len(raw)}; {dropped} of them dropped {dict(reasons)}")
    context.data.put_json(context.key("preprocess.json"), result)


def found(context: Context, inputs: dict[str, str]) -> bool:
    """Return whether this run already has a complete result from the same inputs."""
    result = context.data.get_json(context.key("preprocess.json"))
    if result is None or result["inputs"] != inputs:
        return False
    there = context.data.list(context.key(""))
    return all(result[name]["key"] in there for name in ("train", "holdout"))


def rows_of(context: Context, sha256: str) -> pd.DataFrame:
    """Return the good rows of a batch in the version with this hash, even if the batch has changed since.

    Raises:
        PermanentError: The object is missing or damaged.
    """
    key = data_key(context.batch, sha256)
    data = context.data.get(key)
    if data is None or hashlib.sha256(data).hexdigest() != sha256:
        state = "is gone" if data is None else "is not what its name says"
        raise PermanentError(f"{key} {state}: collect the batch again")
    return pd.read_parquet(io.BytesIO(data))


def shaped(made: Any, raw: pd.DataFrame, schema: Schema, path: str) -> pd.DataFrame:
    """Check the table that `features` returned and bring it into the schema's order.

    Args:
        made: The returned value.
        raw: The rows that `features` was called with.
        schema: Names the features and the target.
        path: Path of model.py, for messages.

    Returns:
        Rows x (features in the schema's order, then the target), float64, with the index of `made`.

    Raises:
        PermanentError: It is no DataFrame, is empty, has other columns, an index that does not identify rows
            of `raw`, or values that are no numbers.
    """
    if not isinstance(made, pd.DataFrame):
        raise PermanentError(f"features in {path} must return a pandas DataFrame, got {type(made).__name__}")
    wanted = [each.name for each in numbers(schema)]
    returned = list(made.columns)
    if sorted(map(str, returned)) != sorted(wanted):
        missing = [name for name in wanted if name not in returned]
        extra = [str(name) for name in returned if name not in wanted or returned.count(name) > 1]
        raise PermanentError(
            f"features in {path} must return exactly the columns of the schema: "
            f"missing are {missing or 'none'}, too many are {extra or 'none'}"
        )
    if not made.index.is_unique or not made.index.isin(raw.index).all():
        raise PermanentError(
            f"features in {path} must keep the index of the rows it was given: by it they are split by time"
        )
    if made.empty:
        raise PermanentError(f"features in {path} returned no row of {len(raw)}")
    columns = {}
    for name in wanted:
        column = made[name]
        if not pd.api.types.is_numeric_dtype(column):
            raise PermanentError(
                f"features in {path} must return numbers, got {column.dtype} in column {name}"
            )
        columns[name] = column.astype("Float64").to_numpy(dtype="float64", na_value=np.nan)
        if np.isnan(columns[name]).all():
            raise PermanentError(f"features in {path} returned no value at all in column {name}")
    return pd.DataFrame(columns, index=made.index)


def usable(table: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, Counter[str]]:
    """Drop the rows that break the schema's rules for features and target.

    Args:
        table: The result of `shaped`.
        schema: Types and ranges of the features and the target.

    Returns:
        The good rows as float32, and the number of dropped rows for each reason.
    """
    # A value too large for float32 becomes infinite and is then dropped as such.
    with np.errstate(over="ignore"):
        narrow = table.astype("float32")
    bad = pd.Series(False, index=table.index)
    reasons: Counter[str] = Counter()
    for each in numbers(schema):
        values = table[each.name]
        tests: Sequence[tuple[str, Any]] = (
            ("null", values.isna()),
            ("infinite", np.isinf(narrow[each.name])),
            ("not of type int", (values % 1 != 0) & np.isfinite(values) & (each.type == "int")),
            (f"below {each.min}", values < (-np.inf if each.min is None else each.min)),
            (f"above {each.max}", values > (np.inf if each.max is None else each.max)),
        )
        for reason, broken in tests:
            if broken.any():
                reasons[f"{each.name}: {reason}"] = int(broken.sum())
                bad |= broken
    return narrow[~bad], reasons


def split(rows: pd.DataFrame, times: Any) -> dict[str, pd.DataFrame]:
    """Split the rows by time into `train` (older) and `holdout` (newest); rows of equal time stay together.

    Args:
        rows: The rows to split.
        times: A Series with the time of each row, with the same index.

    Raises:
        PermanentError: Train or holdout would have fewer than FEWEST rows.
    """
    times = times.sort_values(kind="stable")
    ordered = rows.loc[times.index]
    moment = times.iloc[int(len(times) * (1 - HOLDOUT))]
    # Cut before or after the rows of this time: prefer a cut that leaves FEWEST rows in both parts, then the
    # one nearer to the share HOLDOUT.
    cuts = ((times >= moment).to_numpy(), (times > moment).to_numpy())
    held = min(cuts, key=lambda cut: (min(cut.sum(), (~cut).sum()) < FEWEST, abs(cut.mean() - HOLDOUT)))
    sides = {"train": ordered[~held], "holdout": ordered[held]}
    for name, side in sides.items():
        if len(side) < FEWEST:
            raise PermanentError(
                f"{name} would have {len(side)} of {len(rows)} rows, and needs at least {FEWEST}"
            )
    return sides


def numbers(schema: Schema) -> tuple[Feature, ...]:
    """Return the features, then the target."""
    return (*schema.features, schema.target)


def seconds(moment: Any) -> float:
    """Convert a pandas Timestamp without a time zone, in UTC, to seconds since 1970."""
    return float(moment.tz_localize("UTC").timestamp())
