"""A child process as its worker sees it: what it was given, and what it says."""

import time
from dataclasses import dataclass
from typing import Any

from millstream_shared.claims import Claim
from millstream_worker import channels, forking
from millstream_worker.forked_processes import ForkedProcess
from millstream_worker.nursery import Nursery


@dataclass(frozen=True, slots=True)
class Limit:
    """The time limit of a run that is executed: it is not waited for beyond `deadline`, by the monotonic clock.

    `tries` are those before this one; after `retry_after` seconds there is to be another (None: no more). With
    `is_stop` it is that of a run which was told to stop.
    """

    deadline: float
    seconds: float
    tries: int = 0
    retry_after: float | None = None
    is_stop: bool = False


class ChildProcess(ForkedProcess):
    """Executes `millstream_worker.child`. Raises CannotFork.

    `claims` are the runs it has been given and has not ended, by id; `lent` counts its threads that only wait; `taken`
    counts the runs that it was ever given. It `is_open` if it may be given more: it is ready, and neither a spare one,
    which waits to take another's place, nor leaving. `memory` is what it took when it was last measured, in bytes.
    """

    def __init__(self, nursery: Nursery, threads: int, worker: str) -> None:
        super().__init__(nursery, forking.TASKS, _main, threads, worker)
        self.threads = threads
        self.claims: dict[str, Claim] = {}
        self.limits: dict[str, Limit] = {}
        self.sync_claims = 0
        self.lent = 0
        self.taken = self.memory = 0
        self.is_ready = self.is_open = self.is_spare = self.is_leaving = False
        self.left_at = 0.0
        self.has_suspect = False
        self.heard_at = time.monotonic()

    @property
    def free_threads(self) -> int:
        """Threads without a run; negative by what it has beyond them."""
        return self.threads + self.lent - self.sync_claims

    @property
    def async_claims(self) -> int:
        """Runs on its event loops."""
        return len(self.claims) - self.sync_claims

    def assign(self, claims: list[Claim]) -> None:
        """Have it execute these."""
        self.taken += len(claims)
        for claim in claims:
            self.claims[claim.run_id] = claim
            self.sync_claims += not claim.is_async
        self.channel.send(
            channels.RUN,
            [
                (claim.run_id, claim.attempt, claim.is_async, claim.crashes, claim.tries, claim.payload)
                for claim in claims
            ],
        )

    def drop(self, run_id: str) -> Claim | None:
        """It no longer has this run; None if it never had."""
        claim = self.claims.pop(run_id, None)
        if self.limits:
            self.limits.pop(run_id, None)
        if claim is not None and not claim.is_async:
            self.sync_claims -= 1
        return claim

    def stop(self, run_ids: list[str], grace_seconds: float) -> None:
        """Tell it to stop these, for which it has so long."""
        limit = Limit(time.monotonic() + grace_seconds, 0.0, is_stop=True)
        self.limits |= dict.fromkeys(run_ids, limit)
        self.channel.send(channels.STOP, run_ids)

    def ask_back(self) -> None:
        """Ask it to return what it has not begun."""
        self.heard_at = time.monotonic()
        self.channel.send(channels.GIVE_BACK, None)

    def get_ready(self) -> None:
        """It has said that it can execute."""
        self.is_ready = True
        self.is_open = not self.is_spare and not self.is_leaving

    def leave(self) -> None:
        """Give it no more; it ends what it has begun."""
        self.is_leaving, self.is_open = True, False
        if self.claims:
            self.ask_back()

    @property
    def has_ended_runs(self) -> bool:
        """Whether it has been of use."""
        return self.taken > len(self.claims)

    def receive(self) -> tuple[list[tuple[str, Any]], bool]:
        """What it said since the last time, and whether it is still there."""
        self.heard_at = time.monotonic()
        return self.channel.receive()


def _main(end: channels.ChildEnd, threads: int, worker: str) -> None:
    from millstream_worker import child  # not for the worker itself: it executes nothing

    child.main(end, threads, worker)
