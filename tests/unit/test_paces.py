"""How far ahead a worker claims: as many runs as it ends in a moment, none where runs take long."""

from types import SimpleNamespace

import pytest

from millstream_worker import paces
from millstream_worker.paces import Pace


class Clock:
    """Stands still until it is told to go on."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(paces, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def go_on(clock: Clock, pace: Pace, *, per_second: float, seconds: float, step: float = 0.02) -> None:
    """Runs end, `per_second`, for so many seconds."""
    for _ in range(round(seconds / step)):
        clock.now += step
        pace.ended(round(per_second * step))


@pytest.mark.usefixtures("clock")
def test_who_knows_nothing_claims_nothing_ahead() -> None:
    """A new worker takes what it has threads for."""
    assert Pace().ahead() == 0


def test_short_runs_are_claimed_ahead(clock: Clock) -> None:
    """The faster they end the more, up to a limit."""
    ahead = []
    for per_second in (100, 1_000, 5_000, 100_000, 1_000_000):
        pace = Pace()
        go_on(clock, pace, per_second=per_second, seconds=1)
        ahead.append(pace.ahead())
    assert ahead == sorted(ahead)
    assert 0 < ahead[0] < ahead[1] < ahead[2]
    assert ahead[-2] == ahead[-1] < 1000


def test_a_burst_counts_before_the_window_is_over(clock: Clock) -> None:
    """A worker that wakes up need not be slow at first."""
    pace = Pace()
    clock.now += 0.01
    pace.ended(100)
    assert pace.ahead() > 0


def test_long_runs_are_left_for_other_workers(clock: Clock) -> None:
    """One a second gives a pace of nothing."""
    pace = Pace()
    go_on(clock, pace, per_second=5_000, seconds=1)
    for _ in range(3):
        clock.now += 1.0
        pace.ended(1)
    assert pace.ahead() == 0


def test_after_a_pause_the_old_pace_counts_no_more(clock: Clock) -> None:
    """What comes then may be of another kind."""
    pace = Pace()
    go_on(clock, pace, per_second=5_000, seconds=1)
    clock.now += 60
    pace.ended(1)
    assert pace.ahead() == 0


def test_what_got_stuck_ends_the_claiming_ahead(clock: Clock) -> None:
    """Until runs end quickly again."""
    pace = Pace()
    go_on(clock, pace, per_second=5_000, seconds=1)
    pace.stalled()
    assert pace.ahead() == 0
    go_on(clock, pace, per_second=5_000, seconds=1)
    assert pace.ahead() > 0


@pytest.mark.usefixtures("clock")
def test_the_tally_is_taken_once() -> None:
    """Each run is told to RQ in one heartbeat."""
    pace = Pace()
    pace.ended(3)
    pace.ended(4)
    assert (pace.take_tally(), pace.take_tally()) == (7, 0)
