"""Times and durations as options of commands take them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WORDS: Final = "s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:ours?)?|d(?:ays?)?"
_PART: Final = re.compile(rf"\s*(\d+(?:\.\d+)?)\s*({_WORDS})?\s*", re.IGNORECASE)


def due(at: str | None, within: str | None) -> datetime | None:
    """When `--at` or `--in` say that something is to begin; None if neither is given. Raises UsageError for both."""
    if at and within:
        raise click.UsageError("Choose --at or --in.")
    if within:
        return datetime.now(UTC) + duration(within)
    return moment(at) if at else None


def moment(text: str) -> datetime:
    """A time such as `2026-01-31T09:00`, on the clock here if it names no other zone. Raises BadParameter."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time such as 2026-01-31T09:00, or with a zone ...T09:00+01:00."
        ) from None


def duration(text: str) -> timedelta:
    """`90` or `90s` (seconds), `10m` or `10 minutes`, `1h30m`, `2d`. Raises BadParameter for anything else."""
    seconds, at = 0.0, 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            raise click.BadParameter(f"{text!r} is no duration such as 90s, 10m, 1h30m or 2d.")
        seconds += float(part[1]) * _UNITS[(part[2] or "s")[0].lower()]
        at = part.end()
    if not text:
        raise click.BadParameter("An empty text is no duration: it is one such as 90s, 10m, 1h30m or 2d.")
    return timedelta(seconds=seconds)
