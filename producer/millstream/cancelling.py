"""Cancels flow runs: whatever is queued for one ends at once, whatever is executed is told to stop, wherever it is."""

import uuid
from collections.abc import Sequence
from typing import Final

from millstream import sessions, withdrawals
from millstream_shared import errors, ids
from millstream_shared.flow_runs import FlowRuns
from millstream_shared.records import Record
from millstream_shared.states import State
from millstream_shared.store import Store
from millstream_shared.unfinished import UnfinishedRuns

_REASON: Final = "The run was cancelled."
_MOST_ROUNDS: Final = 10


def cancel(flow_run_id: uuid.UUID | str) -> State[None]:
    """Cancel a flow run, with all that it has started: its task runs and its child flow runs, at any depth.

    What no worker has begun is Cancelled when this returns. What is executed is told to stop, and the flow runs of it
    are Cancelling: async code is cancelled, sync code interrupted; `on_cancellation` hooks are called. What a worker
    executes and what does not stop within MILLSTREAM_TIMEOUT_GRACE_SECONDS loses its process. Gives the state of the
    run, Cancelling or Cancelled. A run that is Cancelling already is told again.

    Raises ValueError for what is no id, ObjectNotFound if there is no such flow run (any more), AlreadyEnded if it has
    ended, RedisUnavailable if there is no server.
    """
    run_id = ids.digits_of(flow_run_id)
    store = sessions.store()
    found = FlowRuns(store).read(run_id)
    if found is None or found.kind != "flow":
        raise errors.ObjectNotFound(f"There is no flow run {run_id}.")
    if found.ended is not None:
        raise errors.AlreadyEnded(f"Flow run {found.name!r} has ended, as {found.state_name}.")
    _stop(store, [found])
    after = FlowRuns(store).read(run_id)
    return (after or found).state


def stop_what_came_later(store: Store, flow_run_id: str) -> None:
    """Cancel what a flow run that was cancelled has started since then, by code that was about to stop."""
    withdrawals.withdraw_unfinished(store, flow_run_id, _REASON)
    _stop(store, FlowRuns(store).subflows(flow_run_id))


def _stop(store: Store, wanted: Sequence[Record]) -> None:
    flow_runs = FlowRuns(store)
    for _ in range(_MOST_ROUNDS):
        # In the second round, what has begun or was made meanwhile.
        going = _within(flow_runs, wanted)
        if not going:
            return
        jobs = UnfinishedRuns(store).look([run.run_id for run in going])
        queued = [run for run in going if run.run_id in jobs and jobs[run.run_id].status != "started"]
        # Those that are executed hear of it first: else they would see how what they wait for ends, and wonder.
        other = flow_runs.cancel([run for run in going if run not in queued])
        withdrawn = store.withdraw([withdrawals.cancelled(run, _REASON) for run in queued])
        for run in going:
            withdrawals.withdraw_unfinished(store, run.run_id, _REASON)
        if not other and len(withdrawn) == len(queued):
            return
        wanted = going


def _within(flow_runs: FlowRuns, wanted: Sequence[Record]) -> list[Record]:
    """These and all flow runs within them, as far as they have not ended; the outermost ones first."""
    found: dict[str, Record] = {}
    names = [run.run_id for run in wanted]
    while names:
        fresh = [run for name in names if (run := flow_runs.read(name)) is not None and run.ended is None]
        found |= {run.run_id: run for run in fresh}
        names = [child.run_id for run in fresh for child in flow_runs.subflows(run.run_id) if child.run_id not in found]
    return list(found.values())
