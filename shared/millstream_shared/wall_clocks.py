"""From times on the clock of a place to moments: what becomes of them when that clock is put forward or back."""

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NextTime = Callable[[datetime], datetime | None]
"""Gives the first time of a rule, without a time zone, that is later than the one it is given."""

_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)
# Some places have skipped a whole day, by going over to the other side of the date line.
_LONGEST_GAP: Final = timedelta(hours=26)


def zone(name: str) -> ZoneInfo:
    """The time zone of that name, such as `Europe/Berlin`. Raises ValueError if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        raise ValueError(f"There is no time zone {name!r}: write one as 'Europe/Berlin' or 'UTC'.") from None


def first_after(next_time: NextTime, place: tzinfo, moment: datetime, *, every_hour: bool) -> datetime | None:
    """The first moment after `moment`, both in UTC, at which a clock in `place` shows a time of the rule.

    A time that the clock skips counts as if the clock had not been put forward yet: 02:30 comes when it shows 03:30.
    A time that it shows twice counts once, the first time. With `every_hour`, as for a rule that means each hour of
    the day, hours are those that really pass: what is skipped does not come, what is shown twice counts twice.
    None if the rule has no more times.
    """
    since = moment - _LONGEST_GAP
    before = offset = _offset(place, since)
    while True:
        found = _first_in(next_time, moment, since, before, offset, every_hour)
        until = max(moment, since) + _LONGEST_GAP if found is None else found
        change = next(_changes(place, since, until), None)
        if change is None:
            return found
        since, before, offset = change, offset, _offset(place, change)


def _first_in(
    next_time: NextTime, moment: datetime, since: datetime, before: timedelta, offset: timedelta, every_hour: bool
) -> datetime | None:
    """The same, as if the clock went on for ever as it has gone `since` then; `before` that its offset was another."""
    earliest = since + (offset if every_hour else max(offset, before)) - _SECOND
    shown = next_time(_naive(max(earliest, moment + offset)))
    found = None if shown is None else _aware(shown - offset)
    if offset > before and not every_hour:
        skipped = next_time(_naive(max(since + before - _SECOND, moment + before)))
        if skipped is not None and _aware(skipped) < since + offset:
            shifted = _aware(skipped - before)
            found = shifted if found is None else min(found, shifted)
    return found


def _changes(place: tzinfo, begin: datetime, end: datetime) -> Generator[datetime]:
    """When the clock is put forward or back, after `begin` and until `end`."""
    # No place has done it twice within a day.
    at, offset = begin, _offset(place, begin)
    while at < end:
        later = min(at + _DAY, end)
        if _offset(place, later) != offset:
            low, high = at, later
            while high - low > _SECOND:
                middle = low + (high - low) / 2
                low, high = (middle, high) if _offset(place, middle) == offset else (low, middle)
            # All changes are at a full second.
            yield high.replace(microsecond=0)
            offset = _offset(place, later)
        at = later


def _offset(place: tzinfo, moment: datetime) -> timedelta:
    offset = moment.astimezone(place).utcoffset()
    assert offset is not None
    return offset


def _naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def _aware(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC)
