"""What the final state of a run is, by what its function returns or raises."""

import asyncio
import types
from collections.abc import Coroutine, Generator
from functools import partial

import pytest

from millstream import State, flow, quote, task
from millstream.exceptions import CancelledRun, CrashedRun, FailedRun
from millstream.states import Cancelled, Completed, Failed, StateType
from millstream.task_runners import TaskRunner


@task
def give(value):
    return value


@task
def fail(message: str = "no") -> None:
    raise ValueError(message)


@task
def cancel() -> State:
    return Cancelled()


def test_an_exception_fails_the_flow() -> None:
    """It is raised unchanged, or held by the state, whose message tells it."""

    @flow
    def failing() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match=r"^no$"):
        failing()
    state = failing(return_state=True)
    assert state.is_failed()
    assert "encountered an exception" in state.message
    assert "no" in state.message


@pytest.mark.parametrize("value", [5, None, "text", [], {}, [1, 2]])
def test_a_plain_value_completes_the_flow(value: object) -> None:
    """Whatever it is."""
    returning = flow(lambda: value)
    assert returning() == value
    assert returning(return_state=True).is_completed()


def test_a_returned_exception_is_a_value() -> None:
    """It was not raised."""
    error = ValueError("kept")
    state = flow(lambda: error)(return_state=True)
    assert state.is_completed()
    assert state.result() is error


def test_a_failed_run_that_is_not_returned_does_not_matter(task_runner: TaskRunner) -> None:
    """The flow decides what matters, by what it returns."""

    @flow(task_runner=task_runner)
    def returning() -> str:
        fail.submit()
        return "fine"

    assert returning() == "fine"


def test_a_returned_future_becomes_its_state(task_runner: TaskRunner) -> None:
    """The caller gets the child's state, and its failure is the flow's."""

    @flow(task_runner=task_runner)
    def returning(good: bool):
        return [give.submit(1) if good else fail.submit()]

    @flow(task_runner=task_runner)
    def returning_one(good: bool):
        return give.submit(1) if good else fail.submit()

    (state,) = returning(True)
    assert state.result() == returning_one(True).result() == 1
    for bad in (returning, returning_one):
        assert bad(False, return_state=True).message == "1/1 states failed."
        with pytest.raises(ValueError, match="no"):
            bad(False)


def test_returned_futures_are_judged_together(task_runner: TaskRunner) -> None:
    """All completed, else cancelled if one is, else failed."""

    @flow(task_runner=task_runner)
    def returning(*kinds: str):
        tasks = {"good": lambda: give.submit(1), "bad": fail.submit, "cancelled": cancel.submit}
        return [tasks[kind]() for kind in kinds]

    good = returning("good", "good", return_state=True)
    assert (good.type, good.message) == (StateType.COMPLETED, "All states completed.")
    assert [state.result() for state in returning("good", "good")] == [1, 1]
    failed = returning("good", "bad", "bad", return_state=True)
    assert (failed.type, failed.message) == (StateType.FAILED, "2/3 states failed.")
    cancelled = returning("good", "bad", "cancelled", return_state=True)
    assert (cancelled.type, cancelled.message) == (StateType.CANCELLED, "1/3 states cancelled.")


def test_futures_among_values_become_states(task_runner: TaskRunner) -> None:
    """In any structure; their failures are then for the caller to see."""

    @flow(task_runner=task_runner)
    def returning():
        return {"one": give.submit(1), "two": [fail.submit(), 2]}

    result = returning()
    assert result["one"].result() == 1
    assert result["two"][0].is_failed()
    assert result["two"][1] == 2


def test_two_lists_of_futures_become_two_lists_of_states(task_runner: TaskRunner) -> None:
    """In a tuple, as they were."""

    @flow(task_runner=task_runner)
    def returning():
        return give.map([1, 2]), give.map([3])

    first, second = returning()
    assert [state.result() for state in first + second] == [1, 2, 3]


@pytest.mark.parametrize("decorate", [task, flow])
def test_a_state_that_was_made_is_taken_as_it_is(decorate: type) -> None:
    """With its name and message; a value in it is what the call gives."""
    state = decorate(lambda: Completed(data=3, name="Fine", message="well"))(return_state=True)
    assert (state.name, state.message, state.result()) == ("Fine", "well", 3)
    assert decorate(lambda: Completed())() is None
    with pytest.raises(FailedRun, match="so so"):
        decorate(lambda: Failed(message="so so"))()
    with pytest.raises(CancelledRun):
        decorate(lambda: Cancelled())()


def test_a_made_state_can_be_returned_again_and_again() -> None:
    """It belongs to no run."""
    made = Completed(data=1)
    returning = flow(lambda: made)
    assert returning() == returning() == 1
    assert made.run_id is None


def test_the_state_of_a_child_is_judged() -> None:
    """A state that a run reached is not taken as the flow's own."""

    @flow
    def child(good: bool) -> int:
        if not good:
            raise ValueError("no")
        return 1

    @flow
    def returning(good: bool) -> State:
        return child(good, return_state=True)

    assert returning(True).result() == 1
    assert returning(False, return_state=True).message == "1/1 states failed."


def test_quoted_states_are_a_value() -> None:
    """They are not judged."""
    state = flow(lambda: quote([Failed()]))(return_state=True)
    assert state.is_completed()
    assert state.result()[0].is_failed()


@pytest.mark.parametrize("decorate", [task, flow])
def test_a_quoted_state_is_a_value(decorate: type) -> None:
    """Whatever it is, the run completes with it."""
    for make in (partial(Failed, message="no"), partial(Completed, data=3)):
        state = decorate(lambda make=make: quote(make()))(return_state=True)
        assert state.is_completed()
        assert (state.data.type, state.data.message) == (make().type, make().message)


def test_a_generator_that_is_returned_becomes_a_list() -> None:
    """Its body runs within the flow run."""
    assert flow(lambda: (x for x in [1, 2]))() == [1, 2]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("decorate", [task, flow])
def test_an_interrupt_crashes_the_run_and_goes_on(decorate: type, error: type[BaseException]) -> None:
    """It is raised again, even where a state was asked for."""

    def interrupted() -> None:
        raise error

    with pytest.raises(error):
        decorate(interrupted)(return_state=True)


def test_a_task_that_exits_in_a_runner_is_a_crash(task_runner: TaskRunner) -> None:
    """The flow goes on; the exit is the cause of what `result` raises."""

    @task
    def leave() -> None:
        raise SystemExit(3)

    @flow(task_runner=task_runner)
    def going_on() -> str:
        future = leave.submit()
        with pytest.raises(CrashedRun) as raised:
            future.result()
        assert isinstance(raised.value.__cause__, SystemExit)
        return future.state.name

    assert going_on() == "Crashed"


async def test_cancelling_an_async_flow_crashes_it(caplog: pytest.LogCaptureFixture) -> None:
    """The coroutine ends as cancelled."""
    begun = asyncio.Event()

    @flow
    async def waiting() -> None:
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.ensure_future(waiting())
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "Finished in state Crashed" in caplog.text


def test_an_async_flow_that_is_dropped_is_a_crash(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody can await it any more, but its end is told."""

    begun = False

    @flow
    async def waiting() -> None:
        nonlocal begun
        begun = True
        await asyncio.Event().wait()

    @types.coroutine
    def begin(coroutine: Coroutine) -> Generator:
        while (pending := coroutine.send(None)) and not begun:
            yield pending

    async def drop() -> None:
        coroutine = waiting()
        await begin(coroutine)
        coroutine.close()

    asyncio.run(drop())
    assert "Finished in state Crashed" in caplog.text
