"""Schedules of deployments: what is kept of one, and the moments at which it fires."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticSerializationError, to_jsonable_python

from millstream_shared import crons, errors, rrules, wall_clocks

CatchUp = Literal["latest", "skip", "all"]
"""What becomes of times that passed while no worker was there: one run for the latest, none, or one for each."""

MOST_CAUGHT_UP: Final = 100
"""Of missed times that are all made up for, the latest so many are."""

_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
_SHORTEST: Final = 1.0
_LONGEST: Final = 1e10
_TIMING: Final = {"cron", "day_or", "interval_seconds", "anchor", "rrule", "timezone"}
_ON_TIME: Final = timedelta(seconds=30)
_TICK: Final = timedelta(microseconds=1)


class ScheduleRecord(BaseModel):
    """When runs of a deployment begin; made once and never changed. It is written as JSON and read back as it was.

    It has one of `cron`, `interval_seconds` and `rrule`. `slug` tells it from others of its deployment. `parameters`
    go over those of the deployment. Raises a ValueError that says what is wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slug: str
    cron: str | None = None
    day_or: bool = True
    """Of a cron that names days of the month and weekdays: either may fit, or both must."""
    interval_seconds: float | None = None
    anchor: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    """A moment from which intervals are counted, both ways."""
    rrule: str | None = None
    timezone: str = "UTC"
    """On whose clock the times of a cron or an rrule are. Intervals are of time that passes, wherever."""
    active: bool = True
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    catchup: CatchUp = "latest"

    @field_validator("slug")
    @classmethod
    def _check_slug(cls, slug: str) -> str:
        if not _SLUG.fullmatch(slug):
            raise errors.InvalidNameError(
                f"A schedule's slug is at most 100 lower-case letters, digits, - and _; got {slug!r}."
            )
        return slug

    @field_validator("anchor")
    @classmethod
    def _check_anchor(cls, anchor: datetime) -> datetime:
        if anchor.tzinfo is None:
            raise ValueError(f"The anchor of an interval has a time zone; got {anchor!r}.")
        # All that fires does so at a full millisecond, which is what Redis keeps.
        return anchor.astimezone(UTC).replace(microsecond=anchor.microsecond // 1000 * 1000)

    @field_validator("interval_seconds")
    @classmethod
    def _round_interval(cls, seconds: float | None) -> float | None:
        return None if seconds is None else round(seconds, 3)

    @field_validator("parameters")
    @classmethod
    def _check_parameters(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        try:
            return to_jsonable_python(parameters)
        except PydanticSerializationError as failure:
            raise ValueError(f"The parameters of a schedule are values that JSON has: {failure}.") from None

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        kinds = {"cron": self.cron, "interval": self.interval_seconds, "rrule": self.rrule}
        given = [name for name, value in kinds.items() if value is not None]
        if len(given) != 1:
            raise ValueError(f"A schedule has one of cron, interval and rrule; got {' and '.join(given) or 'none'}.")
        wall_clocks.zone(self.timezone)
        if self.interval_seconds is not None and not _SHORTEST <= self.interval_seconds <= _LONGEST:
            raise ValueError(f"The interval of a schedule is 1 second or more; got {self.interval_seconds:g}.")
        if self.interval_seconds is None:
            _rule(self)
        return self

    @property
    def kind(self) -> Literal["cron", "interval", "rrule"]:
        """What makes its times."""
        return "cron" if self.cron is not None else "rrule" if self.rrule is not None else "interval"

    @property
    def timing(self) -> str:
        """All that its times depend on: the same text for the same times."""
        return self.model_dump_json(include=_TIMING)


def next_after(record: ScheduleRecord, moment: datetime) -> datetime | None:
    """The first moment after `moment`, an aware datetime, at which the schedule fires, in UTC; None: it never will.

    The clock that a cron or an rrule goes by may be put forward or back: `wall_clocks.first_after` says what then.
    """
    moment = moment.astimezone(UTC)
    try:
        if record.interval_seconds is not None:
            interval = timedelta(seconds=record.interval_seconds)
            return record.anchor + ((moment - record.anchor) // interval + 1) * interval
        rule = _rule(record)
        place = wall_clocks.zone(record.timezone)
        return wall_clocks.first_after(rule.next_time, place, moment, every_hour=rule.every_hour)
    except OverflowError:
        return None  # It would be after the year 9999.


def upcoming(record: ScheduleRecord, moment: datetime) -> Iterator[datetime]:
    """All moments after `moment` at which the schedule fires, the next one first; there may be no end to them."""
    found = next_after(record, moment)
    while found is not None:
        yield found
        found = next_after(record, found)


def to_fire(record: ScheduleRecord, first: datetime, now: datetime) -> list[datetime]:
    """For which of its times, from `first`, which is one, to `now`, runs are to be made now; in order.

    Those of the last 30 seconds, within which a worker takes over from one that died; and of those before, which were
    missed, what the schedule's `catchup` says: for "latest" the last one, if nothing came after it.
    """
    recent = list(takewhile(lambda time: time <= now, upcoming(record, max(first, now - _ON_TIME) - _TICK)))
    if record.catchup == "skip" or (recent and record.catchup == "latest"):
        return recent
    found: list[datetime] = []
    until = now
    while until >= first and len(found) < (1 if record.catchup == "latest" else MOST_CAUGHT_UP):
        found.append(_last(record, first, until))
        until = found[-1] - _TICK
    return found[::-1]


def _last(record: ScheduleRecord, first: datetime, until: datetime) -> datetime:
    """The last of its times, of which `first` is one, that is not after `until`."""
    # Years of seconds may lie between: the times themselves are too many to go through.
    low, high = first, until
    while (following := next_after(record, low)) is not None and following <= until:
        found = next_after(record, low + (high - low) / 2)
        if found is not None and found <= until:
            low = found
        else:
            high = low + (high - low) / 2
    return low


def _rule(record: ScheduleRecord) -> crons.CronRule | rrules.RecurrenceRule:
    if record.cron is not None:
        return crons.parse(record.cron, record.day_or)
    assert record.rrule is not None
    return rrules.parse(record.rrule, record.timezone)
