"""What goes into the store and what it hands out: runs on their way to a worker, and back.

Tuples, as there is one of most of these for each run, and a frozen dataclass is three times as dear to make.
"""

from collections.abc import Sequence
from typing import NamedTuple


class RecordedRun(NamedTuple):
    """The record of a run, to be written by the process that executes it.

    `facets` as `flow_facets` gives them, with the first record of a flow run. `hold`: `HOLD` to hold the run from now
    on, `HOLD_AGAIN` though it may have ended in an earlier execution, `claimed(tries)` for a queued run, else nothing.
    """

    run_id: str
    record: bytes
    facets: str = ""
    hold: str = ""


HOLD, HOLD_AGAIN = "h", "a"


def claimed(tries: int) -> str:
    """That a queued run is held by who has claimed it, and was tried so often before."""
    return f"l{tries}"


class QueuedRun(NamedTuple):
    """A run on its way to a queue. `upstream` are the ids, joined together, of the runs that must end before it."""

    run_id: str
    description: str
    payload: bytes
    upstream: str = ""


class QueuedFlowRun(NamedTuple):
    """A flow run on its way to a queue, with its first record, and what it is listed under.

    `created` and `due` are in seconds since the epoch; `due` is None for at once. Where `resumes`, a worker executes it
    again if its process dies. Of several with the same `key` only the first is made. `limit` names the tag that limits
    how many are executed at once; one that finds no slot is cancelled if it `is_cancelled_when_full`, else it waits.
    """

    run_id: str
    name: str
    queue: str
    payload: bytes
    record: bytes
    created: float
    flow_name: str
    upstream: str = ""
    deployment_id: str = ""
    due: float | None = None
    parent_flow_run_id: str = ""
    resumes: bool = False
    limit: str = ""
    is_cancelled_when_full: bool = False
    key: str = ""

    @property
    def facets(self) -> str:
        """What it is listed under, as the scripts take it."""
        return flow_facets(self.created, self.flow_name, self.deployment_id)


def flow_facets(created: float, flow_name: str, deployment_id: str = "") -> str:
    """What a flow run is listed under, as the scripts take it."""
    return f"{round(created * 1e6)}\n{flow_name.replace(chr(10), ' ')}\n{deployment_id}"


class Demand(NamedTuple):
    """What a worker can take: from these queues, the first one first, so many runs of each kind, `most` in all.

    Flow runs lie on queues of their own, `keys.flow_queue`, so that those which wait for a free process are not in the
    way of task runs.
    """

    queues: Sequence[str]
    sync_slots: int = 0
    async_slots: int = 0
    flow_slots: int = 0
    most: int | None = None


class Claim(NamedTuple):
    """A run that a worker holds. `attempt` is the fencing token: with another one, nothing can be settled.

    `tries` counts how often its function was called and failed before it was postponed. A run that is `refused_by` the
    concurrency limit of that name, which is 0, is not to be executed but to be ended.
    """

    run_id: str
    attempt: int
    is_async: bool
    crashes: int
    tries: int
    payload: bytes
    refused_by: str = ""
    is_flow: bool = False


class Claimed(NamedTuple):
    """What one claim brought.

    If the queues were searched, `next_due` says in how many seconds a postponed run is due, None if there is none.
    """

    runs: list[Claim]
    is_searched: bool = False
    next_due: float | None = None


class Postponed(NamedTuple):
    """A run that failed and is to be tried again in `seconds`; `tries` counts its tries so far, this one included."""

    run_id: str
    attempt: int
    record: bytes
    seconds: float
    tries: int


class Orphan(NamedTuple):
    """A run whose owner died, now held by the reaper to be settled; `content` is its payload, or a flow's record.

    `claim` is what the dead owner had of a flow run that was queued, where that is not known to the reaper.
    """

    run_id: str
    attempt: int
    content: bytes
    is_flow: bool
    claim: Claim | None = None


class Reaped(NamedTuple):
    """What became of the runs of one dead owner."""

    owner: str
    put_back: int
    orphans: list[Orphan]
