"""Rules of ProcessPoolTaskRunner beside those of all runners that use other processes."""

import contextlib
import logging
import os
import threading
from pathlib import Path

import pytest

from millstream import flow, task
from millstream.exceptions import CrashedRun, UnpicklableArgument
from millstream.task_runners import ProcessPoolTaskRunner
from tests.harness import eventually

_given: list[object] = []


def take(*arguments: object) -> None:
    _given.extend(arguments)


def refuse() -> None:
    raise ValueError("not today")


@task
def given() -> list[object]:
    return _given


@task
def die_soon() -> int:
    threading.Timer(0.05, os._exit, [3]).start()
    return os.getpid()


@task
def die_and_leave_a_child(until: Path) -> None:
    if os.fork() == 0:
        with contextlib.suppress(AssertionError):
            eventually(until.exists, timeout=20)
        os._exit(0)
    os._exit(3)


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


def is_running(pid: int) -> bool:
    """Also not as a zombie, which its parent has not looked at yet."""
    try:
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False


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


def test_a_process_that_dies_between_runs_is_replaced() -> None:
    """The next run is not to blame, and gets another one."""
    with ProcessPoolTaskRunner(1) as runner:
        for _ in range(3):
            pid = runner.submit(die_soon, {}).result()
            eventually(lambda pid=pid: not is_running(pid))
        assert runner.submit(given, {}).result() == []


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells of a death by itself")
def test_a_death_is_noticed_whatever_the_process_leaves_behind(folder: Path) -> None:
    """Such as a process that it has forked, which has its connections too."""
    until = folder / "noticed"
    with ProcessPoolTaskRunner(1) as runner:
        error = runner.submit(die_and_leave_a_child, {"until": until}).result(timeout=15, raise_on_failure=False)
        until.touch()
    assert isinstance(error, CrashedRun)
    assert "it exited with status 3" in str(error)


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
