"""How a flow run is executed: inputs, validation, its task runner, the call, the final state. Read `_steps` first."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from millstream import dependencies, drivers, engine, outcomes, recording, run_logging, runs
from millstream.context import FlowRunContext
from millstream.runs import FlowRun
from millstream_shared import errors, states
from millstream_shared.states import State

if TYPE_CHECKING:
    from millstream.flows import Flow
    from millstream.runners.base import TaskRunner


def run_flow(flow: "Flow[..., Any]", run: FlowRun, wait_for: Sequence[Any] = ()) -> State[Any]:
    """Execute `run` in this thread, blocking, and give its final state, which the run holds as well.

    Exceptions of the function become the state. An interrupt, an exit or a cancellation is raised again, after the run
    was put in a crashed state. Raises ServiceError when the run could not be begun.
    """
    return drivers.drive(_steps(flow, run, wait_for))


async def run_flow_async(flow: "Flow[..., Any]", run: FlowRun, wait_for: Sequence[Any] = ()) -> State[Any]:
    """The same in the running event loop."""
    return await drivers.drive_async(_steps(flow, run, wait_for))


def _steps(flow: "Flow[..., Any]", run: FlowRun, wait_for: Sequence[Any]) -> drivers.Steps[State[Any]]:
    refused = yield from _prepared(flow, run, wait_for)
    if refused is not None:
        yield drivers.Call(recording.flow_run_started, (run,))
        return (yield from _end(run, refused))
    runner = flow.task_runner.duplicate()
    yield drivers.Call(runner.__enter__)
    try:
        runs.enter(run, states.Running())
        yield drivers.Call(recording.flow_run_started, (run,))
        state = yield from _attempt(flow, run, runner)
    except BaseException as error:
        yield from drivers.closing(error, _left(runner, *sys.exc_info()))
        raise
    yield from _left(runner)
    return (yield from _end(run, state))


def _prepared(flow: "Flow[..., Any]", run: FlowRun, wait_for: Sequence[Any]) -> drivers.Steps[State[Any] | None]:
    """Put the run's parameters in order; the state that it ends in if that cannot be done."""
    try:
        resolved = yield from engine.inputs(run.parameters, wait_for)
        run.parameters = flow.validate_parameters(resolved) if flow.should_validate_parameters else resolved
    except errors.UpstreamTaskError as upstream:
        return states.NotReady(message=str(upstream))
    except Exception as error:
        return outcomes.of_exception(error, "Flow run")
    return None


def _attempt(flow: "Flow[..., Any]", run: FlowRun, runner: "TaskRunner[Any]") -> drivers.Steps[State[Any]]:
    run.started = time.time()
    run.run_count += 1
    run_logging.flow_run_began(run)
    try:
        with FlowRunContext(flow, run, runner, run.parameters) as context:
            state = yield from _called(flow, run)
            yield from engine.children(context)
    except BaseException as crash:
        yield from drivers.closing(crash, _end(run, outcomes.of_crash(crash)))
        raise
    return state


def _left(runner: "TaskRunner[Any]", kind: Any = None, error: Any = None, traceback: Any = None) -> drivers.Steps[None]:
    yield drivers.Call(runner.__exit__, (kind, error, traceback))


def _called(flow: "Flow[..., Any]", run: FlowRun) -> drivers.Steps[State[Any]]:
    try:
        value = yield from engine.returned(flow.invoke(run.parameters))
        pending = dependencies.find_futures(value)
        if pending:
            yield drivers.WaitFor(pending)
            value = dependencies.replace_futures(value, lambda future: future.state)
        return outcomes.of_value(value)
    except Exception as error:
        run_logging.flow_run_failed(run, error)
        return outcomes.of_exception(error, "Flow run")


def _end(run: FlowRun, state: State[Any]) -> drivers.Steps[State[Any]]:
    run.ended = time.time()
    runs.enter(run, state)
    run_logging.flow_run_ended(run, state)
    yield drivers.Call(recording.flow_run_finished, (run, state))
    return state
