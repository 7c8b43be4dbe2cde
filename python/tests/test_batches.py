import random
from datetime import UTC, datetime, timedelta

import pytest

from lifecycle.batches import Period, batch_of, later_by, period_of
from lifecycle.exits import PermanentError
from lifecycle.spec import Granularity, PythonSource

GRANULARITIES: tuple[Granularity, ...] = ("year", "month", "date", "hour")


@pytest.mark.parametrize(
    ("batch", "start", "end"),
    [
        ("2024", datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)),
        ("2024-02", datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)),
        ("2024-12", datetime(2024, 12, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)),
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)),
        ("2024-01-31T23", datetime(2024, 1, 31, 23, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)),
    ],
)
def test_a_batch_is_a_period(batch: str, start: datetime, end: datetime) -> None:
    period = Period.of(batch)
    assert (period.start, period.end, period.batch) == (start, end, batch)


@pytest.mark.parametrize(
    "batch", ["", "24", "2024-1", "2024-13", "2023-02-29", "2024-01-31T24", "2024-01\n", "٢٠٢٤"]
)
def test_a_name_that_is_no_period_is_refused(batch: str) -> None:
    with pytest.raises(PermanentError, match=r"a batch is a period|there is no period"):
        Period.of(batch)


def test_the_last_year_that_the_calendar_has_no_end_for_is_refused() -> None:
    with pytest.raises(PermanentError, match="there is no period '9999'"):
        Period.of("9999")


def test_a_template_is_filled_with_the_period_and_its_coarser_ones() -> None:
    period = Period.of("2024-01-31T05")
    assert (
        period.render("a/{{ year }}/{{month}}/{{ date }}/{{ hour }}")
        == "a/2024/2024-01/2024-01-31/2024-01-31T05"
    )


@pytest.mark.parametrize(
    ("moment", "months", "batch"),
    [
        # January's file is published two months after January's end, on 1 April.
        (datetime(2024, 3, 31, 23, 59, tzinfo=UTC), 2, "2023-12"),
        (datetime(2024, 4, 1, tzinfo=UTC), 2, "2024-01"),
        (datetime(2024, 2, 1, tzinfo=UTC), 0, "2024-01"),
        (datetime(2024, 1, 31, 23, 59, 59, tzinfo=UTC), 0, "2023-12"),
    ],
)
def test_the_newest_batch_is_one_that_is_published(moment: datetime, months: int, batch: str) -> None:
    assert batch_of(moment, PythonSource("month", months)) == batch


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_at_any_time_the_newest_batch_is_published_and_the_next_one_is_not(
    granularity: Granularity,
) -> None:
    seeded = random.Random(granularity)
    for _ in range(400):
        moment = datetime(2019, 1, 1, tzinfo=UTC) + timedelta(seconds=seeded.randrange(10 * 365 * 86400))
        months = seeded.randrange(25)
        period = Period.of(batch_of(moment, PythonSource(granularity, months)))
        following = Period.around(period.end, granularity)
        assert later_by(period.end, months) <= moment < later_by(following.end, months), (moment, months)
        assert following.before == period
        assert Period.of(period.batch) == period


@pytest.mark.parametrize(
    ("granularity", "until", "batch"),
    [
        ("month", "2024-01", "2024-01"),
        ("date", "2024-01", "2024-01-31"),
        ("year", "2024-01", "2023"),
        ("month", "2030-01", "2024-05"),
    ],
)
def test_no_batch_is_newer_than_the_last_one(granularity: Granularity, until: str, batch: str) -> None:
    assert batch_of(datetime(2024, 6, 5, tzinfo=UTC), PythonSource(granularity, 0, until=until)) == batch


def test_a_batch_newer_than_the_last_one_is_refused() -> None:
    with pytest.raises(
        PermanentError, match="newer than the last one that the source will ever have: 2024-01"
    ):
        period_of("2024-02", PythonSource("month", 0, until="2024-01"))


def test_a_batch_of_another_length_than_the_sources_is_refused() -> None:
    with pytest.raises(PermanentError, match="batch 2024 is of the kind 'year', this source has 'month'"):
        period_of("2024", PythonSource("month", 0))


def test_the_last_batch_is_not_refused() -> None:
    assert period_of("2024-01", PythonSource("month", 0, until="2024-01")) == Period.of("2024-01")
