"""Schedules as programs write them: `Cron("0 9 * * *", timezone="Europe/Berlin")`, `Interval(3600)`, `RRule(...)`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from pydantic import ValidationError

from millstream_shared import rrules, wall_clocks
from millstream_shared.schedules import CatchUp, ScheduleRecord, next_after, upcoming

__all__ = ["CatchUp", "Cron", "Interval", "RRule", "Schedule", "ScheduleRecord", "collect"]

_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: Final = ("cron", "interval", "rrule")


@dataclass(frozen=True, slots=True)
class Schedule:
    """When runs of a deployment begin: by one of `interval` (seconds or a timedelta), `cron` and `rrule`.

    `timezone` is where the times of a cron or an rrule are read off the clock (default: that of the rule's DTSTART, if
    it names one, else UTC). Intervals are counted from `anchor_date`, default now; without a zone of its own it is in
    `timezone`. `day_or`: of a cron's days of the month and weekdays either may fit; False: both must. `parameters` go
    over those of the deployment. `slug` names the schedule among those of its deployment; default: its kind.
    `catchup` says what becomes of times at which no worker was there: "latest", the default, makes one run for the
    last of them, "skip" none, "all" one for each of the latest hundred.

    Raises ValueError for a cron, an rrule, a time zone or an interval that is none, and for two kinds in one.
    """

    interval: timedelta | float | None = None
    cron: str | None = None
    rrule: str | None = None
    timezone: str | None = None
    anchor_date: datetime | None = None
    day_or: bool = True
    active: bool = True
    parameters: Mapping[str, Any] | None = None
    slug: str | None = None
    catchup: CatchUp = "latest"
    record: ScheduleRecord = field(init=False, repr=False, compare=False)
    """What is kept of it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "record", _record_of(self))

    def upcoming(self, after: datetime | None = None) -> Iterator[datetime]:
        """The moments at which it fires, in UTC, after an aware datetime (default: now); there may be no end to them.

        The clock of a time zone is put forward and back. A time that it skips comes as much later as it was put
        forward; one that it shows twice comes once, the first time. But a cron that has no hours of the day that it
        leaves out, such as `15 * * * *`, fires in each hour that passes. Raises ValueError for a naive datetime.
        """
        if after is not None and after.tzinfo is None:
            raise ValueError(f"`after` is a datetime with a time zone; got {after!r}.")
        return upcoming(self.record, datetime.now(UTC) if after is None else after)


def Cron(
    cron: str,
    timezone: str | None = None,
    day_or: bool = True,
    active: bool = True,
    parameters: Mapping[str, Any] | None = None,
    slug: str | None = None,
    catchup: CatchUp = "latest",
) -> Schedule:
    """A schedule by a cron expression, such as `0 9 * * mon-fri`. Options and errors are those of Schedule."""
    return Schedule(
        cron=cron,
        timezone=timezone,
        day_or=day_or,
        active=active,
        parameters=parameters,
        slug=slug,
        catchup=catchup,
    )


def Interval(
    interval: timedelta | float,
    anchor_date: datetime | None = None,
    timezone: str | None = None,
    active: bool = True,
    parameters: Mapping[str, Any] | None = None,
    slug: str | None = None,
    catchup: CatchUp = "latest",
) -> Schedule:
    """A schedule by an interval in seconds, or a timedelta. Options and errors are those of Schedule."""
    return Schedule(
        interval=interval,
        anchor_date=anchor_date,
        timezone=timezone,
        active=active,
        parameters=parameters,
        slug=slug,
        catchup=catchup,
    )


def RRule(
    rrule: str,
    timezone: str | None = None,
    active: bool = True,
    parameters: Mapping[str, Any] | None = None,
    slug: str | None = None,
    catchup: CatchUp = "latest",
) -> Schedule:
    """A schedule by a recurrence rule, such as `FREQ=WEEKLY;BYDAY=MO;BYHOUR=9`. Options and errors as of Schedule."""
    return Schedule(
        rrule=rrule,
        timezone=timezone,
        active=active,
        parameters=parameters,
        slug=slug,
        catchup=catchup,
    )


def collect(
    *,
    cron: str | Iterable[str] | None = None,
    interval: timedelta | float | Iterable[timedelta | float] | None = None,
    rrule: str | Iterable[str] | None = None,
    schedule: Schedule | None = None,
    schedules: Iterable[Schedule | ScheduleRecord | Mapping[str, Any]] | None = None,
) -> tuple[ScheduleRecord, ...]:
    """What is kept of the schedules of one deployment, each with a slug of its own.

    They are given in one of these ways; a mapping has the fields of Schedule. Raises ValueError for more than one way,
    for two schedules of the same slug, and as Schedule does; TypeError for what is no schedule.
    """
    ways = {"cron": cron, "interval": interval, "rrule": rrule, "schedule": schedule, "schedules": schedules}
    given = [name for name, value in ways.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"Give schedules in one way: {' or '.join(given)}, not both. `schedules=[...]` takes any.")
    if not given:
        return ()
    [kind] = given
    value = ways[kind]
    if kind in _KINDS:
        several = cast("Iterable[Any]", [value] if isinstance(value, str | int | float | timedelta) else value)
        return _with_slugs(Schedule(**{kind: each}) for each in several)
    if kind == "schedules" and isinstance(value, Schedule | ScheduleRecord | Mapping | str):
        raise TypeError("`schedules` is a list of schedules; a single one is `schedule`.")
    return _with_slugs(cast("Iterable[Any]", [value] if kind == "schedule" else value))


def _with_slugs(schedules: Iterable[Any]) -> tuple[ScheduleRecord, ...]:
    found = [(_given(each), _is_named(each)) for each in schedules]
    taken = [record.slug for record, is_named in found if is_named]
    for slug in taken:
        if taken.count(slug) > 1:
            raise ValueError(f"Two schedules of one deployment have the slug {slug!r}: give each one of its own.")
    records: list[ScheduleRecord] = []
    for record, is_named in found:
        if not is_named:
            slug = next(name for name in _names(record.kind) if name not in taken)
            taken.append(slug)
            record = record.model_copy(update={"slug": slug})
        records.append(record)
    return tuple(records)


def _names(kind: str) -> Iterable[str]:
    yield kind
    number = 2
    while True:
        yield f"{kind}-{number}"
        number += 1


def _given(value: Any) -> ScheduleRecord:
    if isinstance(value, Schedule):
        return value.record
    if isinstance(value, ScheduleRecord):
        return value
    if isinstance(value, Mapping):
        return Schedule(**_fields(cast("Mapping[str, Any]", value))).record
    raise TypeError(f"A schedule is made by Cron(...), Interval(...), RRule(...) or Schedule(...); got {value!r}.")


def _is_named(value: Any) -> bool:
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value).get("slug") is not None
    return value.slug is not None


def _fields(given: Mapping[str, Any]) -> Mapping[str, Any]:
    known = set(Schedule.__dataclass_fields__) - {"record"}
    for name in given:
        if name not in known:
            raise ValueError(f"A schedule has no {name!r}; it has {', '.join(sorted(known))}.")
    return given


def _record_of(schedule: Schedule) -> ScheduleRecord:
    """What is kept of it, under its slug or, for now, its kind."""
    fields: dict[str, Any] = {
        name: getattr(schedule, name) for name in ("cron", "rrule", "day_or", "active", "catchup")
    }
    if schedule.interval is not None:
        fields["interval_seconds"] = _seconds(schedule.interval)
        fields["anchor"] = _anchor(schedule)
    kind = next((name for name in _KINDS if getattr(schedule, name) is not None), "none")
    timezone = schedule.timezone
    if timezone is None and isinstance(schedule.rrule, str):
        timezone = rrules.zone_named_in(schedule.rrule)
    try:
        record = ScheduleRecord(
            slug=kind if schedule.slug is None else schedule.slug,
            timezone=timezone or "UTC",
            parameters=dict(schedule.parameters or {}),
            **fields,
        )
    except ValidationError as invalid:
        first = invalid.errors()[0]
        cause = (first.get("ctx") or {}).get("error")
        if isinstance(cause, ValueError):
            raise cause from None
        raise ValueError(f"{first['loc'][0]} of a schedule: {first['msg']}; got {first['input']!r}.") from None
    if next_after(record, _LONG_AGO) is None:
        raise ValueError(f"{record.cron or record.rrule!r} has no times: a schedule by it would never fire.")
    return record


def _seconds(interval: Any) -> float:
    if isinstance(interval, timedelta):
        return interval.total_seconds()
    if isinstance(interval, bool) or not isinstance(interval, int | float):
        raise ValueError(f"An interval is a number of seconds or a timedelta; got {interval!r}.")
    return float(interval)


def _anchor(schedule: Schedule) -> datetime:
    anchor = schedule.anchor_date
    if anchor is None:
        # Full seconds are easier to read in a list of times.
        return datetime.now(UTC).replace(microsecond=0)
    if anchor.tzinfo is None:
        return anchor.replace(tzinfo=wall_clocks.zone(schedule.timezone or "UTC"))
    return anchor
