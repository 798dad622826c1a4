"""What goes into the store and what it hands out: runs on their way to a worker, and back."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run on its way to a queue. `upstream` are the ids, joined together, of the runs that must end before it."""

    run_id: str
    description: str
    payload: bytes
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
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


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one claim brought; `next_due` says in how many seconds a postponed run is due, None if there is none."""

    runs: list[Claim]
    next_due: float | None


@dataclass(frozen=True, slots=True)
class Postponed:
    """A run that failed and is to be tried again in `seconds`; `tries` counts its tries so far, this one included."""

    run_id: str
    attempt: int
    record: bytes
    seconds: float
    tries: int


@dataclass(frozen=True, slots=True)
class Orphan:
    """A run whose owner died, now held by the reaper to be settled; `content` is its payload, or a flow's record."""

    run_id: str
    attempt: int
    content: bytes
    is_flow: bool


@dataclass(frozen=True, slots=True)
class Reaped:
    """What became of the runs of one dead owner."""

    owner: str
    put_back: int
    orphans: list[Orphan]
