"""The worker: claims runs, has its child processes execute them, settles how they ended. Read this file first.

One thread and one loop. All Redis work is done here and all user code runs in the children, so nothing that a task
does can delay a heartbeat.
"""

import math
import os
import selectors
import signal
import socket
import time
from dataclasses import dataclass
from types import FrameType

from millstream_shared import connections, errors, ids, keys
from millstream_shared.claims import Claim, Claimed, Demand
from millstream_shared.store import Store
from millstream_worker import reaping, worker_logging
from millstream_worker.bells import Bell
from millstream_worker.children import ChildProcess
from millstream_worker.crews import CannotStart, Crew, News
from millstream_worker.flow_processes import FlowProcess, FlowProcesses
from millstream_worker.paces import Pace
from millstream_worker.pulses import Pulse
from millstream_worker.registration import Registration
from millstream_worker.schedules import Schedules
from millstream_worker.settlements import Settlements
from millstream_worker.stopping import Stops
from millstream_worker.sweeping import Sweeper

_BELL_SECONDS = 1.0
_ORDERS_SECONDS = 60.0
_ASYNC_ONLY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Options:
    """How a worker works.

    `lifeline` is a pipe's reading end: when its other end closes, the worker ends at once. `most` is how many runs it
    executes at once, not counting those that lend their thread while they wait (None: as many as its crew takes).
    `flows` is how many queued flow runs it executes at once, not counting those that only wait. A
    daemon, that is one which does not end with a script, fires the schedules of deployments too.
    """

    queues: tuple[str, ...]
    burst: bool = False
    grace_seconds: float = 60.0
    lifeline: int | None = None
    most: int | None = None
    flows: int = 0
    is_daemon: bool = False
    name: str | None = None
    """What people call it; its lease and its records have a name that begins with this."""


class StopAtOnce(BaseException):
    """Raised in the main thread by a second signal, wherever it is."""


class Worker:
    """Serves queues with a crew, under the lease of `owner`, until it is told to stop.

    After SIGTERM or SIGINT it claims nothing more, hands back what has not begun, and ends when what runs has ended or
    `grace_seconds` have passed. A second signal makes it hand back everything at once.
    """

    def __init__(self, store: Store, owner: str, options: Options, crew: Crew, pulse: Pulse | None = None) -> None:
        self._store = store
        self._options = options
        self._name = owner
        self._selector = crew.selector
        self._crew = crew
        self._flows = FlowProcesses(crew.nursery, options.flows, crew.selector)
        crew.grace_seconds = self._flows.grace_seconds = store.settings.timeout_grace_seconds
        self._registration = Registration(store, options.name, pulse)
        self._settlements = Settlements(store, self._name)
        self._bell = Bell(store, crew.selector, self._look_for_work, _BELL_SECONDS)
        self._bells = [tuple(map(keys.bell, self._queues(with_flows=has_room))) for has_room in (False, True)]
        self._stops = Stops(store)
        self._orders = Bell(store, crew.selector, self._stop_cancelled, _ORDERS_SECONDS)
        self._schedules = Schedules(store, self._name) if options.is_daemon else None
        self._pace = Pace()
        self._sweeper = Sweeper(store.settings)
        self._may_have_work = True
        self._stopping_since: float | None = None
        self._claim_at = self._duties_at = 0.0
        self._due_at = math.inf
        self._outages = 0

    # -- the life of a worker

    def run(self) -> int:
        """Work until told to stop; in burst mode, until the queues are empty. Gives the exit status."""
        self._listen_for_signals()
        try:
            self._begin()
            while not self._is_done():
                self._turn()
            return 0
        except (errors.ServiceError, errors.WorkerNameTaken, CannotStart) as fatal:
            worker_logging.error("worker stops", reason=str(fatal))
            return 1
        except StopAtOnce:
            return 0 if self._options.lifeline else 1
        finally:
            self._end()

    def _begin(self) -> None:
        queues = self._options.queues
        crew, served = self._crew, self._queues(with_flows=self._options.flows > 0)
        self._registration.begin(self._name, served, processes=crew.processes, threads=crew.threads)
        self._stops.look()
        self._crew.start(self._name)
        self._duties_at = 0.0
        worker_logging.info(
            "worker started",
            worker=self._name,
            queues=",".join(queues),
            processes=self._crew.processes,
            threads=self._crew.threads,
            flows=self._options.flows,
            redis=connections.say_where(self._store.url),
            **self._registration.versions(),
        )

    def _turn(self) -> None:
        self._claim()
        if not self._may_have_work:
            # Who has no room for a flow run may not take the call for one from a worker that has.
            self._bell.listen(*self._bells[self._flows.free_slots > 0])
        self._orders.listen(keys.orders(self._name))
        self._crew.watch_for_writing()
        for key, events in self._selector.select(self._patience()):
            if isinstance(key.data, ChildProcess):
                self._settle(self._crew.listen(key.data, bool(events & selectors.EVENT_WRITE)))
            elif isinstance(key.data, FlowProcess):
                self._hear_of_flow(key.data)
            else:
                key.data()
        # All else can wait until runs that came have begun.
        self._claim()
        now = time.monotonic()
        if now >= self._crew.next_deadline:
            self._settle(self._crew.kill_overdue())
        if now >= self._crew.next_tending:
            self._settle(self._crew.tend())
        if now >= self._flows.next_deadline:
            self._flows.kill_overdue()
        if self._stops:
            self._stops.clear_away(self._in_flight)
        if now >= self._due_at:
            # Runs that were postponed are due: a claim takes them.
            self._due_at, self._may_have_work = math.inf, True
        if self._crew.has_surplus and self._crew.ask_back_from_stalled():
            self._pace.stalled()
        if now >= self._duties_at:
            self._do_duties()
        if self._schedules and self._stopping_since is None and self._crew.is_ready:
            self._schedules.tend_if_due()

    def _patience(self) -> float:
        """How long there is nothing to do but listen."""
        now = time.monotonic()
        until = min(self._duties_at, self._due_at, self._crew.next_deadline, self._crew.next_tending)
        until = min(until, self._flows.next_deadline)
        if self._schedules and self._stopping_since is None and self._crew.is_ready:
            until = min(until, self._schedules.due_at)
        if self._crew.has_surplus:
            until = min(until, now + 0.1)
        if self._stopping_since is not None:
            until = min(until, self._stopping_since + self._options.grace_seconds)
        elif self._may_have_work:
            # Where nothing may be claimed yet, what changes that is heard, or is a duty.
            if self._crew.is_ready and not self._registration.is_suspended:
                until = min(until, now + _ASYNC_ONLY_SECONDS)
        elif not self._bell.is_listening:
            until = min(until, self._bell.again_at)
        return max(until - now, 0.0)

    def _is_done(self) -> bool:
        if self._stopping_since is not None:
            return self._is_idle or time.monotonic() >= self._stopping_since + self._options.grace_seconds
        return self._options.burst and self._crew.is_ready and not self._may_have_work and self._is_idle

    @property
    def _is_idle(self) -> bool:
        return self._crew.is_idle and not self._flows.in_flight

    @property
    def _in_flight(self) -> list[str]:
        return self._crew.in_flight + self._flows.in_flight

    def _end(self) -> None:
        """Hand back what is left; let go of the children, the registration and the lease."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        unfinished = self._in_flight
        self._registration.stop()
        if unfinished:
            worker_logging.info("handing back what runs", runs=len(unfinished))
            self._crew.kill()
            self._flows.kill()
        try:
            self._bell.reset()
            self._orders.reset()
            self._store.give_up_soon()
            self._store.release(self._name, unfinished)
            self._stops.clear_away(())
            if self._schedules:
                self._schedules.end()
            self._registration.end()
        except (*connections.OUTAGE, errors.ServiceError) as lost:
            worker_logging.warning(
                "ended without Redis; what it held returns when the lease has run out", reason=str(lost)
            )
        self._crew.end(timeout=2.0)
        self._registration.leave()
        worker_logging.info("worker ended", worker=self._name)

    # -- claiming

    def _claim(self) -> None:
        demand = self._demand() if self._may_have_work else None
        if demand is None:
            return
        try:
            self._take(self._store.claim(self._name, demand), demand)
        except errors.LeaseLost:
            self._start_over()

    def _demand(self) -> Demand | None:
        """What there is room for; None if that is nothing."""
        if self._stopping_since is not None or self._registration.is_suspended:
            return None
        sync, asynchronous = self._crew.free_slots(self._pace.ahead())
        flows = self._flows.free_slots if self._crew.is_ready else 0
        # With all threads busy there may be async runs, behind the first sync one, or flow runs: look, but not always.
        if sync <= 0 and (max(asynchronous, flows) <= 0 or time.monotonic() < self._claim_at):
            return None
        most = None if self._options.most is None else self._options.most - self._crew.busy
        if most is not None and most <= 0:
            return None
        return Demand(self._options.queues, sync, asynchronous, flows, most)

    def _take(self, claimed: Claimed, demand: Demand) -> None:
        if claimed.is_searched:
            if demand.sync_slots <= 0:
                self._claim_at = time.monotonic() + _ASYNC_ONLY_SECONDS
            self._due_at = math.inf if claimed.next_due is None else time.monotonic() + claimed.next_due
            self._may_have_work = not _was_all(claimed, demand)
        if claimed.runs:
            self._assign(claimed.runs)

    def _assign(self, claims: list[Claim]) -> None:
        refused = [claim for claim in claims if claim.refused_by]
        if refused or self._stops:
            stopped = self._stops.among_claimed(claims)
            cancelled = [claim for claim in claims if claim.run_id in stopped and not claim.refused_by]
            self._settlements.end_unbegun(refused, cancelled)
            claims = [claim for claim in claims if not claim.refused_by and claim.run_id not in stopped]
        flows = [claim for claim in claims if claim.is_flow]
        if flows:
            if left := self._flows.begin(flows, self._name):
                self._store.release(self._name, left, unbegun=True)
                self._may_have_work = True
            claims = [claim for claim in claims if not claim.is_flow]
        if claims:
            last_chance = self._store.settings.crash_limit - 1
            self._crew.assign(
                [claim for claim in claims if claim.crashes < last_chance],
                [claim for claim in claims if claim.crashes >= last_chance],
            )

    def _queues(self, *, with_flows: bool) -> tuple[str, ...]:
        queues = self._options.queues
        return (*queues, *map(keys.flow_queue, queues)) if with_flows else queues

    def _look_for_work(self) -> None:
        self._may_have_work = True

    # -- what the processes say

    def _settle(self, news: News) -> None:
        if news.ended:
            self._pace.ended(len(news.ended))
        if news.returned or news.lost:
            self._may_have_work = True
        demand = self._demand() if news.ended else None
        claimed = self._settlements.settle(news, demand, search=self._may_have_work)
        if demand:
            self._take(claimed, demand)
        if news.failed:
            self._due_at = min(self._due_at, time.monotonic() + min(run.seconds for run in news.failed))

    def _hear_of_flow(self, process: FlowProcess) -> None:
        for claim, (_, _, record) in self._settlements.settle_flows(self._flows.listen(process)):
            self._call_hooks(claim, record)
        # A flow that has ended, or only waits now, leaves room for another one.
        self._may_have_work = True

    def _call_hooks(self, claim: Claim, record: bytes) -> None:
        # Who executes no flows need not have their code.
        if self._options.flows > 0:
            self._flows.call_hooks(claim, self._name, record)

    def _stop_cancelled(self) -> None:
        self._stops.look()
        if self._stops:
            run_ids = self._stops.among(self._in_flight)
            self._crew.stop(run_ids)
            self._flows.stop(run_ids)

    # -- duties, every few seconds

    def _do_duties(self) -> None:
        self._duties_at = time.monotonic() + self._store.settings.heartbeat_seconds / 2
        self._registration.show_life()
        if not self._registration.renew():
            self._start_over()
            return
        if self._outages != self._store.outages:
            self._outages = self._store.outages
            # The answer to a claim may have been lost on its way: what we hold and do not know goes back.
            unknown = self._store.held(self._name) - set(self._in_flight)
            self._store.release(self._name, list(unknown), unbegun=True)
        self._stop_cancelled()
        if reaping.take_over_from_the_dead(self._store, self._name, self._call_hooks):
            self._may_have_work = True
        self._sweeper.sweep_if_due()
        self._registration.beat(busy=not self._is_idle, tally=self._pace.take_tally())

    def _start_over(self) -> None:
        """Our lease ran out and others have our runs: stop executing them, and come back under a new name."""
        worker_logging.error("the lease ran out; what was running is stopped, others have it now", worker=self._name)
        self._crew.kill()
        self._flows.kill()
        self._registration.withdraw()
        self._name = self._settlements.owner = ids.new_owner_id(ids.label_of(self._name))
        if self._schedules:
            self._schedules.owner = self._name
        self._begin()
        self._may_have_work = True

    # -- being told to stop

    def _listen_for_signals(self) -> None:
        # A signal that comes while the selector waits must wake it: Python writes a byte here.
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self._wakeup = (ours, theirs)
        self._selector.register(ours, selectors.EVENT_READ, lambda: ours.recv(64))
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._on_signal)
        if self._options.lifeline is not None:
            self._selector.register(self._options.lifeline, selectors.EVENT_READ, self._on_lifeline)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._stopping_since is not None:
            raise StopAtOnce
        self._stopping_since = time.monotonic()
        worker_logging.info("stopping", signal=signal.Signals(number).name, running=len(self._in_flight))
        self._crew.ask_back()

    def _on_lifeline(self) -> None:
        assert self._options.lifeline is not None
        if not os.read(self._options.lifeline, 64):
            raise StopAtOnce


def _was_all(claimed: Claimed, demand: Demand) -> bool:
    """Whether the queues had no more than this."""
    taken_async = sum(claim.is_async for claim in claimed.runs)
    taken_flows = sum(claim.is_flow for claim in claimed.runs) if demand.flow_slots > 0 else 0
    taken_sync = len(claimed.runs) - taken_async - taken_flows
    if demand.most is not None and len(claimed.runs) >= demand.most:
        return False
    if demand.flow_slots > 0 and taken_flows >= demand.flow_slots:
        return False
    return taken_sync < demand.sync_slots and taken_async < demand.async_slots
