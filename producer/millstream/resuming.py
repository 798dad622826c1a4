"""Flow runs that go on after they have ended: one that crashed, failed or was cancelled is executed again under its id.

Its function is called anew. What it submitted before and what has completed is not executed again: equal calls have
equal ids (`call_ids`), so they lead to the runs that are there, with their results.
"""

import uuid
from typing import Final

from millstream import flow_sources, sessions, surroundings
from millstream_shared import errors, ids
from millstream_shared.flow_runs import FlowRuns
from millstream_shared.records import Record
from millstream_shared.settings import get_settings
from millstream_shared.states import StateType

_MAY_GO_ON: Final = (StateType.CRASHED, StateType.FAILED, StateType.CANCELLED)


def resume(flow_run_id: uuid.UUID | str) -> None:
    """Have a worker execute a flow run again that ended without completing, from where it was.

    Its tasks that completed, and its child flow runs, keep their results; those that failed, crashed or were cancelled
    are executed again, as are tasks that it called directly. Child flow runs that did not complete are resumed too.
    A run that a script called, and did not submit, goes on by a worker of the default queue, if it had tasks on a
    queue. Raises ValueError for what is no id and for a run that completed, ObjectNotFound if there is no such flow run
    (any more) or it is not known how to execute it, MissingFlowError if no other process than that script finds its
    flow, StillRunning if it has not ended.
    """
    run_id = ids.digits_of(flow_run_id)
    session = sessions.current()
    flow_runs = FlowRuns(session.store)
    found = flow_runs.read(run_id)
    if found is None:
        raise errors.ObjectNotFound(f"There is no flow run {run_id}.")
    if found.state_type is StateType.COMPLETED:
        raise ValueError(f"Flow run {found.name!r} has completed: there is nothing to go on with.")
    if found.state_type not in _MAY_GO_ON:
        raise errors.StillRunning(f"Flow run {found.name!r} is {found.state_name}: it has not ended.")
    session.use_queue(_resume(flow_runs, found))


def _resume(flow_runs: FlowRuns, found: Record) -> str:
    """Have it go on; the name of the queue that it is on."""
    queue, payload = (_queue_of(found), b"") if _was_queued(found) else _as_queued(found)
    for child in flow_runs.subflows(found.run_id):
        # What it called directly is called by it again; what it queued goes on by itself.
        if child.state_type in _MAY_GO_ON and _was_queued(child):
            _resume(flow_runs, child)
        elif not _was_queued(child):
            _forget_within(flow_runs, child)
    flow_runs.forget_unfinished(found.run_id)
    flow_runs.resume(found.run_id, "It goes on from where it was.", queue, payload)
    return queue


def _as_queued(run: Record) -> tuple[str, bytes]:
    """The queue and the payload of a flow run that its program called."""
    if run.flow_run_id or run.parent_run_id:
        around = f"flow run {run.flow_run_id}" if run.flow_run_id else f"task run {run.parent_run_id}"
        raise errors.ObjectNotFound(
            f"Flow run {run.name!r} was called within {around}, which calls it again when that goes on: resume that."
        )
    shared = surroundings.read_shared(sessions.current(), run.run_id)
    if shared is not None and shared.refusal:
        raise errors.MissingFlowError(f"Flow run {run.name!r} cannot be executed again. {shared.refusal}")
    if shared is not None and shared.payload is None:
        raise errors.UnpicklableArgument(
            run.function_name, "parameters", "another process was to execute the flow again"
        )
    if shared is None or shared.payload is None or shared.header is None:
        raise errors.ObjectNotFound(
            f"Flow run {run.name!r} cannot be executed again: what it was called with is not kept, as it had no tasks "
            "on a queue, or its time has passed."
        )
    header = shared.header
    flow_sources.check_place(flow_sources.Place(header.function, header.folder), run.function_name)
    return header.queue or _queue_of(run), shared.payload


def _forget_within(flow_runs: FlowRuns, called: Record) -> None:
    flow_runs.forget_unfinished(called.run_id)
    for child in flow_runs.subflows(called.run_id):
        if not _was_queued(child):
            _forget_within(flow_runs, child)
        elif child.state_type in _MAY_GO_ON:
            _resume(flow_runs, child)


def _was_queued(run: Record) -> bool:
    return "queue" in (run.details or {})


def _queue_of(run: Record) -> str:
    return (run.details or {}).get("queue") or get_settings().default_queue
