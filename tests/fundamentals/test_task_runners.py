"""What holds for a task runner by itself."""

import pytest

from millstream import flow, task
from millstream.task_runners import (
    ConcurrentTaskRunner,
    SequentialTaskRunner,
    TaskRunner,
    ThreadPoolTaskRunner,
)


@task
def double(x: int) -> int:
    return 2 * x


def test_runs_are_submitted_while_it_is_entered() -> None:
    """Without a flow around."""
    for runner in (ThreadPoolTaskRunner(), SequentialTaskRunner()):
        with runner:
            assert runner.submit(double, {"x": 1}).result() == 2
            assert runner.map(double, {"x": [1, 2]}).result() == [2, 4]


@pytest.mark.parametrize("kind", [ThreadPoolTaskRunner, SequentialTaskRunner])
def test_it_must_be_entered_once(kind: type[TaskRunner]) -> None:
    """RuntimeError before, after, and for a second time; then it can be used again."""
    runner = kind()
    with pytest.raises(RuntimeError, match="not started"):
        runner.submit(double, {"x": 1})
    with runner, pytest.raises(RuntimeError, match="started already"), runner:
        pass
    with runner:
        assert runner.submit(double, {"x": 1}).result() == 2
    with pytest.raises(RuntimeError):
        runner.submit(double, {"x": 1})


class Faulty(SequentialTaskRunner):
    """A runner that does not let go of what it took."""

    def stop(self, abandon: bool) -> None:  # noqa: ARG002 - as in all of them
        raise OSError("the pool does not end")


def test_a_runner_that_does_not_stop_fails_its_flow() -> None:
    """By name; a flow that failed before keeps its own reason."""
    with pytest.raises(OSError, match="the pool does not end"):
        flow(lambda: double.submit(1).result(), task_runner=Faulty)()
    state = flow(lambda: 1 / 0, task_runner=Faulty)(return_state=True)
    assert state.name == "Failed"
    assert isinstance(state.result(raise_on_failure=False), ZeroDivisionError)
    state = flow(lambda: 1, task_runner=Faulty)(return_state=True)
    assert state.message == "Task runner encountered an exception: OSError: the pool does not end"


def test_runners_are_equal_by_their_configuration() -> None:
    """And a duplicate is equal but another one."""
    runner = ThreadPoolTaskRunner(max_workers=2)
    assert runner == ThreadPoolTaskRunner(max_workers=2) == runner.duplicate()
    assert runner.duplicate() is not runner
    assert runner != ThreadPoolTaskRunner(max_workers=3)
    assert runner != SequentialTaskRunner()
    assert len({runner, runner.duplicate()}) == 1


def test_names_and_aliases() -> None:
    """As programs from elsewhere expect them."""
    assert ConcurrentTaskRunner is ThreadPoolTaskRunner
    assert ThreadPoolTaskRunner().name == "threadpool"
    assert repr(ThreadPoolTaskRunner(max_workers=2)) == "ThreadPoolTaskRunner(max_workers=2)"
    assert TaskRunner[int]


def test_max_workers_is_at_least_one() -> None:
    """ValueError otherwise."""
    with pytest.raises(ValueError, match="0"):
        ThreadPoolTaskRunner(max_workers=0)
