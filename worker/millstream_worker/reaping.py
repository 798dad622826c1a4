"""What becomes of runs whose process has died: most go back to their queues, some may not go round again."""

from collections.abc import Callable, Sequence

from millstream import withdrawals
from millstream_shared.claims import Claim, Orphan
from millstream_shared.store import Store
from millstream_worker import endings, worker_logging
from millstream_worker.outcomes import Outcome


def take_over_from_the_dead(store: Store, worker: str, flow_ended: Callable[[Claim, bytes], None]) -> bool:
    """Put back what those held whose leases have run out; whether there was any such owner.

    `flow_ended` is called for each flow run that was queued and has ended so, with its record.
    """
    if store.is_private:
        store.expire_leases_of_the_dead()
    found = False
    crashed_flows: list[str] = []
    while reaped := store.reap(worker):
        found = True
        flows = [orphan.run_id for orphan in reaped.orphans if orphan.is_flow]
        tell = worker_logging.warning if reaped.put_back else worker_logging.info
        tell("gave up for dead", owner=reaped.owner, runs_put_back=reaped.put_back, flow_runs_crashed=len(flows))
        outcomes = settle_orphans(store, worker, reaped.orphans, f"{reaped.owner} was silent for too long")
        for orphan, (_, _, record) in zip(reaped.orphans, outcomes, strict=True):
            if orphan.claim is not None:
                flow_ended(orphan.claim, record)
        crashed_flows += flows
    if store.is_private:
        # Elsewhere what a flow has submitted is executed even if nobody waits for it. On a private server it would be
        # in the way of the next script.
        for run_id in crashed_flows:
            withdrawals.withdraw_tree(store, run_id, "The process of the flow run has died.")
    return found


def settle_orphans(store: Store, worker: str, orphans: Sequence[Orphan], cause: str) -> list[Outcome]:
    """End those that may not go round again: runs under which process after process died, and flow runs."""
    if not orphans:
        return []
    outcomes = [endings.lost(orphan, worker, cause) for orphan in orphans]
    store.settle(worker, outcomes)
    for orphan in orphans:
        if not orphan.is_flow:
            worker_logging.error("a run crashed for good", run=orphan.run_id, cause=cause)
    return outcomes
