"""Flows that are submitted: queued for a worker, which executes each in a process of its own."""

import asyncio
import os
from typing import Any

import pydantic
import pytest

from millstream import exceptions, flow, get_run_logger, runtime, sessions, tags, task
from millstream.futures import as_completed, future_of, wait
from millstream.task_runners import QueueTaskRunner, TaskRunner
from millstream_shared import records


class Size(pydantic.BaseModel):
    width: int


@task
def double(x: int) -> int:
    return 2 * x


@flow(task_runner=QueueTaskRunner)
def doubled(x: int) -> int:
    """Doubles by a task."""
    return double.submit(x).result()


@flow
def process_id() -> int:
    """Where it is executed."""
    return os.getpid()


@flow
async def awaited(x: int) -> int:
    """An async flow."""
    await asyncio.sleep(0)
    return x + 1


@flow
def failing(text: str) -> None:
    """Fails."""
    raise ValueError(text)


@flow
def typed(number: int, words: list[str] | None = None) -> tuple[int, list[str] | None]:
    """Has annotations."""
    return number, words


@flow
def whereabouts() -> dict[str, Any]:
    """What it knows of itself."""
    return {
        "id": runtime.flow_run.id,
        "parent": runtime.flow_run.parent_flow_run_id,
        "tags": runtime.flow_run.tags,
        "parameters": runtime.flow_run.parameters,
    }


@flow(task_runner=QueueTaskRunner)
def in_a_task() -> list[int]:
    """Has a task that submits flows."""
    return submits.submit([1, 2]).result()


@task
def submits(numbers: list[int]) -> list[int]:
    return [future.result() for future in [doubled.submit(number) for number in numbers]]


def record_of(run_id: str) -> records.Record:
    """What the store has of a run."""
    return records.decode(run_id, sessions.current().store.records([run_id])[run_id])


def test_a_submitted_flow_gives_a_future_of_its_run() -> None:
    """Known by its id from the start; the result is the flow's."""
    future = doubled.submit(21)
    assert future.flow_run_id == future.id
    assert future.result() == 42
    assert future.state.is_completed()
    assert record_of(future.run_id).function_name == "doubled"


def test_each_run_has_a_process_of_its_own() -> None:
    """Neither that of the caller nor that of another run."""
    seen = [future.result() for future in [process_id.submit() for _ in range(3)]]
    assert len({os.getpid(), *seen}) == 4


def test_async_flows_are_submitted_like_others() -> None:
    """Without an event loop here; where there is one, the future is awaited."""
    assert awaited.submit(1).result() == 2

    async def main() -> list[int]:
        return await asyncio.gather(awaited.submit(2), awaited.submit(3))

    assert asyncio.run(main()) == [3, 4]


def test_map_gives_a_run_for_each_element() -> None:
    """In order; `wait` and `as_completed` take the futures."""
    futures = doubled.map([1, 2, 3])
    assert not wait(futures).not_done
    assert sorted(future.result() for future in as_completed(futures)) == [2, 4, 6]
    assert futures.result() == [2, 4, 6]


def test_a_failure_is_in_the_future() -> None:
    """As the exception that the flow raised."""
    future = failing.submit("no")
    with pytest.raises(ValueError, match="no"):
        future.result()
    assert future.state.is_failed()
    assert failing.submit("again", return_state=True).is_failed()


def test_parameters_are_checked_before_there_is_a_run() -> None:
    """Against signature and annotations; the worker casts them."""
    with pytest.raises(exceptions.ParameterBindError):
        typed.submit()
    with pytest.raises(exceptions.ParameterTypeError, match="number"):
        typed.submit("many")
    with pytest.raises(exceptions.UnpicklableArgument, match="words"):
        typed.submit(1, words=(text for text in ["a"]))
    assert typed.submit("5", words=("a",)).result() == (5, ["a"])


def test_values_of_runs_are_checked_in_their_place(task_runner: TaskRunner) -> None:
    """Of futures whichever runner they are from, and of states; a run that failed leaves nothing to be checked."""

    @task
    def text(given: str) -> str:
        return given

    @flow(task_runner=task_runner)
    def submitting() -> list[int]:
        one, two = text.submit("1"), text("2", return_state=True)
        numbers = typed.map([one, two]).result()
        return [typed.submit(one).result()[0], typed.submit(two).result()[0], *(number for number, _ in numbers)]

    @flow(task_runner=task_runner)
    def failing_first() -> str:
        return typed.submit(double.submit("x", wait_for=[failing("no", return_state=True)]), return_state=True).name

    assert submitting() == [1, 2, 1, 2]
    assert failing_first() == "NotReady"


def test_annotations_that_are_texts_are_those_of_the_script() -> None:
    """Though the flow travels to another process, which has not what they name."""

    @flow
    def width(size: "Size", more: "list[Size]") -> int:
        return size.width + sum(each.width for each in more)

    given: Any = {"width": "3"}
    assert width(given, [given]) == 6
    assert width.submit(given, [given]).result() == 6


def test_futures_are_dependencies() -> None:
    """As arguments and in `wait_for`; without their results the run is not begun."""
    assert doubled.submit(doubled.submit(1)).result() == 4
    first = failing.submit("no")
    second = doubled.submit(1, wait_for=[first])
    with pytest.raises(exceptions.UnfinishedRun):
        second.result()
    assert second.state.name == "NotReady"


def test_a_child_knows_its_parent() -> None:
    """Submitted in a flow it is a child of that run, with its tags; outside it has no parent."""

    @flow
    def parent() -> tuple[str, dict[str, Any]]:
        with tags("urgent"):
            return str(runtime.flow_run.id), whereabouts.submit().result()

    parent_id, child = parent()
    assert child["parent"] == parent_id
    assert child["tags"] == ["urgent"]
    assert child["id"] != parent_id
    assert whereabouts.submit().result()["parent"] is None


def test_a_flow_waits_for_the_flows_that_it_has_submitted() -> None:
    """Before it is over, also if it does not ask for their results."""
    futures: list[Any] = []

    @flow
    def parent() -> None:
        futures.append(doubled.submit(4))

    parent()
    assert futures[0].done()
    assert futures[0].result() == 8


def test_tasks_submit_flows_too() -> None:
    """From the process of a worker; the flow run around the task is their parent."""
    assert in_a_task() == [2, 4]
    assert in_a_task.submit().result() == [2, 4]


def test_the_future_can_be_made_again_from_the_id() -> None:
    """In whatever process, as long as records are kept."""
    future = doubled.submit(5)
    assert future_of(str(future.flow_run_id)).result() == 10
    assert future_of(future.flow_run_id).result() == 10


def test_what_cannot_be_found_by_name_travels_by_value() -> None:
    """Such as a flow in a function, with the tasks that it uses."""
    offset = 100

    @task
    def shifted(x: int) -> int:
        return x + offset

    @flow(task_runner=QueueTaskRunner)
    def local(x: int) -> int:
        get_run_logger().debug("here")
        return shifted.submit(x).result()

    assert local.submit(1).result() == 101


def test_equal_calls_are_runs_of_their_own() -> None:
    """In one flow too, although ids follow from what is called."""

    @flow
    def parent() -> set[str]:
        return {future.run_id for future in [doubled.submit(1), doubled.submit(1), *doubled.map([1, 1])]}

    assert len(parent()) == 4
