"""How a task run is executed: inputs, context, the call, the final state. Read `_steps` first."""

import time
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Protocol

from millstream import (
    acquisitions,
    caching,
    dependencies,
    drivers,
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
)
from millstream.context import FlowRunContext, TaskRunContext
from millstream_shared import errors, ids, states
from millstream_shared.states import State, StateType

if TYPE_CHECKING:
    from millstream.runs import TaskRun
    from millstream.tasks import Task


_AS_AROUND: Final = nullcontext()


class Supervisor(Protocol):
    """The process that executes a run for others, if it can do more for it than the thread in which it runs."""

    postpones: bool
    """Whether it sees to it that a run in a scheduled state is executed again; else that is waited for here."""

    def expect_end(self, run: "TaskRun", seconds: float, retry_after: float | None) -> None:
        """The run's function is called and must end within `seconds`.

        If it cannot be interrupted, it is to be killed, and tried again after `retry_after` seconds (None: not).
        """


def run_task(
    task: "Task[..., Any]",
    task_run: "TaskRun",
    parameters: dict[str, Any],
    wait_for: Sequence[Any] = (),
    supervisor: Supervisor | None = None,
) -> State[Any]:
    """Execute `task_run` in this thread, blocking, and give its final state, which the run holds as well.

    With a supervisor that postpones, the state may be scheduled: the run is to be tried again then. Exceptions of the
    function become the state. An interrupt, an exit or a cancellation is raised again, after the run was put in a
    crashed state.
    """
    return drivers.drive(_steps(task, task_run, parameters, wait_for, supervisor))


async def run_task_async(
    task: "Task[..., Any]",
    task_run: "TaskRun",
    parameters: dict[str, Any],
    wait_for: Sequence[Any] = (),
    supervisor: Supervisor | None = None,
) -> State[Any]:
    """The same in the running event loop."""
    return await drivers.drive_async(_steps(task, task_run, parameters, wait_for, supervisor))


def _steps(
    task: "Task[..., Any]",
    run: "TaskRun",
    parameters: dict[str, Any],
    wait_for: Sequence[Any],
    supervisor: Supervisor | None,
) -> drivers.Steps[State[Any]]:
    try:
        refused = yield from _prepared(task, run, parameters, wait_for)
        if refused is not None:
            return _end(run, refused)
        manner = caching.manner_of(task.options)
        with TaskRunContext(task, run, run.parameters, results=manner) as context, _prints_of(task):
            tries = _tries(task, run, context, supervisor)
            state = yield from caching.around(task, run, manner, tries) if caching.concerns(task, manner) else tries
            if state.type is StateType.SCHEDULED:
                return state
            _end(run, state)
            yield from _ended_hooks(task, run, state)
            return state
    except BaseException as crash:
        if not run.state.is_final():
            _end(run, outcomes.of_crash(crash, run.run_id))
        raise


def _prepared(
    task: "Task[..., Any]", run: "TaskRun", parameters: dict[str, Any], wait_for: Sequence[Any]
) -> drivers.Steps[State[Any] | None]:
    """Put the run's parameters in order, and name it; the state that it ends in if that cannot be done."""
    try:
        run.parameters = yield from inputs(parameters, wait_for)
        template = task.options.task_run_name
        if template is not None:
            run.name = names.rendered(template, run.parameters, "task_run_name")
    except errors.UpstreamTaskError as upstream:
        return states.NotReady(message=str(upstream))
    except Exception as error:
        return outcomes.of_exception(error, "Task run")
    return None


def _tries(
    task: "Task[..., Any]", run: "TaskRun", context: TaskRunContext, supervisor: Supervisor | None
) -> drivers.Steps[State[Any]]:
    """Call the function until it does not fail or may not be tried again."""
    while True:
        state = yield from _admitted_try(task, run, context, supervisor)
        if state.type is not StateType.FAILED or not retries.are_left(run, state, task.retries):
            return state
        if not (yield from retries.is_wanted(task.options.retry_condition_fn, task, run, state)):
            return state
        seconds = retries.seconds_before(task.options.retry_delay_seconds, run.tries, task.options.retry_jitter_factor)
        run_logging.run_is_put_off(run, state, seconds)
        if seconds:
            runs.enter(run, retries.awaiting(seconds, state))
            if supervisor is not None and supervisor.postpones:
                return run.state
            yield drivers.Sleep(seconds)


def _admitted_try(
    task: "Task[..., Any]", run: "TaskRun", context: TaskRunContext, supervisor: Supervisor | None
) -> drivers.Steps[State[Any]]:
    """Take what concurrency limits on the run's tags ask for, call the function, give it back."""
    # A worker has done that before it gave the run to a supervisor; for a call outside of flow runs there need not be a
    # server.
    if not run.tags or supervisor is not None or (run.flow_run_id is None and not ids.is_background(run.run_id)):
        return (yield from _try(task, run, context, supervisor))
    try:
        admitted = yield from acquisitions.begun(run)
    except errors.ServiceError as lost:
        return outcomes.of_exception(lost, "Task run")
    if isinstance(admitted, State):
        return admitted
    try:
        state = yield from _try(task, run, context, supervisor)
    except BaseException as crash:
        yield from drivers.closing(crash, acquisitions.given_back(admitted))
        raise
    yield from acquisitions.given_back(admitted)
    return state


def _try(
    task: "Task[..., Any]", run: "TaskRun", context: TaskRunContext, supervisor: Supervisor | None
) -> drivers.Steps[State[Any]]:
    run.started = run.started or time.time()
    run.run_count += 1
    runs.enter(run, states.Running() if run.tries == 0 else states.Retrying())
    options = task.options
    if options.on_running:
        yield from hooks.called(options.on_running, task, run, run.state)
    if supervisor is not None and options.timeout_seconds is not None:
        supervisor.expect_end(run, options.timeout_seconds, _retry_after_kill(task, run))
    try:
        if run.streams:
            value = yield from streams.streamed(task, run, options.timeout_seconds)
        else:
            value = yield from drivers.invoked(task, run.parameters, options.timeout_seconds)
        state = outcomes.of_value(value)
    except Exception as error:
        if run.flow_run_id is not None and (yield from is_to_stop(run.flow_run_id, error)):
            return outcomes.stopped()
        run_logging.task_run_failed(run, error)
        state = outcomes.of_exception(error, "Task run")
    yield from children(context)
    return state


def _retry_after_kill(task: "Task[..., Any]", run: "TaskRun") -> float | None:
    if run.tries >= task.retries:
        return None
    return retries.seconds_before(task.options.retry_delay_seconds, run.tries + 1, task.options.retry_jitter_factor)


def _prints_of(task: "Task[..., Any]") -> AbstractContextManager[None]:
    wanted = task.options.log_prints
    return _AS_AROUND if wanted is None or wanted is printing.are_logged() else printing.logged(wanted)


def _ended_hooks(task: "Task[..., Any]", run: "TaskRun", state: State[Any]) -> drivers.Steps[None]:
    options = task.options
    if state.type is StateType.COMPLETED:
        if options.on_completion:
            yield from hooks.called(options.on_completion, task, run, state)
    elif options.on_failure and state.type is StateType.FAILED:
        yield from hooks.called(options.on_failure, task, run, state)


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


def children(context: FlowRunContext | TaskRunContext) -> drivers.Steps[None]:
    """Wait for all that was submitted in this run: it is not over before they are."""
    while pending := context.submitted.pending():
        yield drivers.WaitFor(pending)


def is_to_stop(flow_run_id: str, failure: Any) -> drivers.Steps[bool]:
    """Whether a run that failed is one of a flow run that was told to stop."""
    if stops.was_told(flow_run_id):
        return True
    # That what it waited for was cancelled may be heard first.
    return isinstance(failure, errors.CancelledRun) and (yield drivers.Call(_is_cancelled, (flow_run_id,)))


def _is_cancelled(flow_run_id: str) -> bool:
    from millstream_shared.orders import Orders  # brings the Redis client

    return bool(Orders(sessions.current().store).are_cancelled([flow_run_id]))


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


def stream(task: "Task[..., Any]", parameters: dict[str, Any], wait_for: Sequence[Any]) -> Generator[Any, Any, Any]:
    """A direct call of a generator task: its items, as the function yields them."""
    return streams.handed_out(_streamed(task, parameters, wait_for))


def stream_async(
    task: "Task[..., Any]", parameters: dict[str, Any], wait_for: Sequence[Any]
) -> AsyncGenerator[Any, Any]:
    """The same for an async generator."""
    return streams.handed_out_async(_streamed(task, parameters, wait_for))


def _streamed(task: "Task[..., Any]", parameters: dict[str, Any], wait_for: Sequence[Any]) -> drivers.Steps[Any]:
    (run,) = runs.new_task_runs(task, [parameters])
    run.streams = True
    return _valued(run, _steps(task, run, parameters, wait_for, None))


def _valued(run: "TaskRun", steps: drivers.Steps[State[Any]]) -> drivers.Steps[Any]:
    try:
        state = yield from steps
    finally:
        _record(run)
    return None if state.is_pending() else states.value_of(state)


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
