"""What a run remembers of the runs that it started."""

from millstream import Future
from millstream.context import Submitted
from millstream.states import Completed


def _future(*, done: bool) -> Future:
    future: Future = Future("0" * 32, "run")
    if done:
        future.complete(Completed())
    return future


def test_those_that_have_not_ended_are_remembered() -> None:
    """However many have."""
    submitted = Submitted()
    open_ones = [_future(done=False) for _ in range(3)]
    for future in open_ones:
        submitted.extend([future, *(_future(done=True) for _ in range(2000))])
    assert submitted.pending() == open_ones


def test_a_run_without_end_stays_small() -> None:
    """Runs that ended are forgotten now and then."""
    submitted = Submitted()
    for _ in range(5000):
        submitted.extend([_future(done=True)])
    assert len(submitted._futures) <= 1001
