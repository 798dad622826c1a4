"""What a stock `rq worker` calls for a run of ours: it executes that one run, with the same outcome, only slower."""

import asyncio
import time

from millstream import log_shipping, sessions
from millstream.store_session import Session
from millstream_shared.claims import Claim, Postponed
from millstream_shared.settings import get_settings
from millstream_shared.store import Store
from millstream_worker import flow_execution, rq_worker
from millstream_worker.execution import Assignment, Executor

_PAUSE_SECONDS = 0.5


def execute() -> None:
    """Execute the run of the current RQ job, over that worker's connection.

    The session's lease holds the run, so it goes back to its queue if this process dies.
    """
    run_id, client = rq_worker.current_job()
    store = Store("the connection of an RQ worker", get_settings(), client=client)
    session = Session(store, is_local=False)
    sessions.use(session)
    try:
        claim = _claim(store, session.owner, run_id)
        if claim is not None and claim.is_flow:
            flow_execution.execute(claim, session.owner)
        elif claim is not None:
            _execute_task(store, session.owner, claim)
        store.leave_to_rq(run_id)
    finally:
        # RQ leaves its forked process without running exit handlers.
        sessions.close_current()


def _execute_task(store: Store, owner: str, claim: Claim) -> None:
    assignment = Assignment(claim.run_id, claim.attempt, claim.is_async, claim.crashes, claim.tries, claim.payload)
    executor = Executor(owner)
    outcome = asyncio.run(executor.execute_async(assignment)) if claim.is_async else executor.execute(assignment)
    assert not isinstance(outcome, Postponed)  # nobody supervises: a retry was waited for
    log_shipping.flush()
    store.settle(owner, [outcome])


def _claim(store: Store, owner: str, run_id: str) -> Claim | None:
    """Take the run; None if it has ended. While somebody else has it, wait: when this job is over, RQ deletes it."""
    while (claim := store.claim_one(owner, run_id)) is None and isinstance(store.look([run_id])[run_id], str):
        time.sleep(_PAUSE_SECONDS)
    return claim
