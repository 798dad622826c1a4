"""How a task run is executed: inputs, context, the call, the final state. Read `_steps` first."""

import time
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from types import AsyncGeneratorType, CoroutineType
from typing import TYPE_CHECKING, Any, cast

from millstream import dependencies, drivers, outcomes, recording, run_logging, runs
from millstream.context import FlowRunContext, TaskRunContext
from millstream_shared import errors, states
from millstream_shared.states import State

if TYPE_CHECKING:
    from millstream.runs import TaskRun
    from millstream.tasks import Task


def run_task(
    task: "Task[..., Any]", task_run: "TaskRun", parameters: dict[str, Any], wait_for: Sequence[Any] = ()
) -> State[Any]:
    """Execute `task_run` in this thread, blocking, and give its final state, which the run holds as well.

    Exceptions of the function become the state. An interrupt, an exit or a cancellation is raised again, after the run
    was put in a crashed state.
    """
    return drivers.drive(_steps(task, task_run, parameters, wait_for))


async def run_task_async(
    task: "Task[..., Any]", task_run: "TaskRun", parameters: dict[str, Any], wait_for: Sequence[Any] = ()
) -> State[Any]:
    """The same in the running event loop."""
    return await drivers.drive_async(_steps(task, task_run, parameters, wait_for))


def _steps(
    task: "Task[..., Any]", run: "TaskRun", parameters: dict[str, Any], wait_for: Sequence[Any]
) -> drivers.Steps[State[Any]]:
    try:
        state = yield from _attempt(task, run, parameters, wait_for)
    except BaseException as crash:
        _end(run, outcomes.of_crash(crash))
        raise
    return _end(run, state)


def _attempt(
    task: "Task[..., Any]", run: "TaskRun", parameters: dict[str, Any], wait_for: Sequence[Any]
) -> drivers.Steps[State[Any]]:
    try:
        run.parameters = yield from inputs(parameters, wait_for)
    except errors.UpstreamTaskError as upstream:
        return states.NotReady(message=str(upstream))
    except Exception as error:
        return outcomes.of_exception(error, "Task run")
    run.started = time.time()
    run.run_count += 1
    runs.enter(run, states.Running())
    with TaskRunContext(task, run, run.parameters) as context:
        try:
            value = yield from returned(task.invoke(run.parameters))
            state = outcomes.of_value(value)
        except Exception as error:
            run_logging.task_run_failed(run, error)
            state = outcomes.of_exception(error, "Task run")
        yield from children(context)
    return state


def _end(run: "TaskRun", state: State[Any]) -> State[Any]:
    run.ended = time.time()
    runs.enter(run, state)
    run_logging.task_run_ended(run, state)
    return state


# --- steps that flow runs share ---------------------------------------------------------------------------------------


def inputs(parameters: dict[str, Any], wait_for: Iterable[Any]) -> drivers.Steps[dict[str, Any]]:
    """Wait for every future in `parameters` and `wait_for`; the parameters with values in their place.

    Raises UpstreamTaskError when one of them did not complete.
    """
    pending = dependencies.find_in_call(parameters, wait_for)
    if pending:
        yield drivers.WaitFor(pending)
    dependencies.check_upstream(wait_for)
    return dependencies.resolve_parameters(parameters)


def returned(value: Any) -> drivers.Steps[Any]:
    """What a function returned; where that is a coroutine, what it gives; where an async generator, its items."""
    if isinstance(value, CoroutineType):
        return (yield drivers.Await(cast("Coroutine[Any, Any, Any]", value)))
    if isinstance(value, AsyncGeneratorType):
        return (yield drivers.Await(_collected(cast("AsyncGenerator[Any]", value))))
    return value


async def _collected(items: AsyncGenerator[Any]) -> list[Any]:
    return [item async for item in items]


def children(context: FlowRunContext | TaskRunContext) -> drivers.Steps[None]:
    """Wait for all that was submitted in this run: it is not over before they are."""
    while pending := context.submitted.pending():
        yield drivers.WaitFor(pending)


# --- in this process --------------------------------------------------------------------------------------------------


def call(task: "Task[..., Any]", parameters: dict[str, Any], wait_for: Sequence[Any]) -> State[Any]:
    """Execute a direct call of `task` here and now."""
    (run,) = runs.new_task_runs(task, [parameters])
    try:
        return run_task(task, run, parameters, wait_for)
    finally:
        _record(run)


async def call_async(task: "Task[..., Any]", parameters: dict[str, Any], wait_for: Sequence[Any]) -> State[Any]:
    """The same in the running event loop."""
    (run,) = runs.new_task_runs(task, [parameters])
    try:
        return await run_task_async(task, run, parameters, wait_for)
    finally:
        _record(run)


def execute(task: "Task[..., Any]", run: "TaskRun", wait_for: Sequence[Any]) -> State[Any]:
    """Execute a submitted run in this thread for a runner, and record it.

    Raises nothing of the task's, not even an exit: that ends the run, not the thread. KeyboardInterrupt is raised, as
    it is meant for the process.
    """
    try:
        return run_task(task, run, run.parameters, wait_for)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return run.state
    finally:
        _record(run)


def _record(run: "TaskRun") -> None:
    if run.flow_run_id is not None:
        recording.run_finished(run, run.state)
