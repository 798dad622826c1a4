"""Schedules: when they fire, what clocks that change do to them, and what is refused."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from millstream import schedules
from millstream.schedules import Cron, Interval, RRule, Schedule


def first(schedule: Schedule, after: str, count: int) -> list[str]:
    """The times after a moment, as that zone's clock shows them, with its distance from UTC."""
    times = itertools.islice(schedule.upcoming(datetime.fromisoformat(after)), count)
    zone = ZoneInfo(schedule.timezone or "UTC")
    return [time.astimezone(zone).strftime("%d. %H:%M %z") for time in times]


def test_a_cron_has_a_time_zone() -> None:
    """Nine in the morning stays nine, in summer and in winter."""
    cron = Cron("0 9 * * *", timezone="Europe/Berlin")
    assert first(cron, "2026-10-24T00:00Z", 3) == ["24. 09:00 +0200", "25. 09:00 +0100", "26. 09:00 +0100"]
    assert first(cron, "2026-03-28T00:00Z", 2) == ["28. 09:00 +0100", "29. 09:00 +0200"]


@pytest.mark.parametrize(
    ("zone", "day", "shifted"),
    [("Europe/Berlin", "2026-03-28", "29. 03:30 +0200"), ("America/New_York", "2026-03-07", "08. 03:30 -0400")],
)
def test_a_time_that_the_clock_skips_comes_once_and_later(zone: str, day: str, shifted: str) -> None:
    """There is no 02:30 on that day: the run is made when it would have been, had the clock been left alone."""
    for schedule in (Cron("30 2 * * *", zone), RRule("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", zone)):
        before, moved, after = first(schedule, f"{day}T00:00Z", 3)
        assert before[4:9] == after[4:9] == "02:30"
        assert moved == shifted


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Berlin", "2026-10-24", ["24. 02:30 +0200", "25. 02:30 +0200", "26. 02:30 +0100"]),
        ("America/New_York", "2026-10-31", ["31. 01:30 -0400", "01. 01:30 -0400", "02. 01:30 -0500"]),
    ],
)
def test_a_time_that_the_clock_shows_twice_comes_once(zone: str, day: str, expected: list[str]) -> None:
    """The first time that it is shown."""
    hour = expected[0][5]
    for schedule in (Cron(f"30 {hour} * * *", zone), RRule(f"FREQ=DAILY;BYHOUR={hour};BYMINUTE=30", zone)):
        assert first(schedule, f"{day}T00:00Z", 3) == expected


@pytest.mark.parametrize(
    "rule", [Cron("30 * * * *", "Europe/Berlin"), RRule("FREQ=HOURLY;BYMINUTE=30", "Europe/Berlin")]
)
def test_what_fires_every_hour_does_so_in_each_hour_that_passes(rule: Schedule) -> None:
    """In the hour that the clock shows twice, twice; and nothing comes twice where it skips one."""
    for day in ("2026-10-24", "2026-03-28"):
        times = list(itertools.islice(rule.upcoming(datetime.fromisoformat(f"{day}T20:00Z")), 10))
        assert times[0] == datetime.fromisoformat(f"{day}T20:30Z")
        assert {later - earlier for earlier, later in itertools.pairwise(times)} == {timedelta(hours=1)}


def test_an_interval_counts_time_that_passes() -> None:
    """From its anchor, whatever clocks do; without a zone, the anchor is in the schedule's."""
    daily = Interval(timedelta(days=1), datetime(2026, 10, 20, 9), "Europe/Berlin")
    assert first(daily, "2026-10-24T00:00Z", 3) == ["24. 09:00 +0200", "25. 08:00 +0100", "26. 08:00 +0100"]
    now = datetime.now(UTC)
    assert now < next(Interval(90).upcoming()) <= now + timedelta(seconds=90)


def test_an_rrule_is_read_in_the_zone_that_it_names() -> None:
    """Or in the schedule's; its end is part of it."""
    text = "DTSTART;TZID=America/New_York:20260101T090000\nRRULE:FREQ=WEEKLY;COUNT=2"
    times = list(RRule(text).upcoming(datetime(2025, 1, 1, tzinfo=UTC)))
    assert times == [datetime(2026, 1, day, 14, tzinfo=UTC) for day in (1, 8)]
    assert first(RRule(text, "Europe/Berlin"), "2025-01-01T00:00Z", 9) == ["01. 15:00 +0100", "08. 15:00 +0100"]
    until = RRule("DTSTART:20260101T090000Z\nRRULE:FREQ=DAILY;UNTIL=20260103T090000Z\nEXDATE:20260102T090000Z")
    assert first(until, "2025-01-01T00:00Z", 9) == ["01. 09:00 +0000", "03. 09:00 +0000"]


def test_day_or_says_whether_one_of_two_conditions_is_enough() -> None:
    """The 13th or a Friday; and with False, Friday the 13th."""
    assert first(Cron("0 0 13 * fri"), "2026-11-10T00:00Z", 2) == ["13. 00:00 +0000", "20. 00:00 +0000"]
    assert first(Cron("0 0 13 * fri", day_or=False), "2026-10-20T00:00Z", 2) == ["13. 00:00 +0000", "13. 00:00 +0000"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Cron("61 * * * *"), "61 .* is no cron"),
        (lambda: Cron("r * * * *"), "at random"),
        (lambda: Cron("0 9 * * *", timezone="Mars/Base"), "no time zone 'Mars/Base'"),
        (lambda: RRule("FREQ=OFTEN"), "FREQ=OFTEN.* is no recurrence rule"),
        (lambda: Cron("0 0 30 2 *"), "0 0 30 2.* never fire"),
        (lambda: RRule("FREQ=DAILY;COUNT=20000"), "say UNTIL"),
        (lambda: Interval(0), "1 second or more"),
        (lambda: Interval("1h"), "'1h'"),  # pyright: ignore[reportArgumentType]
        (lambda: Cron("* * * * *", slug="Every Minute"), "'Every Minute'"),
        (lambda: Cron("* * * * *", catchup="maybe"), "catchup.*'maybe'"),  # pyright: ignore[reportArgumentType]
        (lambda: Cron("* * * * *", parameters={"x": object()}), "JSON"),
        (lambda: Schedule(), "one of cron, interval and rrule"),
        (lambda: Schedule(cron="* * * * *", interval=60), "got cron and interval"),
        (lambda: Cron("* * * * *").upcoming(datetime(2026, 1, 1)), "time zone"),
        (lambda: schedules.collect(cron="* * * * *", rrule="FREQ=DAILY"), "cron or rrule"),
        (lambda: schedules.collect(schedules=[{"cron": "* * * * *", "zone": "UTC"}]), "no 'zone'"),
        (lambda: schedules.collect(schedules=[Interval(5, slug="a"), Interval(6, slug="a")]), "the slug 'a'"),
    ],
)
def test_mistakes_are_named_at_once(make: Callable[[], Any], says: str) -> None:
    """Nothing that cannot fire is ever stored."""
    with pytest.raises(ValueError, match=says):
        make()


def test_schedules_of_a_deployment_are_told_apart_by_slugs() -> None:
    """Their own, or their kind with a number; a list may mix all ways of saying them."""
    mixed = [
        Cron("0 9 * * *"),
        Interval(60, slug="cron-2"),
        {"cron": "0 10 * * *", "active": False},
        RRule("FREQ=DAILY"),
    ]
    found = schedules.collect(schedules=mixed)
    assert [record.slug for record in found] == ["cron", "cron-2", "cron-3", "rrule"]
    assert [record.active for record in found] == [True, True, False, True]
    assert [record.slug for record in schedules.collect(cron=["0 1 * * *", "0 2 * * *"])] == ["cron", "cron-2"]
    assert schedules.collect() == ()
    with pytest.raises(TypeError, match="list"):
        schedules.collect(schedules=Cron("0 9 * * *"))  # pyright: ignore[reportArgumentType]
