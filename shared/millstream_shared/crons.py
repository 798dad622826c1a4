"""Cron expressions: whether one is good, and its times on the clock."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from croniter import croniter

_HOUR: Final = 1
_EVERY_HOUR: Final = set(range(24))


@dataclass(frozen=True, slots=True)
class CronRule:
    """A cron expression that was found to be good. `every_hour`: it has no hours of the day that it leaves out."""

    text: str
    day_or: bool
    every_hour: bool

    def next_time(self, time: datetime) -> datetime | None:
        """Its first time after this one; None if there is none within fifty years."""
        # Given times without a zone it knows nothing of clocks that change.
        cron: Any = croniter(self.text, time, ret_type=datetime, day_or=self.day_or)
        try:
            return cron.get_next()
        except ValueError:
            return None


@lru_cache(maxsize=1000)
def parse(text: str, day_or: bool = True) -> CronRule:
    """The rule of an expression of five fields, of six (seconds are last) or of seven (and years), or of `@hourly`.

    Raises ValueError, which names it, if it is none. `day_or`: a time fits if its day of the month does or its weekday
    does, as crontab has it; otherwise both must.
    """
    try:
        expanded: Any = croniter.expand(text)[0]
    except Exception as failure:
        # Most are ValueErrors, but not all that it raises at what is no expression.
        raise ValueError(f"{text!r} is no cron expression: {failure}") from None
    if any(field[:1].lower() in ("r", "h") for field in text.split()):
        raise ValueError(f"{text!r} has times at random (R, H), which would be others on each worker.")
    hours: set[Any] = set(expanded[_HOUR])
    return CronRule(text, day_or, "*" in hours or hours >= _EVERY_HOUR)
