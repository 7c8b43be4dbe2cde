"""Batches and their periods, in UTC: `2024`, `2024-01`, `2024-01-31` or `2024-01-31T05`."""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from lifecycle.exits import PermanentError
from lifecycle.names import PERIODS
from lifecycle.spec import Granularity, Source

FORMATS: dict[Granularity, str] = {"year": "%Y", "month": "%Y-%m", "date": "%Y-%m-%d", "hour": "%Y-%m-%dT%H"}
"""The strftime format of each granularity in names.PERIODS, from the coarsest to the finest."""

PLACEHOLDER = re.compile(r"\{\{ *(" + "|".join(PERIODS) + r") *\}\}")


@dataclass(frozen=True)
class Period:
    """The interval from `start` (inclusive) to `end` (exclusive), both in UTC."""

    start: datetime
    end: datetime
    granularity: Granularity

    @classmethod
    def of(cls, batch: str) -> "Period":
        """Return the period that a batch's name stands for.

        Raises:
            PermanentError: The text is not a batch's name.
        """
        for granularity, form in FORMATS.items():
            if re.fullmatch(PERIODS[granularity], batch):
                try:
                    moment = datetime.strptime(batch, form).replace(tzinfo=UTC)
                    return cls.around(moment, granularity)
                except (ValueError, OverflowError) as error:
                    raise PermanentError(f"there is no period {batch!r}: {error}") from error
        raise PermanentError(
            f"a batch is a period, as in 2024, 2024-01, 2024-01-31 or 2024-01-31T05; got {batch!r}"
        )

    @classmethod
    def around(cls, moment: datetime, granularity: Granularity) -> "Period":
        """Return the period of this granularity that contains `moment`."""
        start = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if granularity == "hour":
            return cls(start, start + timedelta(hours=1), granularity)
        start = start.replace(hour=0)
        if granularity == "date":
            return cls(start, start + timedelta(days=1), granularity)
        start = start.replace(day=1)
        if granularity == "month":
            return cls(start, later_by(start, 1), granularity)
        start = start.replace(month=1)
        return cls(start, start.replace(year=start.year + 1), granularity)

    @property
    def batch(self) -> str:
        """The batch's name."""
        # On some platforms strftime writes years below 1000 with fewer than four digits.
        return f"{self.start.year:04d}" + self.start.strftime(FORMATS[self.granularity][2:])

    @property
    def before(self) -> "Period":
        """The period that ends where this one begins."""
        return Period.around(self.start - timedelta(microseconds=1), self.granularity)

    def render(self, template: str) -> str:
        """Replace `{{ year }}`, `{{ month }}`, `{{ date }}` and `{{ hour }}` with the period's start."""

        def filled(match: re.Match[str]) -> str:
            return self.start.strftime(FORMATS[cast(Granularity, match[1])])

        return PLACEHOLDER.sub(filled, template)


def batch_of(moment: datetime, source: Source) -> str:
    """Return the newest batch that is published at `moment`.

    This is the newest period that ended at least `months_until_published` months earlier, but never one after
    the source's `until`.
    """
    months = source.months_until_published
    # later_by turns days 29 to 31 into the last day of a shorter month, so going back may end up to three
    # days too early. The search starts four days later and steps back.
    period = Period.around(later_by(moment, -months) + timedelta(days=4), source.period)
    while later_by(period.end, months) > moment:
        period = period.before
    return min(period, newest(source) or period, key=lambda each: each.start).batch


def period_of(batch: str, source: Source) -> Period:
    """Return a batch's period after checking that the source can have this batch.

    Raises:
        PermanentError: The text is not a batch's name, its period is not as long as the source's batches, or
            it is newer than the source's last batch.
    """
    period = Period.of(batch)
    if period.granularity != source.period:
        raise PermanentError(
            f"batch {batch} is of the kind '{period.granularity}', this source has '{source.period}'"
        )
    last = newest(source)
    if last is not None and period.start > last.start:
        raise PermanentError(
            f"batch {batch} is newer than the last one that the source will ever have: {last.batch}"
        )
    return period


def newest(source: Source) -> Period | None:
    """Return the source's last period according to `until`, or None if it has no end."""
    if source.until is None:
        return None
    end = Period.of(source.until).end
    period = Period.around(end - timedelta(microseconds=1), source.period)
    return period if period.end <= end else period.before


def later_by(moment: datetime, months: int) -> datetime:
    """Return `moment` moved by `months`; a day that the month lacks becomes its last day."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)
