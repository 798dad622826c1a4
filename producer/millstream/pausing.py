"""How a flow run pauses, in its process, or is suspended, which is to leave it: what its function calls for that."""

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from millstream import drivers, pauses, recording, run_logging, runs, sessions, waiting
from millstream.context import FlowRunContext, TaskRunContext
from millstream.futures import Future
from millstream_shared import errors, ids, states
from millstream_shared.flow_runs import FlowRuns
from millstream_shared.records import Record
from millstream_shared.states import State, StateType

if TYPE_CHECKING:
    from millstream.input import Wanted
    from millstream.runs import FlowRun

Pause = dict[str, Any]
"""As in `FlowRun.pause`."""


def paused(kind: Any, timeout: float | None, poll_interval: float, key: str | None) -> drivers.Steps[Any]:
    """Pause the flow run that goes on here. Checks at once what can be checked; the steps give the input."""
    run, key = _here(key, "pause")
    wanted = _wanted(kind)
    waiting.check_timeout(timeout)
    return _paused(run, wanted, timeout, poll_interval, key)


def suspended(
    kind: Any, flow_run_id: uuid.UUID | str | None, timeout: float | None, key: str | None
) -> drivers.Steps[Any]:
    """The same, to suspend it: the steps give the input, or raise Pause."""
    run, key = _here(key, "suspend")
    if flow_run_id is not None and ids.digits_of(flow_run_id) != run.run_id:
        raise RuntimeError("A flow run can only suspend itself: leave flow_run_id out.")
    if run.lease is None:
        raise RuntimeError(
            f"Flow {run.flow_name!r} was called, so nobody would execute it again: only a run that was queued, by "
            "`submit` or of a deployment, can be suspended. Pause it instead."
        )
    waiting.check_timeout(timeout)
    return _suspended(run, _wanted(kind), timeout, key)


def _here(key: str | None, what: str) -> "tuple[FlowRun, str]":
    around = FlowRunContext.get()
    if around is None or around.flow is None or TaskRunContext.get() is not None:
        raise errors.MissingContextError(f"Only a flow can {what} its run: call this in a flow, and not in a task.")
    around.pauses += 1
    return around.flow_run, key or f"{what}-{around.pauses}"


def _wanted(kind: Any) -> "Wanted | None":
    if kind is None:
        return None
    from millstream import input  # pydantic, and what reads JSON Schemas

    return input.Wanted(kind)


def _paused(
    run: "FlowRun", wanted: "Wanted | None", timeout: float | None, poll_interval: float, key: str
) -> drivers.Steps[Any]:
    flow_runs = FlowRuns(sessions.current().store)
    until = None if timeout is None else time.time() + timeout
    while True:
        given, _ = yield drivers.Call(flow_runs.input, (run.run_id, key))
        if given is None:
            pause = _pause(key, until, wanted) | {"owner": sessions.current().owner}
            yield from _waited(flow_runs, run, pause, poll_interval)
        else:
            value = yield from _read(flow_runs, run, wanted, given, key)
            if value is not _REFUSED:
                return value


def _suspended(run: "FlowRun", wanted: "Wanted | None", timeout: float | None, key: str) -> drivers.Steps[Any]:
    flow_runs = FlowRuns(sessions.current().store)
    given, until = yield drivers.Call(flow_runs.input, (run.run_id, key))
    if given is not None:
        value = yield from _read(flow_runs, run, wanted, given, key)
        if value is not _REFUSED:
            return value
    if until is None and timeout is not None:
        until = time.time() + timeout
    elif until is not None and time.time() >= until:
        raise _too_late(run)
    run.pause = _pause(key, until, wanted)
    raise errors.Pause(f"Flow run {run.name!r} is suspended.", _state_of(run.pause))


_REFUSED: Any = object()


def _read(flow_runs: FlowRuns, run: "FlowRun", wanted: "Wanted | None", given: str, key: str) -> drivers.Steps[Any]:
    """What the run was given, or _REFUSED, for what fits the schema but not what only the model knows."""
    try:
        return wanted.read(given) if wanted else None
    except ValueError as refused:
        run_logging.get_run_logger().error("The input is refused, and the flow run stays paused: %s", refused)
        yield drivers.Call(flow_runs.forget_input, (run.run_id, key))
        return _REFUSED


def _waited(flow_runs: FlowRuns, run: "FlowRun", pause: Pause, poll_interval: float) -> drivers.Steps[None]:
    """Be paused until the record says otherwise."""
    run.pause, is_late = pause, False
    try:
        # The future first: the run may be resumed as soon as it is known to be paused.
        with pauses.registered(run.run_id) as woken:
            runs.enter(run, _state_of(pause))
            yield drivers.Call(recording.flow_run_changed, (run,))
            while (found := (yield drivers.Call(flow_runs.read, (run.run_id,)))) and _is_paused(found):
                left = pause.get("until", float("inf")) - time.time()
                if is_late := left <= 0:
                    break
                yield _WaitAtMost(woken, min(left, poll_interval))
    finally:
        run.pause = None
        runs.enter(run, states.Running())
    if is_late:
        yield drivers.Call(recording.flow_run_changed, (run,))
        raise _too_late(run)
    if found and found.state_type is StateType.CANCELLING:
        raise errors.CancelledRun(f"Flow run {run.name!r} was cancelled while it was paused.")


def _is_paused(found: Record) -> bool:
    return found.state_type is StateType.PAUSED


def _too_late(run: "FlowRun") -> errors.FlowPauseTimeout:
    return errors.FlowPauseTimeout(f"Flow run {run.name!r} was paused, and nobody resumed it in time.")


def _pause(key: str, until: float | None, wanted: "Wanted | None") -> Pause:
    known = {"key": key, "until": until, "schema": wanted and wanted.schema}
    return {name: value for name, value in known.items() if value is not None}


def _state_of(pause: Pause) -> State[Any]:
    until = pause.get("until")
    make = states.Paused if "owner" in pause else states.Suspended
    return make(
        pause_expiration_time=None if until is None else datetime.fromtimestamp(until, UTC), pause_key=pause["key"]
    )


@dataclass(frozen=True, slots=True)
class _WaitAtMost:
    """Wait until a future is done, for so many seconds."""

    future: Future[Any]
    seconds: float

    def block(self) -> None:
        waiting.wait_for_all([self.future], self.seconds)

    async def suspend(self) -> None:
        await waiting.until_all_or_timeout([self.future], self.seconds)
