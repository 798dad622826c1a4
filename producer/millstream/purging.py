"""Empties a queue: what waits there ends as Cancelled, and whoever waits for it is told."""

from collections.abc import Iterable, Sequence

from millstream import recording, withdrawals
from millstream_shared import keys, records
from millstream_shared.queues import Queues
from millstream_shared.records import Record
from millstream_shared.store import Store
from millstream_shared.unfinished import UnfinishedRun, UnfinishedRuns

_MOST_AT_ONCE = 500


def purge(store: Store, queue: str, why: str) -> int:
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
            ended = [withdrawals.cancelled(_record(run, flow_runs.get(run.run_id)), why) for run in there]
            withdrawn += len(store.withdraw(ended))
        if withdrawn == round_before:
            return withdrawn


def _on_queue(store: Store, queue: str) -> Iterable[Sequence[str]]:
    queues = Queues(store)
    # All of them first: the pages of a list shift when it loses its first ones.
    waiting = [run_id for page in queues.waiting(queue) for run_id in page] + queues.set_aside()
    return (waiting[at : at + _MOST_AT_ONCE] for at in range(0, len(waiting), _MOST_AT_ONCE))


def _record(run: UnfinishedRun, stored: bytes | None) -> Record:
    return records.decode(run.run_id, stored) if stored else recording.record_of_queued(run.run_id, run.sealed)
