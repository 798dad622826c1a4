"""How a flow run is executed: inputs, validation, its task runner, the call, the final state. Read `_steps` first."""

import sys
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from typing import TYPE_CHECKING, Any

from millstream import (
    caching,
    dependencies,
    drivers,
    engine,
    hooks,
    names,
    outcomes,
    printing,
    recording,
    retries,
    run_logging,
    runs,
    sessions,
    stops,
    streams,
    terminations,
)
from millstream.call_ids import CallIds
from millstream.context import FlowRunContext, TaskRunContext
from millstream.result_options import Manner
from millstream.runs import FlowRun
from millstream.subflows import Subflows
from millstream.timeouts import TimeLimitExceeded
from millstream_shared import errors, states
from millstream_shared.settings import get_settings
from millstream_shared.states import State, StateType

if TYPE_CHECKING:
    from millstream.flows import Flow
    from millstream.runners.base import TaskRunner


def run_flow(flow: "Flow[..., Any]", run: FlowRun, wait_for: Sequence[Any] = ()) -> State[Any]:
    """Execute `run` in this thread, blocking, and give its final state, which the run holds as well.

    Exceptions of the function become the state. A run that is told to stop is Cancelled. An interrupt, an exit or a
    cancellation is raised again, after the run was put in a crashed state. Raises ServiceError when the run could not
    be begun.
    """
    with terminations.raised():
        return stops.call(
            run.run_id,
            lambda: drivers.drive(_steps(flow, run, wait_for)),
            lambda: drivers.drive(_stopped(flow, run)),
        )


async def run_flow_async(flow: "Flow[..., Any]", run: FlowRun, wait_for: Sequence[Any] = ()) -> State[Any]:
    """The same in the running event loop."""
    with terminations.raised():
        return await stops.call_async(
            run.run_id,
            lambda: drivers.drive_async(_steps(flow, run, wait_for)),
            lambda: drivers.drive_async(_stopped(flow, run)),
        )


def stream(flow: "Flow[..., Any]", run: FlowRun, wait_for: Sequence[Any] = ()) -> Generator[Any, Any, Any]:
    """Execute a run of a generator flow: its items, as the function yields them."""
    return streams.handed_out(_streamed(flow, run, wait_for), terminations.raised)


def stream_async(flow: "Flow[..., Any]", run: FlowRun, wait_for: Sequence[Any] = ()) -> AsyncGenerator[Any, Any]:
    """The same for an async generator."""
    return streams.handed_out_async(_streamed(flow, run, wait_for), terminations.raised)


def _streamed(flow: "Flow[..., Any]", run: FlowRun, wait_for: Sequence[Any]) -> drivers.Steps[Any]:
    run.streams = True
    return _valued(_steps(flow, run, wait_for))


def _valued(steps: drivers.Steps[State[Any]]) -> drivers.Steps[Any]:
    return states.value_of((yield from steps))


def _steps(flow: "Flow[..., Any]", run: FlowRun, wait_for: Sequence[Any]) -> drivers.Steps[State[Any]]:
    around = None if run.streams else _tried_again_around()
    call = around and around.next_call(flow)
    refused = yield from _prepared(flow, run, wait_for)
    if refused is not None:
        yield drivers.Call(recording.flow_run_changed, (run,))
        return (yield from _ended(flow, run, refused))
    if around is None or call is None:
        return (yield from _executed(flow, run))
    state = around.completed(call, run.parameters)
    if state is None:
        state = yield from _executed(flow, run)
        around.note(call, run.parameters, state)
    return state


def _tried_again_around() -> Subflows | None:
    """What is remembered for the flow that calls this one, if that may be tried again."""
    found = FlowRunContext.get()
    return None if found is None or found.subflows is None or TaskRunContext.get() else found.subflows


def _executed(flow: "Flow[..., Any]", run: FlowRun) -> drivers.Steps[State[Any]]:
    subflows = Subflows() if flow.retries else None
    while True:
        state = yield from _try(flow, run, subflows)
        if not retries.are_left(run, state, flow.retries):
            break
        seconds = retries.seconds_before(flow.options.retry_delay_seconds, run.tries, None)
        run_logging.run_is_put_off(run, state, seconds)
        if seconds:
            runs.enter(run, retries.awaiting(seconds, state))
            yield drivers.Call(recording.flow_run_changed, (run,))
            try:
                yield drivers.Sleep(seconds)
            except BaseException as crash:
                yield from drivers.closing(crash, _crashed(flow, run, _state_after(crash, run)))
                raise
    if run.pause is not None:
        runs.enter(run, state)
        return (yield from _suspended(flow, run, state))
    return (yield from _ended(flow, run, state))


def _ended(flow: "Flow[..., Any]", run: FlowRun, state: State[Any]) -> drivers.Steps[State[Any]]:
    runs.enter(run, state)
    with FlowRunContext(flow, run, flow.task_runner):
        yield from _ended_hooks(flow, run, state)
    return (yield from _end(flow, run, state))


def _suspended(flow: "Flow[..., Any]", run: FlowRun, state: State[Any]) -> drivers.Steps[State[Any]]:
    if (yield drivers.Call(recording.flow_run_suspended, (run, state))):
        return state
    return (yield from _crashed(flow, run, outcomes.stopped()))


def _prepared(flow: "Flow[..., Any]", run: FlowRun, wait_for: Sequence[Any]) -> drivers.Steps[State[Any] | None]:
    """Put the run's parameters in order, and name it; the state that it ends in if that cannot be done."""
    try:
        resolved = yield from engine.inputs(run.parameters, wait_for)
        run.parameters = flow.validate_parameters(resolved) if flow.should_validate_parameters else resolved
        if flow.options.flow_run_name is not None:
            with FlowRunContext(flow, run, flow.task_runner):
                run.name = names.rendered(flow.options.flow_run_name, run.parameters, "flow_run_name")
    except errors.UpstreamTaskError as upstream:
        return states.NotReady(message=str(upstream))
    except Exception as error:
        return outcomes.of_exception(error, "Flow run")
    return None


def _try(flow: "Flow[..., Any]", run: FlowRun, subflows: Subflows | None) -> drivers.Steps[State[Any]]:
    """Call the flow's function once, with a task runner of its own around it."""
    runner = flow.task_runner.duplicate()
    yield drivers.Call(runner.__enter__)
    try:
        run.started = run.started or time.time()
        runs.enter(run, states.Running() if run.tries == 0 else states.Retrying())
        yield drivers.Call(recording.flow_run_changed, (run,))
        state = yield from _attempt(flow, run, runner, subflows)
    except BaseException as error:
        yield from drivers.closing(error, _left(runner, *sys.exc_info()))
        raise
    # After a time limit nobody waits for what the flow has submitted.
    late = state.data if isinstance(state.data, TimeLimitExceeded) else None
    try:
        yield from _left(runner, *((KeyboardInterrupt, late, None) if late else ()))
    except Exception as error:
        run_logging.flow_run_failed(run, error)
        return outcomes.of_exception(error, "Task runner") if state.is_completed() else state
    return state


def _attempt(
    flow: "Flow[..., Any]", run: FlowRun, runner: "TaskRunner[Any]", subflows: Subflows | None
) -> drivers.Steps[State[Any]]:
    run.run_count += 1
    run_logging.flow_run_began(run)
    manner, call_ids = caching.manner_of(flow.options), CallIds(run.run_id, run.tries)
    if subflows is not None:
        subflows.begin_try()
    try:
        with (
            FlowRunContext(
                flow,
                run,
                runner,
                results=manner,
                subflows=subflows,
                call_ids=call_ids,
            ) as context,
            printing.logged(_logs_prints(flow)),
        ):
            if flow.options.on_running:
                yield from hooks.called(flow.options.on_running, flow, run, run.state)
            state = yield from _called(flow, run)
            if not (state.is_completed() or run.pause) and (yield from engine.is_to_stop(run.run_id, state.held)):
                state = outcomes.stopped()
            if run.pause is not None:
                return state
            if not isinstance(state.data, TimeLimitExceeded):
                yield from engine.children(context)
        state = yield from _kept(flow, run, manner, state)
    except BaseException as crash:
        yield from drivers.closing(crash, _crashed(flow, run, _state_after(crash, run)))
        raise
    return state


def _kept(flow: "Flow[..., Any]", run: FlowRun, manner: Manner, state: State[Any]) -> drivers.Steps[State[Any]]:
    try:
        yield from caching.flow_result(run, flow.options, manner, state)
    except Exception as error:
        return outcomes.of_exception(error, "Keeping the result")
    return state


def _logs_prints(flow: "Flow[..., Any]") -> bool:
    wanted = flow.options.log_prints
    return (printing.are_logged() or get_settings().logging_log_prints) if wanted is None else wanted


def _crashed(flow: "Flow[..., Any]", run: FlowRun, state: State[Any]) -> drivers.Steps[State[Any]]:
    if flow.options.on_crashed or flow.options.on_cancellation:
        runs.enter(run, state)
        with FlowRunContext(flow, run, flow.task_runner):
            yield from _ended_hooks(flow, run, state)
    return (yield from _end(flow, run, state))


def _state_after(crash: BaseException, run: FlowRun) -> State[Any]:
    return outcomes.of_crash(crash, run.run_id, run.parent_flow_run_id)


def _stopped(flow: "Flow[..., Any]", run: FlowRun) -> drivers.Steps[State[Any]]:
    """What is left to do for a run that was told to stop, and does nothing more."""
    if not run.state.is_final():
        yield from _crashed(flow, run, outcomes.stopped())
    yield drivers.Call(_clear_away, (run.run_id,))
    return run.state


def _clear_away(run_id: str) -> None:
    from millstream import cancelling  # brings what only those need who cancel

    cancelling.stop_what_came_later(sessions.current().store, run_id)


def call_hooks(flow: "Flow[..., Any]", run: FlowRun, state: State[Any]) -> None:
    """Call the hooks for the end of a run whose process was killed."""
    runs.enter(run, state)
    with FlowRunContext(flow, run, flow.task_runner):
        drivers.drive(_ended_hooks(flow, run, state))


def _ended_hooks(flow: "Flow[..., Any]", run: FlowRun, state: State[Any]) -> drivers.Steps[None]:
    options = flow.options
    chosen = {
        StateType.COMPLETED: options.on_completion,
        StateType.FAILED: options.on_failure,
        StateType.CANCELLED: options.on_cancellation,
        StateType.CRASHED: options.on_crashed,
    }.get(state.type, ())
    yield from hooks.called(chosen, flow, run, state)


def _left(runner: "TaskRunner[Any]", kind: Any = None, error: Any = None, traceback: Any = None) -> drivers.Steps[None]:
    yield drivers.Call(runner.__exit__, (kind, error, traceback))


def _called(flow: "Flow[..., Any]", run: FlowRun) -> drivers.Steps[State[Any]]:
    try:
        if run.streams:
            value = yield from streams.streamed(flow, run, flow.options.timeout_seconds)
        else:
            value = yield from drivers.invoked(flow, run.parameters, flow.options.timeout_seconds)
        pending = dependencies.find_futures(value)
        if pending:
            yield drivers.WaitFor(pending)
            value = dependencies.replace_futures(value, lambda future: future.state)
        return outcomes.of_value(value)
    except errors.Pause as pause:
        if run.pause is None:
            raise
        return pause.state
    except Exception as error:
        run_logging.flow_run_failed(run, error)
        return outcomes.of_exception(error, "Flow run")


def _end(flow: "Flow[..., Any]", run: FlowRun, state: State[Any]) -> drivers.Steps[State[Any]]:
    run.ended = time.time()
    runs.enter(run, state)
    run_logging.flow_run_ended(run, state)
    if (yield drivers.Call(recording.flow_run_finished, (run, state))) is False:
        # It was told to stop, and has just not heard of it.
        return (yield from _crashed(flow, run, outcomes.stopped()))
    return state
