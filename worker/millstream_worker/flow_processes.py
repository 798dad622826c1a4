"""The processes of one worker that execute flow runs, one each."""

import math
import selectors
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from millstream_shared.claims import Claim
from millstream_worker import channels, forking, worker_logging
from millstream_worker.forked_processes import ForkedProcess
from millstream_worker.nursery import CannotFork, Nursery

_SECONDS_AFTER_A_FAILURE: Final = 1.0


@dataclass(slots=True)
class FlowNews:
    """What one look at a process brought: the run that it has left, by what cause, and whether it `died` over it."""

    left: list[Claim] = field(default_factory=list[Claim])
    causes: list[str] = field(default_factory=list[str])
    died: list[str] = field(default_factory=list[str])


class FlowProcess(ForkedProcess):
    """Executes one flow run. `is_waiting` says that the flow only waits for others. Raises CannotFork."""

    def __init__(self, nursery: Nursery, claim: Claim, owner: str) -> None:
        super().__init__(nursery, forking.FLOW, _main, claim, owner)
        self.claim = claim
        self.is_waiting = self.has_ended = False
        self.deadline = math.inf
        """When it is to be killed, by the monotonic clock, as it was told to stop."""

    def receive(self) -> bool:
        """Take in what it says; False once it is gone."""
        messages, alive = self.channel.receive()
        for kind, content in messages:
            if kind == channels.LENT:
                self.is_waiting = content > 0
            elif kind == channels.DONE:
                self.has_ended = True
        return alive

    def stop(self, grace_seconds: float) -> None:
        """Tell it to stop its run, for which it has so long."""
        self.deadline = time.monotonic() + grace_seconds
        self.channel.send(channels.STOP, [self.claim.run_id])


def _main(end: channels.ChildEnd, claim: Claim, owner: str) -> None:
    from millstream_worker import flow_child  # not for the worker itself: it executes nothing

    flow_child.main(end, claim, owner)


def _call_hooks(end: channels.ChildEnd, owner: str, claim: Claim, record: bytes) -> None:
    from millstream_worker import flow_child  # as above

    flow_child.call_hooks(end, owner, claim, record)


class FlowProcesses:
    """At most `most` flows that do not only wait, each in a process; `selector` listens to what these say."""

    def __init__(self, nursery: Nursery, most: int, selector: selectors.BaseSelector) -> None:
        self._nursery = nursery
        self.most = most
        self.grace_seconds = 5.0
        """How long a run may take to stop."""
        self._selector = selector
        self._may_begin_at = 0.0
        # A run may be back, resumed or handed back, before its last process is quite gone.
        self._processes: dict[tuple[str, int], FlowProcess] = {}

    @property
    def free_slots(self) -> int:
        """How many more can begin now."""
        if time.monotonic() < self._may_begin_at:
            return 0
        return self.most - sum(not process.is_waiting for process in self._processes.values())

    @property
    def in_flight(self) -> list[str]:
        """The ids of the runs that are executed."""
        return [run_id for run_id, _ in self._processes]

    def begin(self, claims: Sequence[Claim], owner: str) -> list[str]:
        """Execute these, under the lease of `owner`; gives the ids of those for which there can be no process now."""
        for at, claim in enumerate(claims):
            try:
                process = FlowProcess(self._nursery, claim, owner)
            except CannotFork as failure:
                worker_logging.error("flow runs go back to the queue", reason=str(failure))
                self._may_begin_at = time.monotonic() + _SECONDS_AFTER_A_FAILURE
                return [claim.run_id for claim in claims[at:]]
            self._processes[claim.run_id, claim.attempt] = process
            self._selector.register(process.channel, selectors.EVENT_READ, process)
        return []

    def listen(self, process: FlowProcess) -> FlowNews:
        """Take in what a process said."""
        news = FlowNews()
        if process.receive():
            return news
        self._drop(process)
        cause = process.cause_of_death()
        if process.claim.run_id not in self.in_flight:
            news.left.append(process.claim)
            news.causes.append(cause)
            if not process.has_ended:
                news.died.append(process.claim.run_id)
        return news

    def call_hooks(self, claim: Claim, owner: str, record: bytes) -> None:
        """Have a process call the hooks of a flow whose run has ended, as its record says, with its own process."""
        # Nobody waits for it: it ends with the worker at the latest.
        try:
            ForkedProcess(self._nursery, forking.FLOW, _call_hooks, owner, claim, record).channel.close()
        except CannotFork as failure:
            worker_logging.error("the hooks of a flow are not called", run=claim.run_id, reason=str(failure))

    def stop(self, run_ids: Sequence[str]) -> None:
        """Have those of these runs stop that are executed here; told once, they have `grace_seconds` for it."""
        for process in self._processes.values():
            if process.claim.run_id in run_ids and process.deadline == math.inf:
                process.stop(self.grace_seconds)

    @property
    def next_deadline(self) -> float:
        """When to call `kill_overdue`, by the monotonic clock."""
        return min((process.deadline for process in self._processes.values()), default=math.inf)

    def kill_overdue(self) -> None:
        """End the processes of runs that were told to stop and did not; what that means is heard from them."""
        now = time.monotonic()
        for process in self._processes.values():
            if process.deadline <= now:
                process.deadline = math.inf
                process.kill()

    def kill(self) -> None:
        """End all of them at once, and forget what they did."""
        for process in list(self._processes.values()):
            self._drop(process)
            process.kill()

    def _drop(self, process: FlowProcess) -> None:
        self._selector.unregister(process.channel)
        process.channel.close()
        del self._processes[process.claim.run_id, process.claim.attempt]
