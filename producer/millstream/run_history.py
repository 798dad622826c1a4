"""Looks runs up in the store, lists them, waits for them, and deletes them: what the client and the commands do."""

import itertools
import uuid
from collections.abc import Iterable, Iterator

from millstream import deployments, futures, inspecting, recorded_runs, sessions, waiting
from millstream.recorded_runs import Flow, FlowRun, TaskRun
from millstream_shared import errors, ids, records
from millstream_shared.flow_runs import FlowRuns
from millstream_shared.states import State, StateType

Id = uuid.UUID | str


def read_flow_run(run_id: Id) -> FlowRun:
    """A flow run as it stands. Raises ValueError for what is no id, ObjectNotFound if there is none (any more)."""
    digits = ids.digits_of(run_id)
    stored = sessions.store().records([digits]).get(digits) if ids.is_flow(digits) else None
    if stored is None:
        raise unknown("flow run", digits)
    return FlowRun(records.decode(digits, stored))


def flow_runs(
    *,
    state: StateType | State[object] | str | None = None,
    flow: str | None = None,
    deployment: Id | None = None,
    tags: Iterable[str] = (),
) -> Iterator[FlowRun]:
    """Flow runs, the newest first, read as they are taken: however many there are, the first cost the same.

    Those in a kind of state, of the flow of a name, of a deployment (its full name or id), and with all of these tags,
    if that is said. Raises ValueError for no kind of state, ObjectNotFound if there is no such deployment.
    """
    kind = None if state is None else recorded_runs.kind_of_state(state)
    deployment_id = None if deployment is None else deployments.read(str(deployment)).id
    wanted = set(tags)
    found = FlowRuns(sessions.store()).newest(state=kind, flow=flow, deployment_id=deployment_id)
    return (FlowRun(record) for record in found if wanted <= set(record.tags))


def read_flows() -> list[Flow]:
    """The flows that have deployments, or had runs lately, by name."""
    names = {record.flow_name for record in deployments.read_all()}
    return [Flow(name) for name in sorted(names | set(FlowRuns(sessions.store()).flows()))]


def read_flow(flow: Id) -> Flow:
    """The flow of a name or id. Raises ObjectNotFound if none is known."""
    for found in read_flows():
        if flow in (found.name, found.id, str(found.id), found.id.hex):
            return found
    raise errors.ObjectNotFound(f"No flow {str(flow)!r} has a deployment, or had runs lately.")


def read_task_run(run_id: Id) -> TaskRun:
    """A task run as it stands. Raises ValueError for what is no id, ObjectNotFound if there is none (any more)."""
    digits = ids.digits_of(run_id)
    (found,) = inspecting.look(sessions.store(), [digits])
    if ids.is_flow(digits) or (found.record is None and found.unfinished is None):
        raise unknown("task run", digits)
    return TaskRun(found)


def task_runs(flow_run_id: Id) -> Iterator[TaskRun]:
    """The task runs of a flow run, those that have not ended first.

    Raises ValueError for what is no id, ObjectNotFound if there is no such flow run (any more).
    """
    found = read_flow_run(flow_run_id)
    return map(TaskRun, inspecting.found_task_runs(found.record.run_id))


def wait_for(run_id: Id, timeout: float | None = None) -> FlowRun:
    """A flow run when it has ended, which this process is told of; at most `timeout` seconds (None: no limit) later.

    Never raises for a run that failed. Raises FlowRunWaitTimeout when time is up, ValueError for what is no id and for
    a negative timeout, ObjectNotFound if there is no such flow run (any more).
    """
    waiting.check_timeout(timeout)
    found = read_flow_run(run_id)
    if found.record.ended is None:
        future = futures.future_of(found.id)
        future.wait(timeout)
        if not future.done():
            raise errors.FlowRunWaitTimeout(found.record.run_id, f"{found.name!r} has not ended in {timeout:g} s")
    return read_flow_run(run_id)


def delete(run_id: Id) -> FlowRun:
    """Keep nothing of a flow run that has ended, nor of its task runs and what they logged; what it was.

    Flow runs that it called stay. Raises ValueError for what is no id, ObjectNotFound if there is no such flow run (any
    more), StillRunning if it has not ended.
    """
    found = read_flow_run(run_id)
    if found.record.ended is None or not FlowRuns(sessions.store()).delete(found.record.run_id):
        raise errors.StillRunning(f"Flow run {found.name!r} has not ended: cancel it before it is deleted.")
    return found


def some(found: Iterator[FlowRun], limit: int, offset: int = 0) -> list[FlowRun]:
    """`limit` of what is found, after the first `offset`. Raises ValueError for less than 0."""
    if limit < 0 or offset < 0:
        raise ValueError(f"limit and offset are numbers of runs, 0 or more; got {limit} and {offset}.")
    return list(itertools.islice(found, offset, offset + limit))


def unknown(kind: str, run_id: str) -> errors.ObjectNotFound:
    """The error for an id that is that of no run."""
    return errors.ObjectNotFound(f"There is no {kind} {run_id}, or its time has passed.")
