"""The second step: the owner's features, split by time into what is trained on and what is held out."""

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
"""Share of the rows, the newest ones."""
FEWEST = 50
"""Rows on each side of the split: fewer say nothing about a model."""


def run(context: Context) -> None:
    """Leave `train.parquet`, `holdout.parquet` and `preprocess.json` of this run.

    Both tables have the features in the order of the schema and then the target, as float32,
    oldest row first.

    Raises:
        PermanentError: What `features` returns is not what the schema says, or too few rows are left.
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
    """Whether this run has its result, made of these inputs."""
    result = context.data.get_json(context.key("preprocess.json"))
    if result is None or result["inputs"] != inputs:
        return False
    there = context.data.list(context.key(""))
    return all(result[name]["key"] in there for name in ("train", "holdout"))


def rows_of(context: Context, sha256: str) -> pd.DataFrame:
    """The good rows of the batch that this run collected, whatever has become of the batch since."""
    key = data_key(context.batch, sha256)
    data = context.data.get(key)
    if data is None or hashlib.sha256(data).hexdigest() != sha256:
        state = "is gone" if data is None else "is not what its name says"
        raise PermanentError(f"{key} {state}: collect the batch again")
    return pd.read_parquet(io.BytesIO(data))


def shaped(made: Any, raw: pd.DataFrame, schema: Schema, path: str) -> pd.DataFrame:
    """What `features` returned, in the order of the schema, as float64.

    Raises:
        PermanentError: It is no table, of other columns, of rows that cannot be told apart, or not of
            numbers.
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
    """The rows that a model can be made of, as float32, and how many others there are of each kind."""
    # What is too large for a float32 becomes infinite, and is found as such.
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
    """The older rows to train on and the newest to hold out; rows of one moment stay together.

    Raises:
        PermanentError: A side has fewer than 50 rows.
    """
    times = times.sort_values(kind="stable")
    ordered = rows.loc[times.index]
    moment = times.iloc[int(len(times) * (1 - HOLDOUT))]
    # The cut before or behind the rows of that moment: what leaves enough, and comes nearer to the share.
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
    """The features and the target."""
    return (*schema.features, schema.target)


def seconds(moment: Any) -> float:
    """A moment in UTC as seconds since 1970."""
    return float(moment.tz_localize("UTC").timestamp())
