"""When schedules fire, against clocks that are looked at minute by minute."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.schedules import Cron, Interval, RRule, Schedule
from millstream_shared.schedules import ScheduleRecord, next_after, to_fire

MINUTE = timedelta(minutes=1)
Matches = Callable[[datetime], bool]

# Days on which clocks are changed: by an hour, by half an hour, at midnight, in winter as Dublin has it, by a day.
CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29)),
    ("Europe/Berlin", datetime(2026, 10, 25)),
    ("America/New_York", datetime(2026, 3, 8)),
    ("America/New_York", datetime(2026, 11, 1)),
    ("Australia/Lord_Howe", datetime(2026, 4, 5)),
    ("Australia/Lord_Howe", datetime(2026, 10, 4)),
    ("America/Sao_Paulo", datetime(2018, 11, 4)),
    ("America/Sao_Paulo", datetime(2018, 2, 18)),
    ("Europe/Dublin", datetime(2026, 10, 25)),
    ("Africa/Casablanca", datetime(2026, 2, 15)),
    ("Pacific/Apia", datetime(2011, 12, 30)),
    ("UTC", datetime(2026, 6, 1)),
]
changes = st.sampled_from(CHANGES)
offsets = st.integers(-2 * 24 * 60, 2 * 24 * 60)


def seen_on_the_clock(
    matches: Matches, place: ZoneInfo, begin: datetime, end: datetime, every_hour: bool
) -> list[datetime]:
    """All moments of the rule after `begin` and until `end`, by looking at the clock every minute."""
    found: set[datetime] = set()
    # What a day that is skipped would have had comes up to a day later.
    at = begin - timedelta(hours=30)
    at = at.replace(second=0, microsecond=0)
    shown = at.astimezone(place).replace(tzinfo=None)
    seen = {shown}
    while at < end:
        at += MINUTE
        before, shown = shown, at.astimezone(place).replace(tzinfo=None)
        if matches(shown) and (every_hour or shown not in seen):
            found.add(at)
        skipped, shifted = before + MINUTE, at
        while skipped < shown and not every_hour:
            if matches(skipped):
                found.add(shifted)
            skipped, shifted = skipped + MINUTE, shifted + MINUTE
        seen.add(shown)
    return sorted(moment for moment in found if begin < moment <= end)


def fired(record: ScheduleRecord, begin: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    at = next_after(record, begin)
    while at is not None and at <= end:
        found.append(at)
        at = next_after(record, at)
    return found


def check(schedule: Schedule, matches: Matches, zone: str, around: datetime, offset: int, every_hour: bool) -> None:
    begin = around.replace(tzinfo=UTC) + offset * MINUTE
    end = begin + timedelta(days=1, hours=12)
    expected = seen_on_the_clock(matches, ZoneInfo(zone), begin, end, every_hour)
    assert fired(schedule.record, begin, end) == expected


minutes = st.sets(st.integers(0, 59), min_size=1, max_size=4)
some_hours = st.sets(st.integers(0, 23), min_size=1, max_size=8)
hours = st.one_of(st.none(), some_hours, some_hours)
days = st.one_of(st.none(), st.sets(st.integers(1, 31), min_size=1, max_size=20))
weekdays = st.one_of(st.none(), st.sets(st.integers(0, 6), min_size=1, max_size=6))


def listed(values: set[int] | None) -> str:
    return "*" if values is None else ",".join(map(str, sorted(values)))


@settings(max_examples=80)
@given(changes, offsets, minutes, hours, days, weekdays, st.booleans())
def test_a_cron_fires_as_the_clock_on_the_wall_says(
    change: tuple[str, datetime],
    offset: int,
    minute: set[int],
    hour: set[int] | None,
    day: set[int] | None,
    weekday: set[int] | None,
    day_or: bool,
) -> None:
    """Each time once: what is skipped comes later, what is shown twice the first time; hours of every day are real."""
    zone, around = change

    def matches(time: datetime) -> bool:
        if time.minute not in minute or (hour is not None and time.hour not in hour):
            return False
        fits = [time.day in day] if day is not None else []
        fits += [time.isoweekday() % 7 in weekday] if weekday is not None else []
        return (any if day_or else all)(fits) if fits else True

    text = f"{listed(minute)} {listed(hour)} {listed(day)} * {listed(weekday)}"
    check(Cron(text, zone, day_or=day_or), matches, zone, around, offset, hour is None)


@settings(max_examples=50)
@given(changes, offsets, st.sampled_from(["HOURLY", "MINUTELY", "DAILY"]), st.integers(1, 100))
def test_an_rrule_fires_as_the_clock_on_the_wall_says(
    change: tuple[str, datetime], offset: int, frequency: str, interval: int
) -> None:
    """It counts its steps on that clock, from its beginning on."""
    zone, around = change
    step = {"HOURLY": timedelta(hours=1), "MINUTELY": MINUTE, "DAILY": timedelta(days=1)}[frequency] * interval
    every_hour = timedelta(hours=1) % step == timedelta()
    start = datetime(2010, 5, 3, 1, 30)
    rule = RRule(f"DTSTART:20100503T013000\nRRULE:FREQ={frequency};INTERVAL={interval}", zone)
    check(rule, lambda time: (time - start) % step == timedelta(), zone, around, offset, every_hour)


def rule_texts() -> st.SearchStrategy[str]:
    """Rules of all kinds, beginning at many times."""
    frequency = st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"])
    further = [
        "",
        ";BYMONTH=2,7",
        ";BYMONTHDAY=-1",
        ";BYDAY=MO,SU",
        ";BYHOUR=3,4,5,6,7,8,9",
        ";BYDAY=MO,TU;BYSETPOS=-1",
        ";COUNT=40",
    ]
    start = st.datetimes(datetime(2018, 1, 1), datetime(2022, 1, 1)).map(lambda time: time.strftime("%Y%m%dT%H%M%S"))
    exceptions = st.sampled_from(["", "\nEXDATE:20240101T030000", "\nRDATE:20231231T000001"])
    return st.builds(
        "DTSTART:{}\nRRULE:FREQ={};INTERVAL={}{}{}".format,
        start, frequency, st.integers(1, 7), st.sampled_from(further), exceptions,
    )  # fmt: skip


@given(rule_texts(), st.datetimes(datetime(2017, 1, 1), datetime(2026, 1, 1)))
def test_an_rrule_has_the_times_that_calendars_have(text: str, moment: datetime) -> None:
    """Though it is not walked through from its beginning each time."""
    found = next_after(ScheduleRecord(slug="x", rrule=text), moment.replace(tzinfo=UTC))
    expected = rrulestr(text).after(moment)
    assert found == (expected and expected.replace(tzinfo=UTC))


@given(
    st.floats(1, 1e7),
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),
)
def test_an_interval_is_counted_from_its_anchor_both_ways(seconds: float, anchor: datetime, moment: datetime) -> None:
    """The next time is later, by no more than the interval, and a whole number of intervals from the anchor."""
    record = Interval(seconds, anchor).record
    assert record.interval_seconds is not None
    interval = timedelta(seconds=record.interval_seconds)
    found = next_after(record, moment)
    assert found is not None
    assert moment < found <= moment + interval
    assert (found - record.anchor) % interval == timedelta()


zones = st.sampled_from([zone for zone, _ in CHANGES])
crons = ["*/7 * * * *", "0 3 * * *", "30 2 1,15 * *", "* 1-3 * * sun", "0 0 29 2 *", "*/20 * * * * 5"]
rrules = ["FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR=2;BYMINUTE=30", "FREQ=SECONDLY;INTERVAL=17", "FREQ=MONTHLY;BYDAY=-1SU"]
schedules = st.one_of(
    st.builds(Cron, st.sampled_from(crons), zones),
    st.builds(Interval, st.sampled_from([1, 45.5, 3600, 86_400])),
    st.builds(RRule, st.sampled_from(rrules), zones),
)


@given(schedules, st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))
def test_the_next_time_is_always_later(schedule: Schedule, moment: datetime) -> None:
    """However exact the moment: what has been fired is never due again. Each is a full millisecond, kept as JSON."""
    record = ScheduleRecord.model_validate_json(schedule.record.model_dump_json())
    assert record == schedule.record
    times = list(itertools.islice(schedule.upcoming(moment), 5))
    assert times == sorted(set(times))
    assert times[0] > moment
    assert all(time.microsecond % 1000 == 0 for time in times)


@given(
    schedules,
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.floats(0, 40),
    st.sampled_from(["latest", "skip", "all"]),
)
def test_missed_times_are_made_up_for_by_policy(
    schedule: Schedule, moment: datetime, minutes: float, policy: Any
) -> None:
    """Those of the last half minute come in any case; of earlier ones the last if nothing came since, none, or all."""
    record = schedule.record.model_copy(update={"catchup": policy})
    first = next_after(record, moment)
    assert first is not None
    now = first + timedelta(minutes=minutes)
    every = [first, *itertools.takewhile(lambda time: time <= now, schedule.upcoming(first))]
    found = to_fire(record, first, now)
    recent = [time for time in every if time >= now - timedelta(seconds=30)]
    if policy == "all":
        assert found == every[-100:]
    elif recent or policy == "skip":
        assert found == recent
    else:
        assert found == every[-1:]


@pytest.mark.parametrize("policy", ["latest", "all"])
def test_years_of_missed_seconds_are_quickly_made_up_for(policy: Any) -> None:
    """Only the times that count are looked for."""
    first, now = datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 3, 0, 0, tzinfo=UTC)
    record = Cron("* 0-1 * * * *", "Europe/Berlin", catchup=policy).record
    found = to_fire(record, first, now)
    assert found[-1] == datetime(2026, 1, 1, 0, 59, 59, tzinfo=UTC)
    assert len(found) == (1 if policy == "latest" else 100)
    assert found == [found[-1] - timedelta(seconds=back) for back in reversed(range(len(found)))]
