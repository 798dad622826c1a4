"""Rules of ProcessPoolTaskRunner beside those of all runners that use other processes."""

import logging
import os
import threading

import pytest

from millstream import flow, task
from millstream.exceptions import CrashedRun, UnpicklableArgument
from millstream.task_runners import ProcessPoolTaskRunner

_given: list[object] = []


def take(*arguments: object) -> None:
    _given.extend(arguments)


def refuse() -> None:
    raise ValueError("not today")


@task
def given() -> list[object]:
    return _given


@task
def tell() -> None:
    print("so it goes")


@task
def where() -> int:
    return os.getpid()


@task
def count(x: int) -> int:
    _given.append(x)
    return len(_given)


def test_processes_are_warm() -> None:
    """One that has ended a run executes the next one."""

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def counting() -> list[int]:
        return count.map([0] * 5).result()

    assert counting() == [1, 2, 3, 4, 5]


def test_no_more_processes_than_max_workers() -> None:
    """However many runs there are."""

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
    def looking() -> set[int]:
        return {future.result() for future in [where.submit() for _ in range(20)]}

    assert len(looking()) <= 2


def test_an_initializer_is_called_in_each_process() -> None:
    """With its arguments, before the first run."""

    @flow(task_runner=ProcessPoolTaskRunner(1, initializer=take, initargs=("a", 2)))
    def looking() -> list[object]:
        return given.submit().result()

    assert looking() == ["a", 2]


def test_an_initializer_that_fails_crashes_the_runs() -> None:
    """With its error as the cause: there is nothing to execute them."""

    @flow(task_runner=ProcessPoolTaskRunner(1, initializer=refuse))
    def looking() -> BaseException:
        return given.submit().result(raise_on_failure=False)

    error = looking()
    assert isinstance(error, CrashedRun)
    assert "its initializer failed: ValueError: not today" in str(error)


def test_prints_are_logged_where_the_flow_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    """In the process that prints; what it writes is seen on the standard error of all."""

    @flow(task_runner=ProcessPoolTaskRunner(1), log_prints=True)
    def telling() -> None:
        tell.submit().wait()

    logger = logging.getLogger("millstream")
    before = logger.level
    logger.setLevel(logging.INFO)
    try:
        telling()
    finally:
        logger.setLevel(before)
    told = capfd.readouterr()
    assert "INFO    | Task run 'tell-" in told.err
    assert " - so it goes\n" in told.err
    assert told.out == ""


def test_bad_configuration_is_refused_at_once() -> None:
    """When the runner is made, or entered."""
    with pytest.raises(ValueError, match="0"):
        ProcessPoolTaskRunner(max_workers=0)
    with pytest.raises(TypeError, match="initializer"):
        ProcessPoolTaskRunner(initializer=3)  # type: ignore[arg-type]
    with pytest.raises(UnpicklableArgument, match="initializer"), ProcessPoolTaskRunner(1, take, [threading.Lock()]):
        pass


def test_runners_are_equal_by_their_configuration() -> None:
    """And a duplicate is equal but another one."""
    runner = ProcessPoolTaskRunner(2, take, [1])
    assert runner == runner.duplicate() == ProcessPoolTaskRunner(max_workers=2, initializer=take, initargs=(1,))
    assert runner.duplicate() is not runner
    assert runner != ProcessPoolTaskRunner(2)
    assert runner.name == "processpool"


def test_a_runner_is_entered_once_and_can_be_used_again() -> None:
    """As any other."""
    runner = ProcessPoolTaskRunner(1)
    with runner, pytest.raises(RuntimeError, match="started already"), runner:
        pass
    with runner:
        assert runner.submit(given, {}).result() == []
