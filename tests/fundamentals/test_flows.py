"""Flows: calls, children, recursion, and their task runners."""

import asyncio
import subprocess
import sys

import pytest

from millstream import context, flow, task
from millstream.exceptions import ParameterBindError
from millstream.task_runners import SequentialTaskRunner, TaskRunner, ThreadPoolTaskRunner


@task
def double(x: int) -> int:
    return 2 * x


def test_a_flow_gives_the_value() -> None:
    """As the function would."""
    assert flow(lambda x, y=1: x + y)(2) == 3


def test_arguments_that_do_not_fit_are_refused_at_once() -> None:
    """An async flow refuses them when it is called, not when it is awaited."""

    @flow
    async def later(x: int) -> None: ...

    with pytest.raises(ParameterBindError):
        later()
    with pytest.raises(ParameterBindError, match="y"):
        flow(lambda x: x)(1, y=2)


def test_an_async_flow_gives_a_coroutine() -> None:
    """For `asyncio.run`, `await` and `gather`."""

    @flow
    async def later(x: int) -> int:
        return x + 1

    async def both() -> list[int]:
        return await asyncio.gather(later(1), later(2))

    assert asyncio.run(later(1)) == 2
    assert asyncio.run(both()) == [2, 3]


async def test_a_sync_flow_runs_where_a_loop_runs(task_runner: TaskRunner) -> None:
    """In the calling thread, which blocks; its async tasks too."""

    @task
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x

    @flow(task_runner=task_runner)
    def blocking() -> int:
        return later.submit(1).result() + double.submit(2).result()

    assert blocking() == 5


def test_a_flow_called_in_a_flow_is_its_child(task_runner: TaskRunner) -> None:
    """It knows the run that called it."""

    @flow(task_runner=task_runner)
    def child() -> tuple[str, str | None]:
        run = context.FlowRunContext.get().flow_run
        return run.run_id, run.parent_flow_run_id

    @flow(task_runner=task_runner)
    def parent() -> bool:
        own = context.FlowRunContext.get().flow_run.run_id
        child_id, parent_id = child()
        return own == parent_id and own != child_id

    assert parent() is True


def test_a_flow_called_in_a_task_passes_its_value(task_runner: TaskRunner) -> None:
    """The task's run is its parent."""

    @flow(task_runner=task_runner)
    def child(x: int) -> tuple[int, bool]:
        return double.submit(x).result(), context.FlowRunContext.get().flow_run.parent_task_run_id is not None

    @task
    def between(x: int) -> tuple[int, bool]:
        return child(x)

    @flow(task_runner=task_runner)
    def parent() -> list[tuple[int, bool]]:
        return [between(1), between.submit(2).result()]

    assert parent() == [(2, True), (4, True)]


async def test_async_flows_and_tasks_await_each_other(task_runner: TaskRunner) -> None:
    """In any order of nesting."""

    @flow(task_runner=task_runner)
    async def inner(x: int) -> int:
        return await double.submit(x)

    @task
    async def between(x: int) -> int:
        return await inner(x) + 1

    @flow(task_runner=task_runner)
    async def outer() -> list[int]:
        return [await between(1), *await asyncio.gather(inner(2), inner(3))]

    assert await outer() == [3, 4, 6]


@flow
def total(tree: list) -> int:
    return sum(total(part) if isinstance(part, list) else double.submit(part).result() for part in tree)


@flow
async def total_later(tree: list) -> int:
    parts = await asyncio.gather(*(total_later(part) for part in tree if isinstance(part, list)))
    return sum(parts) + sum(double(part) for part in tree if not isinstance(part, list))


async def test_a_flow_can_call_itself() -> None:
    """Each run with a runner of its own."""
    tree = [1, [2, [3]], [4]]
    assert total(tree) == await total_later(tree) == 20


def test_a_failing_child_fails_its_parent_unless_caught() -> None:
    """The exception goes through as in plain Python."""

    @flow
    def child() -> None:
        raise ValueError("no")

    @flow
    def careful() -> str:
        with pytest.raises(ValueError, match="no"):
            child()
        return child(return_state=True).name

    with pytest.raises(ValueError, match="no"):
        flow(lambda: child())()
    assert careful() == "Failed"


def test_a_sync_flow_may_return_the_coroutine_of_an_async_task() -> None:
    """It is awaited, and its value is the flow's; with and without a loop around."""

    @task
    async def later() -> int:
        return 7

    returning = flow(lambda: later())
    assert returning() == 7

    async def around() -> int:
        return returning()

    assert asyncio.run(around()) == 7


def test_each_run_has_a_duplicate_of_the_runner(task_runner: TaskRunner) -> None:
    """So a flow can run several times at once."""

    @flow(task_runner=task_runner)
    def looking() -> TaskRunner:
        return context.FlowRunContext.get().task_runner

    used = looking()
    assert used == task_runner
    assert used is not task_runner


@pytest.mark.parametrize("name", ["threads", "concurrent", "sequential"])
def test_the_default_runner_is_a_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """MILLSTREAM_DEFAULT_TASK_RUNNER, for flows that say nothing."""
    monkeypatch.setenv("MILLSTREAM_DEFAULT_TASK_RUNNER", name)
    expected = SequentialTaskRunner() if name == "sequential" else ThreadPoolTaskRunner()
    assert flow(double.fn).task_runner == expected


def test_an_interrupted_flow_does_not_wait_for_its_tasks() -> None:
    """The process ends although a task would never."""
    program = (
        "import threading\n"
        "from millstream import flow, recording, task\n"
        "recording.flow_run_changed = recording.flow_run_finished = recording.run_finished = lambda *_: None\n"
        "from millstream.task_runners import ThreadPoolTaskRunner\n"
        "begun = threading.Event()\n"
        "@task\n"
        "def stay():\n"
        "    begun.set()\n"
        "    threading.Event().wait()\n"
        "@flow(task_runner=ThreadPoolTaskRunner(max_workers=1))\n"
        "def interrupted():\n"
        "    stay.submit(), stay.submit()\n"
        "    begun.wait()\n"
        "    raise KeyboardInterrupt\n"
        "interrupted()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert "KeyboardInterrupt" in ended.stderr
    assert "Finished in state Crashed" in ended.stderr
