"""Recurrence rules as calendars write them (RFC 5545): whether one is good, and its times on the clock."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from dateutil.rrule import DAILY, HOURLY, MINUTELY, SECONDLY, WEEKLY, YEARLY, rruleset, rrulestr

from millstream_shared import wall_clocks

_LONGEST: Final = 6500
_MOST_COUNTED: Final = 10_000
_START: Final = datetime(2020, 1, 1)
_IN_UTC: Final = re.compile(r"\b(\d{8}T\d{6})Z\b", re.IGNORECASE)
_IN_ZONE: Final = re.compile(r";TZID=([^:;]+)((?:;[^:]*)?):([\dT,]+)", re.IGNORECASE)
_STEPS: Final[dict[Any, timedelta]] = {
    WEEKLY: timedelta(weeks=1),
    DAILY: timedelta(days=1),
    HOURLY: timedelta(hours=1),
    MINUTELY: timedelta(minutes=1),
    SECONDLY: timedelta(seconds=1),
}
_IN_AN_HOUR: Final[dict[Any, int]] = {HOURLY: 1, MINUTELY: 60, SECONDLY: 3600}
_FORMAT: Final = "%Y%m%dT%H%M%S"


@dataclass(frozen=True, slots=True)
class RecurrenceRule:
    """A rule that was found to be good. `every_hour`: it has no hours of the day that it leaves out."""

    text: str
    rule: Any
    every_hour: bool

    def next_time(self, time: datetime) -> datetime | None:
        """Its first time after this one; None if that was the last."""
        return _begun_near(self.rule, time).after(time)


@lru_cache(maxsize=1000)
def parse(text: str, timezone: str) -> RecurrenceRule:
    """The rule, whose times are those of a clock in that time zone, whatever zone they are written in.

    One without DTSTART is counted from the first of January 2020. Raises ValueError, which names it, if it is none.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"A recurrence rule has at most {_LONGEST} characters; this one has {len(text)}.")
    try:
        rule: Any = rrulestr(_on_one_clock(text, timezone), dtstart=_START)
    except Exception as failure:
        # Most are ValueErrors, but not all that it raises at what is no rule.
        raise ValueError(f"{text!r} is no recurrence rule: {failure}") from None
    counts = [int(count) for count in re.findall(r"COUNT=(\d+)", text, re.IGNORECASE)]
    if max(counts, default=0) > _MOST_COUNTED:
        raise ValueError(
            f"A recurrence rule counts to {_MOST_COUNTED} at most; say UNTIL instead of the COUNT in {text!r}."
        )
    return RecurrenceRule(text, rule, _is_every_hour(rule))


def zone_named_in(text: str) -> str | None:
    """The time zone in which the rule says that it begins."""
    found = re.search(r"DTSTART;TZID=([^:;]+)", text, re.IGNORECASE)
    return found[1] if found else None


def _on_one_clock(text: str, timezone: str) -> str:
    """The rule with all its times as a clock in that zone shows them, and no word of zones."""
    place = wall_clocks.zone(timezone)

    def move(written: str, zone: Any) -> str:
        time = datetime.strptime(written, _FORMAT if "T" in written else "%Y%m%d")
        return time.replace(tzinfo=zone).astimezone(place).strftime(_FORMAT)

    def from_zone(found: re.Match[str]) -> str:
        zone = wall_clocks.zone(found[1])
        return found[2] + ":" + ",".join(move(each.upper(), zone) for each in found[3].split(","))

    return _IN_UTC.sub(lambda found: move(found[1].upper(), UTC), _IN_ZONE.sub(from_zone, text))


def _is_every_hour(rule: Any) -> bool:
    # A set of rules is none: what counts for one of them may not for another.
    frequency, interval = getattr(rule, "_freq", None), getattr(rule, "_interval", 1)
    in_an_hour = _IN_AN_HOUR.get(frequency)
    return in_an_hour is not None and in_an_hour % interval == 0 and not rule._byhour


def _begun_near(rule: Any, time: datetime) -> Any:
    """The same rule, begun so much later that there is not much to walk through before `time`."""
    if not isinstance(rule, rruleset):
        return _begun_later(rule, time)
    parts: Any = rule
    near: Any = rruleset()
    near._rrule = [_begun_later(each, time) for each in parts._rrule]
    near._exrule = [_begun_later(each, time) for each in parts._exrule]
    near._rdate, near._exdate = parts._rdate, parts._exdate
    return near


def _begun_later(rule: Any, time: datetime) -> Any:
    start, frequency, interval = rule._dtstart, rule._freq, rule._interval
    if rule._count is not None:
        return rule
    # By a whole number of steps; of the last one, some times may come before the one that is looked for.
    if frequency in _STEPS:
        step = _STEPS[frequency] * interval
        steps = (time - start) // step - 1
        return rule.replace(dtstart=start + steps * step) if steps > 0 else rule
    if (start.month, start.day) == (2, 29):
        return rule
    years = interval if frequency == YEARLY else interval // math.gcd(interval, 12)
    steps = (time.year - start.year) // years - 1
    return rule.replace(dtstart=start.replace(year=start.year + steps * years)) if steps > 0 else rule
