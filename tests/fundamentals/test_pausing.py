"""Flows that pause until somebody resumes them, and may be given something then."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pydantic
import pytest

from millstream import (
    apause_flow_run,
    exceptions,
    flow,
    pause_flow_run,
    resume_flow_run,
    sessions,
    suspend_flow_run,
    task,
)
from millstream.flow_runs import aresume_flow_run
from millstream.input import RunInput
from millstream.task_runners import QueueTaskRunner
from millstream_shared import records
from millstream_shared.records import Record
from millstream_shared.states import StateType
from tests.harness import eventually


class Answer(RunInput):
    """What a person says."""

    name: str
    number: int = 7


class Even(pydantic.BaseModel):
    """A model that knows more than its schema."""

    number: int

    @pydantic.field_validator("number")
    @classmethod
    def check(cls, number: int) -> int:
        if number % 2:
            raise ValueError("odd")
        return number


@task
def double(number: int) -> int:
    return 2 * number


@flow(task_runner=QueueTaskRunner)
def paused(kind: str = "none", timeout: float = 60, key: str | None = None) -> Any:
    """Submits a task, and pauses."""
    future = double.submit(21)
    kinds: dict[str, Any] = {"none": None, "answer": Answer, "even": Even, "list": list[int], "int": int}
    given = pause_flow_run(wait_for_input=kinds[kind], timeout=timeout, key=key)
    return future.result(), given


@flow
async def paused_async() -> Any:
    """Pauses twice without blocking its loop."""
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0)
            beats += 1

    heart = asyncio.create_task(beat())
    first = await pause_flow_run(int)
    second = await apause_flow_run(int)
    heart.cancel()
    assert beats > 100
    return first, second


@flow(task_runner=QueueTaskRunner)
def suspended(kind: str = "int", timeout: float | None = None) -> Any:
    """Leaves its process."""
    future = double.submit(21)
    given = suspend_flow_run(wait_for_input={"int": int, "none": None}[kind], timeout=timeout)
    return future.result(), given


def record_of(run_id: str) -> Record:
    return records.decode(run_id, sessions.current().store.records([run_id])[run_id])


def key_of_pause(run_id: str) -> str | None:
    """The key of the pause that a run is in."""
    return (record_of(run_id).details or {}).get("pause", {}).get("key")


def paused_run(future: Any, name: str = "Paused") -> str:
    """The id of a run, once it is paused."""
    eventually(lambda: record_of(future.run_id).state_name == name, 20)
    return future.run_id


def test_a_paused_flow_goes_on_when_it_is_resumed() -> None:
    """What it submitted goes on meanwhile; its state says that it is paused."""
    future = paused.submit()
    run_id = paused_run(future)
    assert future.state.is_paused()
    eventually(lambda: any(run.state_type is StateType.COMPLETED for run in sessions.current().store.tree(run_id)))
    resume_flow_run(run_id)
    assert future.result(timeout=10) == (42, None)


@pytest.mark.parametrize(
    ("kind", "given", "seen"),
    [
        ("answer", {"name": "Ada"}, Answer(name="Ada")),
        ("answer", Answer(name="Ada", number=1), Answer(name="Ada", number=1)),
        ("list", [1, 2], [1, 2]),
        ("int", 5, 5),
        ("int", {"value": 5}, 5),
    ],
)
def test_it_is_given_what_it_waits_for(kind: str, given: Any, seen: Any) -> None:
    """A model by its fields or as such, a plain value as such."""
    future = paused.submit(kind)
    resume_flow_run(paused_run(future), run_input=given)
    assert future.result(timeout=10) == (42, seen)


@pytest.mark.parametrize(
    ("kind", "given", "why"),
    [
        ("answer", {"number": 1}, "'name' is a required property"),
        ("answer", {"name": "Ada", "number": "many"}, "number: 'many' is not of type 'integer'"),
        ("answer", None, "'name' is a required property"),
        ("int", "five", "'five' is not of type 'integer'"),
        ("none", 5, "waits for no input"),
        ("int", object(), "cannot be written as JSON"),
    ],
)
def test_what_it_does_not_take_keeps_it_paused(kind: str, given: Any, why: str) -> None:
    """Who resumes it is told why, and may do better."""
    future = paused.submit(kind)
    run_id = paused_run(future)
    with pytest.raises(exceptions.ParameterTypeError, match=why):
        resume_flow_run(run_id, run_input=given)
    assert record_of(run_id).state_type is StateType.PAUSED
    resume_flow_run(run_id, {"answer": {"name": "Ada"}, "int": 5, "none": None}[kind])
    assert future.result(timeout=10)


def test_what_only_its_model_refuses_keeps_it_paused_too() -> None:
    """That shows in its process: it is paused again."""
    future = paused.submit("even")
    run_id = paused_run(future)
    resume_flow_run(run_id, {"number": 3})
    eventually(lambda: not sessions.current().store.command("HKEYS", f"ms:inputs:{run_id}"))
    resume_flow_run(paused_run(future), {"number": 4})
    assert future.result(timeout=10) == (42, Even(number=4))


def test_initial_data_are_defaults() -> None:
    """A model with some fields filled in, and words for who is to fill in the others."""
    made = Answer.with_initial_data(description="Who are you?", name="nobody")
    assert made() == made(name="nobody", number=7)
    assert made.model_json_schema()["description"] == "Who are you?"
    assert issubclass(made, Answer)
    with pytest.raises(TypeError, match="no field 'age'"):
        Answer.with_initial_data(age=3)


def test_a_flow_that_is_called_pauses_as_well() -> None:
    """Here another thread resumes it."""
    ids: list[str] = []

    @flow
    def called() -> int:
        from millstream import runtime

        ids.append(runtime.flow_run.id)
        return pause_flow_run(int)

    def resume() -> None:
        run_id = eventually(lambda: ids)[0].replace("-", "")
        eventually(lambda: run_id in sessions.current().store.records([run_id]))
        eventually(lambda: record_of(run_id).state_type is StateType.PAUSED)
        resume_flow_run(run_id, 3)

    thread = threading.Thread(target=resume)
    thread.start()
    assert called() == 3
    thread.join()


def test_an_async_flow_pauses_without_blocking_its_loop() -> None:
    """By the same functions and by their async twins."""
    future = paused_async.submit()
    run_id = paused_run(future)

    async def main() -> None:
        await resume_flow_run(run_id, 1)
        # It may not have come to its second pause yet.
        await asyncio.to_thread(eventually, lambda: key_of_pause(run_id) == "pause-2")
        await aresume_flow_run(run_id, 2)

    asyncio.run(main())
    assert future.result(timeout=10) == (1, 2)


def test_a_pause_that_takes_too_long_fails_the_flow() -> None:
    """With FlowPauseTimeout."""
    future = paused.submit(timeout=0.2)
    with pytest.raises(exceptions.FlowPauseTimeout, match="nobody resumed it"):
        future.result(timeout=10)
    assert future.state.is_failed()


def test_a_suspended_flow_is_executed_again() -> None:
    """In another process, under its id; the task that it had submitted is not executed again."""
    future = suspended.submit()
    run_id = paused_run(future, "Suspended")
    with pytest.raises(exceptions.ParameterTypeError, match="not of type 'integer'"):
        resume_flow_run(run_id, "five")
    resume_flow_run(run_id, 5)
    assert future.result(timeout=10) == (42, 5)
    runs = list(sessions.current().store.tree(run_id))
    assert len(runs) == 2
    assert {run.kind: run.attempt for run in runs} == {"flow": 2, "task": 1}


def test_a_suspension_that_takes_too_long_fails_the_flow() -> None:
    """When its time is over it is executed again, and gets FlowPauseTimeout."""
    future = suspended.submit(timeout=0.3)
    with pytest.raises(exceptions.FlowPauseTimeout, match="nobody resumed it"):
        future.result(timeout=20)
    with pytest.raises(exceptions.NotPausedError, match="it is Failed"):
        resume_flow_run(future.run_id)


def test_only_a_queued_flow_can_be_suspended() -> None:
    """One that was called has nobody who would execute it again."""
    with pytest.raises(RuntimeError, match="only a run that was queued"):
        suspended()


def in_a_task(function: Callable[[], Any]) -> Any:
    @task
    def calls() -> Any:
        return function()

    @flow
    def around() -> Any:
        return calls()

    return around()


@pytest.mark.parametrize("function", [pause_flow_run, suspend_flow_run])
def test_only_flows_pause(function: Callable[[], Any]) -> None:
    """Neither a script nor a task does."""
    with pytest.raises(RuntimeError, match="Only a flow can"):
        function()
    with pytest.raises(RuntimeError, match="Only a flow can"):
        in_a_task(function)


def test_only_what_is_paused_can_be_resumed() -> None:
    """Other runs are named, and unknown ones."""
    with pytest.raises(exceptions.ObjectNotFound, match="no flow run 0123"):
        resume_flow_run("0123456789abcdef" * 2)
    future = paused.submit()
    run_id = paused_run(future)
    resume_flow_run(run_id)
    with pytest.raises(exceptions.NotPausedError, match="is not paused"):
        resume_flow_run(run_id)
    future.wait(10)
    with pytest.raises(TypeError, match="wait_for_input takes"):
        flow(lambda: pause_flow_run(wait_for_input=object()))()
