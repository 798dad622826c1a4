"""A run that fails can be tried again, at once or after a while."""

import time
from pathlib import Path
from typing import Any

import pytest

from millstream import context, flow, task
from millstream.states import State
from millstream.task_runners import TaskRunner
from millstream.tasks import exponential_backoff
from tests.harness import eventually


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def note(path: Path, what: object) -> int:
    """Write a line; gives how many there are. A file, as runs may be in several processes."""
    with path.open("a") as file:
        file.write(f"{what}\n")
    return len(lines(path))


@task(retries=2)
def third_time_lucky(path: Path) -> int:
    tries = note(path, "try")
    if tries < 3:
        raise ValueError(f"try {tries}")
    return tries


@task(retries=2, retry_delay_seconds=[0.2, 0.4])
def later(path: Path) -> int:
    if note(path, time.time()) < 3:
        raise ValueError("not yet")
    return context.TaskRunContext.get().task_run.run_count


@task(retries=1)
async def second_time_lucky(path: Path) -> int:
    if note(path, "try") < 2:
        raise ValueError("not yet")
    return 2


def is_a_value_error(*told: Any) -> bool:
    state: State[Any] = told[2]
    return isinstance(state.data, ValueError)


def breaks(*_: Any) -> bool:
    raise RuntimeError("the condition itself")


@task(retries=3, retry_condition_fn=is_a_value_error)
def fails_with(path: Path, error: Exception) -> None:
    note(path, "try")
    raise error


@pytest.mark.parametrize("kind", [third_time_lucky, second_time_lucky])
def test_a_failed_run_is_tried_again(task_runner: TaskRunner, tmp_path: Path, kind: Any) -> None:
    """As often as `retries` says, until it does not fail; sync and async."""

    @flow(task_runner=task_runner)
    def trying() -> tuple[int, str]:
        future = kind.submit(tmp_path / "tries")
        return future.result(), future.state.name

    assert trying() == (kind.retries + 1, "Completed")


def test_the_last_failure_is_the_outcome(task_runner: TaskRunner, tmp_path: Path) -> None:
    """With no retries left the run is Failed, with the exception of its last try."""

    @flow(task_runner=task_runner)
    def trying() -> State[Any]:
        return third_time_lucky.with_options(retries=1).submit(tmp_path / "tries", return_state=True)

    state = trying(return_state=True)
    assert state.name == "Failed"
    with pytest.raises(ValueError, match="try 2"):
        state.data.result()
    assert len(lines(tmp_path / "tries")) == 2


def test_retries_wait_as_long_as_they_should(task_runner: TaskRunner, tmp_path: Path) -> None:
    """A list has a delay for each retry; the run counts how often it was begun."""

    @flow(task_runner=task_runner)
    def trying() -> int:
        return later.submit(tmp_path / "tries").result()

    assert trying() == 3
    first, second, third = (float(line) for line in lines(tmp_path / "tries"))
    assert 0.2 <= second - first < 0.5
    assert 0.4 <= third - second < 0.7


def test_a_waiting_run_says_so(concurrent_runner: TaskRunner, tmp_path: Path) -> None:
    """It is Scheduled, named AwaitingRetry, with the time of its next try."""
    patient = later.with_options(retry_delay_seconds=0.6, retries=1)

    @flow(task_runner=concurrent_runner)
    def trying() -> tuple[str, State[Any]]:
        future = patient.submit(tmp_path / "tries")
        eventually(lambda: future.state.name == "AwaitingRetry")
        state = future.state
        future.wait()
        return state.type.value, future.state

    assert trying(return_state=True).data[0] == "SCHEDULED"


def test_a_condition_decides(task_runner: TaskRunner, tmp_path: Path) -> None:
    """`retry_condition_fn` sees the failed state; what it refuses fails at once."""

    @flow(task_runner=task_runner)
    def trying() -> None:
        fails_with.submit(tmp_path / "refused", KeyError("no")).wait()
        fails_with.submit(tmp_path / "agreed", ValueError("yes")).wait()

    trying()
    assert len(lines(tmp_path / "refused")) == 1
    assert len(lines(tmp_path / "agreed")) == 4


def test_a_condition_that_raises_does_not_agree(task_runner: TaskRunner, tmp_path: Path) -> None:
    """The run fails with its own exception; that of the condition is logged."""
    broken = fails_with.with_options(retry_condition_fn=breaks)

    @flow(task_runner=task_runner)
    def trying() -> Any:
        return broken.submit(tmp_path / "tries", ValueError("mine")).result(raise_on_failure=False)

    error = trying()
    assert isinstance(error, ValueError)
    assert len(lines(tmp_path / "tries")) == 1


def test_a_flow_is_tried_again_as_a_whole(tmp_path: Path) -> None:
    """Its function is called again, and so are its tasks."""
    path = tmp_path / "tries"

    @flow(retries=2, retry_delay_seconds=0.05)
    def trying() -> int:
        tries = note(path, "try")
        if tries < 3:
            raise ValueError("not yet")
        return context.FlowRunContext.get().flow_run.run_count

    assert trying() == 3


def test_an_exit_is_not_tried_again(tmp_path: Path) -> None:
    """Only failures are; what ends a run from outside is not."""

    @task(retries=3)
    def leaving() -> None:
        note(tmp_path / "tries", "try")
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        leaving()
    assert len(lines(tmp_path / "tries")) == 1


def test_delays_can_grow() -> None:
    """`exponential_backoff` doubles them; a function is asked when the task is declared."""
    assert task(print, retries=4, retry_delay_seconds=exponential_backoff(3)).retry_delay_seconds == (3, 6, 12, 24)


@pytest.mark.parametrize(("factor", "error"), [(-1, ValueError), ("2", TypeError), (None, TypeError)])
def test_a_bad_factor_is_refused_at_once(factor: Any, error: type[Exception]) -> None:
    """With its name."""
    with pytest.raises(error, match="backoff_factor"):
        exponential_backoff(factor)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"retries": -1}, ValueError),
        ({"retries": "2"}, TypeError),
        ({"retry_delay_seconds": "soon"}, TypeError),
        ({"retry_delay_seconds": -1}, ValueError),
        ({"retry_delay_seconds": [1] * 51}, ValueError),
        ({"retry_jitter_factor": -0.1}, ValueError),
        ({"retry_condition_fn": "always"}, TypeError),
    ],
)
def test_bad_options_are_refused_when_they_are_declared(options: dict[str, Any], error: type[Exception]) -> None:
    """Not when a run fails for the first time."""
    with pytest.raises(error, match=next(iter(options))):
        task(print, **options)
