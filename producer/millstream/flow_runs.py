"""Flow runs that stop for a while, paused or suspended, and how they go on; and waiting for one that another made."""

import math
import time
import uuid
from dataclasses import replace
from typing import Any

from millstream import drivers, pausing, sessions
from millstream.utilities import asyncutils
from millstream_shared import errors, ids, states
from millstream_shared.flow_runs import FlowRuns
from millstream_shared.records import Record
from millstream_shared.settings import get_settings
from millstream_shared.states import StateType


def pause_flow_run(
    wait_for_input: Any = None, timeout: float | None = 3600, poll_interval: float = 10, key: str | None = None
) -> Any:
    """Pause the flow run that calls this, in its process, until somebody resumes it.

    What it has submitted goes on; of a queued run, another may take its place meanwhile. Gives what it is resumed with:
    `wait_for_input` is a pydantic model, such as a `RunInput`, or a type such as `int`; default: nothing, and gives
    None. A run that was resumed at a pause is not paused there again when it is tried or executed again: `key` names
    the pause (default: by its number). It is woken at once; `poll_interval`, in seconds, is how long it takes if that
    notice is lost. Under a running event loop, an awaitable.

    Raises RuntimeError outside of a flow, and in a task; TypeError for what is no type; FlowPauseTimeout after
    `timeout` seconds (None: never).
    """
    return _here_or_awaitable(pausing.paused(wait_for_input, timeout, poll_interval, key))


async def apause_flow_run(
    wait_for_input: Any = None, timeout: float | None = 3600, poll_interval: float = 10, key: str | None = None
) -> Any:
    """`pause_flow_run`, for async code."""
    return await drivers.drive_async(pausing.paused(wait_for_input, timeout, poll_interval, key))


def suspend_flow_run(
    wait_for_input: Any = None,
    flow_run_id: uuid.UUID | str | None = None,
    timeout: float | None = None,
    key: str | None = None,
) -> Any:
    """Let the flow run that calls this leave its process, until somebody resumes it.

    It is then executed again from its beginning, under its id, by whichever worker has room: what it had submitted and
    what has completed is not executed again, and this call gives what it is resumed with. Arguments as those of
    `pause_flow_run`; after `timeout` seconds (default: never) it is executed again too, and this call raises
    FlowPauseTimeout. `flow_run_id` may say which run is meant, which is always that of the caller.

    Raises RuntimeError outside of a flow, in a task, for another run, and in a flow that was called and not queued.
    """
    return _here_or_awaitable(pausing.suspended(wait_for_input, flow_run_id, timeout, key))


async def asuspend_flow_run(
    wait_for_input: Any = None,
    flow_run_id: uuid.UUID | str | None = None,
    timeout: float | None = None,
    key: str | None = None,
) -> Any:
    """`suspend_flow_run`, for async code."""
    return await drivers.drive_async(pausing.suspended(wait_for_input, flow_run_id, timeout, key))


def resume_flow_run(flow_run_id: uuid.UUID | str, run_input: Any = None) -> Any:
    """Have a paused or suspended flow run go on, from anywhere; it is given `run_input`.

    That is a model, a dictionary of its fields, or a value of the type that the run waits for. Gives None; under a
    running event loop, an awaitable.

    Raises ObjectNotFound if there is no such flow run, NotPausedError if it is not paused, FlowPauseTimeout if its time
    is over, ParameterTypeError for what it does not take: then it stays paused. Raises ValueError for what is no id.
    """
    return asyncutils.here_or_awaitable(_resume, flow_run_id, run_input)


async def aresume_flow_run(flow_run_id: uuid.UUID | str, run_input: Any = None) -> None:
    """`resume_flow_run`, for async code."""
    await asyncutils.run_sync_in_worker_thread(_resume, flow_run_id, run_input)


def wait_for_flow_run(flow_run_id: uuid.UUID | str, timeout: float | None = 10800) -> Any:
    """The FlowRun of a run when it has ended, however it did; it takes `timeout` seconds at most (None: no limit).

    Under a running event loop, an awaitable. Raises FlowRunWaitTimeout when time is up, ValueError for what is no id,
    ObjectNotFound if there is no such flow run (any more).
    """
    from millstream import run_history  # it brings what deployments need

    return asyncutils.here_or_awaitable(run_history.wait_for, flow_run_id, timeout)


def _here_or_awaitable(steps: drivers.Steps[Any]) -> Any:
    return drivers.drive_async(steps) if states.loop_is_running() else drivers.drive(steps)


def _resume(flow_run_id: uuid.UUID | str, run_input: Any) -> None:
    from millstream import input  # pydantic, and what reads JSON Schemas

    run_id = ids.digits_of(flow_run_id)
    flow_runs = FlowRuns(sessions.store())
    while True:
        found = flow_runs.read(run_id)
        if found is None:
            raise errors.ObjectNotFound(f"There is no flow run {run_id}.")
        pause = (found.details or {}).get("pause")
        if found.state_type is not StateType.PAUSED or pause is None:
            raise errors.NotPausedError(f"Flow run {found.name!r} is not paused: it is {found.state_name}.")
        if time.time() > pause.get("until", math.inf):
            raise errors.FlowPauseTimeout(f"Flow run {found.name!r} cannot be resumed any more: its time is over.")
        try:
            given = input.checked(pause.get("schema"), run_input)
        except errors.ParameterTypeError as refused:
            raise errors.ParameterTypeError(f"Flow run {found.name!r} stays paused. {refused}") from None
        if flow_runs.unpause(found, _going_on(found), pause["key"], given, pause.get("owner", "")):
            break
    if "owner" not in pause:
        sessions.current().use_queue((found.details or {}).get("queue") or get_settings().default_queue)


def _going_on(found: Record) -> Record:
    details = {name: value for name, value in (found.details or {}).items() if name != "pause"} or None
    if "owner" in (found.details or {})["pause"]:
        return replace(found, state_type=StateType.RUNNING, state_name="Running", details=details)
    return replace(found, state_type=StateType.SCHEDULED, state_name="Resuming", details=details)
