from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.batches import Period
from lifecycle.exits import PermanentError
from lifecycle.spec import Column, Feature, Schema
from lifecycle.steps.expectations import Checked, check
from trip_files import trips

JANUARY = Period.of("2024-01")
SCHEMA = Schema(
    columns={
        "begun": Column("datetime", False),
        "distance": Column("float", False, min=0, max=100),
        "zone": Column("int", False, min=1, max=265),
        "name": Column("string", nullable=True),
        "paid": Column("bool", False),
    },
    timestamp="begun",
    features=(Feature("distance", "float"),),
    target=Feature("minutes", "float"),
    max_quarantined=0.5,
)


def table(rows: int = 20) -> pd.DataFrame:
    made = trips(rows)[["begun", "distance"]]
    return made.assign(zone=range(1, rows + 1), name="a", paid=True)


def with_values(column: str, *values: Any) -> pd.DataFrame:
    """The table with these values in the first rows of a column."""
    made = table()
    return made.assign(**{column: pd.Series([*values, *made[column][len(values) :]], dtype=object)})


def test_a_good_batch_keeps_every_row_and_has_the_types_of_the_schema() -> None:
    checked = check(table(), SCHEMA, JANUARY)
    assert (len(checked.good), len(checked.bad), checked.reasons) == (20, 0, {})
    assert [str(kind) for kind in checked.good.dtypes] == [
        "datetime64[us]",
        "float64",
        "int64",
        "str",
        "bool",
    ]
    assert list(checked.bad.columns) == [*SCHEMA.columns, "reason"]


def test_a_batch_of_text_is_the_same_as_one_of_types() -> None:
    text = (
        table()
        .astype({"distance": str, "zone": str, "paid": str})
        .assign(begun=lambda t: t["begun"].astype(str))
    )
    pd.testing.assert_frame_equal(check(text, SCHEMA, JANUARY).good, check(table(), SCHEMA, JANUARY).good)


@pytest.mark.parametrize(
    ("column", "values", "reasons"),
    [
        ("distance", ["far", -1, 101, np.inf, None], {
            "distance: above 100": 2, "distance: below 0": 1, "distance: infinite": 1,
            "distance: not of type float": 1, "distance: null": 1,
        }),
        ("distance", [float("nan"), "-inf", datetime(2024, 1, 1)], {
            "distance: below 0": 1, "distance: infinite": 1,
            "distance: not of type float": 1, "distance: null": 1,
        }),
        ("zone", [1.5, "x", 0, 266, np.inf], {
            "zone: above 265": 1, "zone: below 1": 1, "zone: not of type int": 3,
        }),
        ("name", [3, b"b", None], {"name: not of type string": 2}),
        ("paid", ["yes", 2, None, 0, "FALSE"], {"paid: not of type bool": 2, "paid: null": 1}),
        ("begun", ["yesterday", 1704067200, 1.5, None], {"begun: not of type datetime": 3, "begun: null": 1}),
        ("begun", ["2023-12-31T23:59:59.999999", "2024-02-01", "2024-01-01", "2024-02-01T00:30+01:00"], {
            "begun: outside of 2024-01": 2,
        }),
    ],
)  # fmt: skip
def test_bad_values_are_set_aside_each_with_its_reason(
    column: str, values: Sequence[Any], reasons: dict[str, int]
) -> None:
    checked = check(with_values(column, *values), SCHEMA, JANUARY)
    assert checked.reasons == reasons
    written = [reason for each in checked.bad["reason"] for reason in each.split("; ")]
    assert {reason: written.count(reason) for reason in written} == reasons
    assert len(checked.good) + len(checked.bad) == 20


def test_values_of_other_kinds_that_mean_the_same_are_good() -> None:
    made = table().assign(distance=Decimal("1.5"), begun=[date(2024, 1, 1 + day) for day in range(20)])
    checked = check(made, SCHEMA, JANUARY)
    assert checked.reasons == {}
    assert checked.good["distance"].tolist() == [1.5] * 20
    assert checked.good["begun"][19] == pd.Timestamp("2024-01-20")


def test_times_of_another_time_zone_are_converted_to_utc() -> None:
    made = table().assign(begun=lambda t: t["begun"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"))
    assert check(made, SCHEMA, JANUARY).good["begun"].equals(check(table(), SCHEMA, JANUARY).good["begun"])


def test_times_and_booleans_are_no_numbers() -> None:
    schema = replace(SCHEMA, columns={"begun": Column("datetime", False), "distance": Column("float", False)})
    for column in ("begun", "paid"):
        with pytest.raises(PermanentError, match=r"20 of 20 rows are bad.*distance: not of type float: 20"):
            check(table().assign(distance=table()[column]), schema, JANUARY)


def test_whole_numbers_with_nulls_among_them_stay_floats() -> None:
    schema = replace(SCHEMA, columns=SCHEMA.columns | {"zone": Column("int", nullable=True)})
    good = check(with_values("zone", None, 2), schema, JANUARY).good
    assert good["zone"].dtype == "float64"
    assert good["zone"].isna().tolist() == [True] + [False] * 19


def test_duplicates_of_a_row_are_quarantined() -> None:
    made = pd.concat([table(), table()[3:5], table()[3:4]], ignore_index=True)
    checked = check(made, SCHEMA, JANUARY)
    assert checked.reasons == {"duplicate": 3}
    pd.testing.assert_frame_equal(checked.good, check(table(), SCHEMA, JANUARY).good)


def test_a_row_that_is_bad_in_two_ways_is_one_row_and_counted_under_both() -> None:
    made = table()
    made.loc[0, ["distance", "zone"]] = [-1, 300]
    checked = check(made, SCHEMA, JANUARY)
    assert (len(checked.bad), checked.reasons) == (1, {"distance: below 0": 1, "zone: above 265": 1})
    assert checked.bad["reason"].tolist() == ["distance: below 0; zone: above 265"]


def test_bad_rows_are_kept_as_they_came() -> None:
    checked = check(with_values("distance", "far", 5), SCHEMA, JANUARY)
    assert checked.bad["distance"].tolist() == ["far"]
    assert checked.bad["begun"].tolist() == [pd.Timestamp("2024-01-01")]


def test_rows_without_a_time_are_bad_even_where_nulls_are_allowed() -> None:
    schema = replace(SCHEMA, columns=SCHEMA.columns | {"begun": Column("datetime", nullable=True)})
    assert check(with_values("begun", None), schema, JANUARY).reasons == {"begun: null": 1}


@pytest.mark.parametrize(("bad", "stops"), [(10, False), (11, True)])
def test_too_many_bad_rows_stop_the_run_and_are_counted(bad: int, stops: bool) -> None:
    def outcome() -> Checked:
        return check(with_values("distance", *[-1.0 - row for row in range(bad)]), SCHEMA, JANUARY)

    if not stops:
        assert outcome().reasons == {"distance: below 0": bad}
        return
    with pytest.raises(
        PermanentError,
        match=r"batch 2024-01: 11 of 20 rows are bad, 0\.5 of them may be \(distance: below 0: 11\)",
    ):
        outcome()


def test_a_batch_without_a_good_row_stops_whatever_the_tolerance() -> None:
    with pytest.raises(PermanentError, match="20 of 20 rows are bad"):
        check(table().assign(distance=range(-20, 0)), replace(SCHEMA, max_quarantined=1), JANUARY)


def test_missing_columns_stop_and_what_there_is_is_named() -> None:
    with pytest.raises(PermanentError, match="no column zone, paid; there are: begun, distance, name"):
        check(table().drop(columns=["zone", "paid"]), SCHEMA, JANUARY)
    with pytest.raises(PermanentError, match="there are: none of the wanted ones"):
        check(pd.DataFrame(), SCHEMA, JANUARY)


def test_an_empty_batch_stops() -> None:
    with pytest.raises(PermanentError, match="the batch is empty"):
        check(table()[:0], SCHEMA, JANUARY)


def test_a_column_without_any_value_stops_even_where_nulls_are_allowed() -> None:
    with pytest.raises(PermanentError, match="no value at all in column name"):
        check(table().assign(name=None), SCHEMA, JANUARY)


def test_the_bounds_themselves_are_good() -> None:
    made = with_values("distance", 0, 100)
    made.loc[0, "begun"] = datetime(2024, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    assert check(made, SCHEMA, JANUARY).reasons == {}
