"""Ends what is queued and shall not be executed: for a flow run that is no more, or on a queue that is emptied."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from millstream import recording
from millstream_shared import keys, records
from millstream_shared.queues import Queues
from millstream_shared.records import Record
from millstream_shared.states import StateType
from millstream_shared.store import Store
from millstream_shared.unfinished import UnfinishedRun, UnfinishedRuns

_MOST_AT_ONCE = 500


def withdraw_tree(store: Store, flow_run_id: str, why: str) -> None:
    """End as Cancelled what is queued in the tree of a flow run, at any depth, and no worker has begun."""
    # What waited for a withdrawn run is queued by that, and withdrawn in the next round.
    while queued := store.queued_in_tree(flow_run_id):
        if not store.withdraw([_cancelled(run_id, payload, why) for run_id, payload in queued]):
            return


def withdraw_queue(store: Store, queue: str, why: str) -> int:
    """End as Cancelled what is queued or postponed on a queue, or stands in line for a slot; how many that were.

    Jobs that are not ours stay. So do runs that wait for others that are still to be executed.
    """
    withdrawn = 0
    while True:
        # What comes up meanwhile, as it waited for a withdrawn run, is withdrawn in the next round.
        round_before = withdrawn
        for run_ids in _on_queue(store, queue):
            runs = UnfinishedRuns(store).look(run_ids).values()
            there = [run for run in runs if keys.without_flows(run.queue) == queue]
            flow_runs = store.records([run.run_id for run in there if run.kind == "flow"])
            withdrawn += len(store.withdraw([_ended(run, flow_runs.get(run.run_id), why) for run in there]))
        if withdrawn == round_before:
            return withdrawn


def _on_queue(store: Store, queue: str) -> Iterable[Sequence[str]]:
    queues = Queues(store)
    # All of them first: the pages of a list shift when it loses its first ones.
    waiting = [run_id for page in queues.waiting(queue) for run_id in page] + queues.set_aside()
    return (waiting[at : at + _MOST_AT_ONCE] for at in range(0, len(waiting), _MOST_AT_ONCE))


def _ended(run: UnfinishedRun, record: bytes | None, why: str) -> Record:
    if record is None:
        return _cancelled(run.run_id, run.sealed, why)
    return _with_end(records.decode(run.run_id, record), why)


def _cancelled(run_id: str, payload: bytes, why: str) -> Record:
    return _with_end(recording.record_of_queued(run_id, payload), why)


def _with_end(before: Record, why: str) -> Record:
    return replace(
        before,
        state_type=StateType.CANCELLED,
        state_name=StateType.CANCELLED.capitalize(),
        message=why,
        ended=time.time(),
    )
