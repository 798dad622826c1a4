"""Where a run stands, what it is called, and what it logs."""

import asyncio
import logging
import re
import subprocess
import sys
from typing import Any

import pytest

from millstream import flow, get_run_logger, tags, task
from millstream.context import FlowRunContext, TaskRunContext, get_run_context
from millstream.exceptions import MissingContextError
from millstream.logging import get_run_logger as logger_by_its_module
from millstream.task_runners import TaskRunner


@task
def tags_here() -> list[str]:
    return sorted(TaskRunContext.get().task_run.tags)


@task
def innermost() -> str:
    return type(get_run_context()).__name__


@task
def flow_run_here() -> tuple[dict[str, Any], bool]:
    context = FlowRunContext.get()
    assert context.parameters == context.flow_run.parameters
    return context.parameters, context.flow_run.state.is_running()


@task
async def flow_run_here_async() -> tuple[dict[str, Any], bool]:
    return flow_run_here.fn()


def test_tags_go_to_runs_started_inside(task_runner: TaskRunner) -> None:
    """With the task's own; they nest, and end with the block."""

    @flow(task_runner=task_runner)
    def tagging() -> list[list[str]]:
        tagged = tags_here.with_options(tags=["own"])
        with tags("a", "b") as outer:
            assert outer == {"a", "b"}
            with tags("c"):
                inside = [tagged(), tagged.submit().result()]
            return [*inside, tags_here(), tags_here.submit().result()]

    assert tagging() == [["a", "b", "c", "own"], ["a", "b", "c", "own"], ["a", "b"], ["a", "b"]]


def test_children_inherit_the_tags_of_their_flow(task_runner: TaskRunner) -> None:
    """Flows and tasks, however deep."""

    @flow(task_runner=task_runner)
    def child() -> list[str]:
        return tags_here.submit().result()

    @flow(task_runner=task_runner)
    def parent() -> list[str]:
        assert FlowRunContext.get().flow_run.tags == {"x"}
        return child()

    with tags("x"):
        assert parent() == ["x"]
    assert child() == []


def test_contexts_tell_the_run() -> None:
    """Its ids, name, parameters and state."""

    @task
    def inner(x: int, y: int = 2) -> int:
        context = TaskRunContext.get()
        run = context.task_run
        assert context.parameters == run.parameters == {"x": 1, "y": 2}
        assert run.state.is_running()
        assert run.run_count == 1
        assert run.flow_run_id == FlowRunContext.get().flow_run.run_id
        assert run.name == f"inner-{run.run_id[-3:]}"
        assert run.id.hex == run.run_id
        return x + y

    @flow
    def outer(z: int) -> int:
        context = FlowRunContext.get()
        assert context.parameters == context.flow_run.parameters == {"z": 3}
        assert context.flow_run.state.is_running()
        assert context.flow.name == "outer"
        assert re.fullmatch("[a-z]+-[a-z]+", context.flow_run.name)
        return z + inner(1)

    assert outer(3) == 6


def test_a_task_finds_the_context_of_its_flow_run(task_runner: TaskRunner) -> None:
    """With its parameters and its state, wherever the task is executed."""

    @flow(task_runner=task_runner)
    def asking(up_to: int, days: int = 7) -> list[tuple[dict[str, Any], bool]]:
        assert (up_to, days) == (4, 7)
        return [each.submit().result() for each in (flow_run_here, flow_run_here_async)]

    assert asking(4) == [({"up_to": 4, "days": 7}, True)] * 2


def test_the_innermost_context_is_found(task_runner: TaskRunner) -> None:
    """A flow in a task stands before the task."""

    @flow(task_runner=task_runner)
    def child() -> str:
        assert TaskRunContext.get() is None
        return type(get_run_context()).__name__

    @task
    def between() -> str:
        return child()

    @flow(task_runner=task_runner)
    def outer() -> list[str]:
        return [type(get_run_context()).__name__, innermost(), innermost.submit().result(), between()]

    assert outer() == ["FlowRunContext", "TaskRunContext", "TaskRunContext", "FlowRunContext"]


def test_outside_of_runs_there_is_no_context() -> None:
    """`get` gives None; what needs one raises a RuntimeError."""
    flow(lambda: 1)()
    assert FlowRunContext.get() is None
    assert TaskRunContext.get() is None
    for function in (get_run_context, get_run_logger):
        with pytest.raises(MissingContextError):
            function()
    with pytest.raises(RuntimeError):
        get_run_logger()


async def test_contexts_of_coroutines_do_not_mix() -> None:
    """Each of many that run at once sees its own."""

    @task
    async def own(x: int) -> bool:
        await asyncio.sleep(0)
        return TaskRunContext.get().parameters == {"x": x}

    @flow
    async def many() -> list[bool]:
        return await asyncio.gather(*(own(x) for x in range(50)))

    assert all(await many())


def test_run_loggers_mark_their_records(caplog: pytest.LogCaptureFixture) -> None:
    """With the ids and names of the run, and with what is added."""

    @task
    def inner() -> None:
        logger_by_its_module(shop="north").info("in a task")

    @flow
    def outer() -> str:
        get_run_logger().warning("in a flow")
        inner()
        return FlowRunContext.get().flow_run.run_id

    run_id = outer()
    of_flow = next(record for record in caplog.records if record.getMessage() == "in a flow")
    of_task = next(record for record in caplog.records if record.getMessage() == "in a task")
    assert (of_flow.levelno, of_flow.name, of_flow.flow_run_id) == (logging.WARNING, "millstream.flow_runs", run_id)
    assert (of_task.name, of_task.task_name, of_task.shop) == ("millstream.task_runs", "inner", "north")


def test_a_logger_is_not_made_for_anything_else() -> None:
    """A TypeError."""
    with pytest.raises(TypeError, match="str"):
        get_run_logger("context")


PROGRAM = """
from millstream import flow, get_run_logger, recording, task
recording.flow_run_changed = recording.flow_run_finished = recording.run_finished = lambda *_: None
@task
def work():
    get_run_logger().info("half %s", "way")
@task
def fail():
    raise ValueError("no")
@flow
def shown():
    work()
    fail(return_state=True)
shown()
"""


def _stderr(**environment: str) -> str:
    environment = {"MILLSTREAM_DEFAULT_TASK_RUNNER": "threads", **environment}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=20, check=True, env=environment
    ).stderr


def test_runs_are_told_of_on_stderr() -> None:
    """Time, level, run and what happened; the traceback of a failure."""
    lines = _stderr()
    clock = r"^\d\d:\d\d:\d\d\.\d{3} \| "
    for pattern in (
        r"INFO    \| Flow run '([a-z-]+)' - Beginning flow run '\1' for flow 'shown' \([0-9a-f]{12}\)$",
        r"INFO    \| Task run 'work-[0-9a-f]{3}' - half way$",
        r"INFO    \| Task run 'work-[0-9a-f]{3}' - Finished in state Completed\(\)$",
        r"ERROR   \| Task run 'fail-[0-9a-f]{3}' - Finished in state Failed\('.*ValueError: no'\)$",
        r"INFO    \| Flow run '[a-z-]+' - Finished in state Completed\(\)$",
    ):
        assert re.search(clock + pattern, lines, re.MULTILINE), pattern
    assert 'raise ValueError("no")' in lines or "ValueError: no" in lines


def test_the_level_is_a_setting() -> None:
    """MILLSTREAM_LOGGING_LEVEL."""
    assert _stderr(MILLSTREAM_LOGGING_LEVEL="CRITICAL") == ""
