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
from importlib import metadata
from types import FrameType

from millstream_shared import connections, errors, ids, keys
from millstream_shared.claims import Claim, Postponed
from millstream_shared.logs import Batch, Logs
from millstream_shared.store import Store
from millstream_shared.worker_names import Names
from millstream_worker import endings, reaping, worker_logging
from millstream_worker.bells import Bell
from millstream_worker.children import ChildProcess
from millstream_worker.crews import CannotStart, Crew, News
from millstream_worker.flow_processes import FlowProcess, FlowProcesses
from millstream_worker.paces import Pace
from millstream_worker.pulses import Pulse
from millstream_worker.rq_worker import RegisteredWorker
from millstream_worker.schedules import Schedules
from millstream_worker.stopping import Stops
from millstream_worker.sweeping import Sweeper

_BELL_SECONDS = 1.0
_ORDERS_SECONDS = 60.0
_ASYNC_ONLY_SECONDS = 0.1
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


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
    """Serves queues, with a crew that has been started, until it is told to stop.

    After SIGTERM or SIGINT it claims nothing more, hands back what has not begun, and ends when what runs has ended or
    `grace_seconds` have passed. A second signal makes it hand back everything at once.
    """

    def __init__(self, store: Store, options: Options, crew: Crew, pulse: Pulse | None = None) -> None:
        self._store = store
        self._logs = Logs(store)
        self._options = options
        self._name = crew.worker
        self._selector = crew.selector
        self._crew = crew
        crew.grace_seconds = store.settings.timeout_grace_seconds
        self._flows = FlowProcesses(options.flows, crew.selector)
        self._flows.grace_seconds = store.settings.timeout_grace_seconds
        self._bell = Bell(store, _BELL_SECONDS)
        self._stops = Stops(store, _ORDERS_SECONDS)
        self._pace = Pace()
        self._sweeper = Sweeper(store.settings)
        self._names = Names(store)
        self._pulse = pulse
        store.during_outage = self._beat
        self._rq: RegisteredWorker | None = None
        self._schedules = Schedules(store, self._name) if options.is_daemon else None
        self._may_have_work = True
        self._is_suspended = self._is_unheard = False
        self._may_warm = options.is_daemon and options.flows > 0
        self._stopping_since: float | None = None
        self._claim_at = self._duties_at = self._listen_at = self._orders_at = 0.0
        self._due_at = math.inf
        self._outages = 0

    # -- the life of a worker

    def run(self) -> int:
        """Work until told to stop; in burst mode, until the queues are empty. Gives the exit status."""
        self._listen_for_signals()
        try:
            self._store.use_one_connection()
            self._register()
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

    def _register(self) -> None:
        self._store.ping()
        self._store.take_lease(self._name)
        self._stops.look()
        if self._options.name:
            self._names.take(self._options.name, self._name)
        crew, queues = self._crew, self._queues(with_flows=self._options.flows > 0)
        self._rq = RegisteredWorker(self._store, self._name, queues, processes=crew.processes, threads=crew.threads)
        self._rq.register()
        self._duties_at = 0.0
        if self._pulse:
            self._pulse.begin(self._name)
        self._say_started()

    def _say_started(self) -> None:
        # One that a script has started is silent, and need not ask.
        versions = {}
        if self._pulse:
            versions = {"server": self._store.server_version(), "millstream": metadata.version("millstream")}
        worker_logging.info(
            "worker started",
            worker=self._name,
            queues=",".join(self._options.queues),
            processes=self._crew.processes,
            threads=self._crew.threads,
            flows=self._options.flows,
            redis=connections.say_where(self._store.url),
            **versions,
        )

    def _turn(self) -> None:
        self._claim()
        self._listen_for_work()
        self._listen_for_orders()
        self._crew.watch_for_writing()
        for key, events in self._selector.select(self._patience()):
            if isinstance(key.data, ChildProcess):
                self._settle(self._crew.listen(key.data, bool(events & selectors.EVENT_WRITE)))
            elif isinstance(key.data, FlowProcess):
                self._hear_of_flow(key.data)
            else:
                key.data()
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
        elif self._may_have_work and self._crew.is_ready and not self._is_suspended:
            until = min(until, now + _ASYNC_ONLY_SECONDS)
        elif not self._bell.is_armed:
            until = min(until, self._listen_at)
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
        if self._pulse:
            self._pulse.stop()
        if unfinished:
            worker_logging.info("handing back what runs", runs=len(unfinished))
            self._crew.kill()
            self._flows.kill()
        try:
            self._bell.reset()
            self._stops.reset()
            self._store.give_up_soon()
            self._store.release(self._name, unfinished)
            self._stops.clear_away(())
            if self._schedules:
                self._schedules.end()
            if self._rq:
                self._rq.unregister()
            if self._options.name:
                self._names.free(self._options.name, self._name)
            self._store.end_lease(self._name)
        except (*connections.OUTAGE, errors.ServiceError) as lost:
            worker_logging.warning(
                "ended without Redis; what it held returns when the lease has run out", reason=str(lost)
            )
        self._crew.end(timeout=2.0)
        if self._pulse:
            self._pulse.end()
        worker_logging.info("worker ended", worker=self._name)

    # -- claiming

    def _claim(self) -> None:
        if not self._may_have_work or self._stopping_since is not None or self._is_suspended:
            return
        sync, asynchronous = self._crew.free_slots(self._pace.ahead())
        flows = self._flows.free_slots if self._crew.is_ready else 0
        # With all threads busy there may be async runs, behind the first sync one, or flow runs: look, but not always.
        if sync <= 0 and (max(asynchronous, flows) <= 0 or time.monotonic() < self._claim_at):
            return
        most = None if self._options.most is None else self._options.most - self._crew.busy
        if most is not None and most <= 0:
            return
        try:
            claimed = self._store.claim(
                self._name, self._options.queues, sync_slots=sync, async_slots=asynchronous, flow_slots=flows, most=most
            )
        except errors.LeaseLost:
            self._start_over()
            return
        if sync <= 0:
            self._claim_at = time.monotonic() + _ASYNC_ONLY_SECONDS
        claims = claimed.runs
        self._due_at = math.inf if claimed.next_due is None else time.monotonic() + claimed.next_due
        taken_async = sum(claim.is_async for claim in claims)
        taken_flows = sum(claim.is_flow for claim in claims) if flows > 0 else 0
        taken_sync = len(claims) - taken_async - taken_flows
        has_room = taken_sync < sync and taken_async < asynchronous and (taken_flows < flows or flows <= 0)
        if has_room and (most is None or len(claims) < most):
            self._may_have_work = False
        if not claims:
            return
        refused = [claim for claim in claims if claim.refused_by]
        if refused:
            self._store.settle(self._name, [endings.aborted(claim, self._name) for claim in refused])
            claims = [claim for claim in claims if not claim.refused_by]
        if self._stops:
            claims = self._stop_unbegun(claims)
        if taken_flows:
            self._flows.begin([claim for claim in claims if claim.is_flow], self._name)
            claims = [claim for claim in claims if not claim.is_flow]
        if claims:
            last_chance = self._store.settings.crash_limit - 1
            self._crew.assign(
                [claim for claim in claims if claim.crashes < last_chance],
                [claim for claim in claims if claim.crashes >= last_chance],
            )

    def _stop_unbegun(self, claims: list[Claim]) -> list[Claim]:
        """End those that are to stop, and give the others."""
        if not self._stops.among(claim.run_id for claim in claims):
            return claims
        self._stops.look()  # One that was cancelled may have been resumed.
        stopped = set(self._stops.among(claim.run_id for claim in claims))
        ended = [claim for claim in claims if claim.run_id in stopped]
        self._store.settle(
            self._name, [endings.cancelled(claim.run_id, claim.attempt, claim.payload, self._name) for claim in ended]
        )
        return [claim for claim in claims if claim.run_id not in stopped]

    def _listen_for_work(self) -> None:
        if self._may_have_work or time.monotonic() < self._listen_at:
            return
        queues = self._queues(with_flows=self._flows.free_slots > 0)
        if self._bell.is_armed:
            if queues == self._bell.queues:
                return
            # Who has no room for a flow run may not take the call for one from a worker that has.
            self._selector.unregister(self._bell)
            self._bell.reset()
        try:
            self._bell.arm(queues)
            self._selector.register(self._bell, selectors.EVENT_READ, self._answer_bell)
        except connections.OUTAGE:
            self._silence_bell()

    def _queues(self, *, with_flows: bool) -> tuple[str, ...]:
        queues = self._options.queues
        return (*queues, *map(keys.flow_queue, queues)) if with_flows else queues

    def _answer_bell(self) -> None:
        self._selector.unregister(self._bell)
        self._may_have_work = True
        try:
            self._bell.answer()
        except (*connections.OUTAGE, errors.BackendFull):
            self._silence_bell()

    def _silence_bell(self) -> None:
        # The claim that follows rides out the outage; then the bell is tried again.
        self._bell.reset()
        self._may_have_work = True
        self._listen_at = time.monotonic() + _FIRST_PAUSE

    # -- settling

    def _settle(self, news: News) -> None:
        if news.lines:
            self._keep_lines(news.lines)
        if news.returned:
            self._store.release(self._name, news.returned)
            self._may_have_work = True
        for cause in news.deaths:
            worker_logging.error("a child process died", cause=cause, runs=len(news.lost))
        for cause in news.replaced:
            worker_logging.info("a child process is replaced", cause=cause)
        if news.lost:
            buried = self._store.release(self._name, news.lost, crashed=True)
            reaping.settle_orphans(self._store, self._name, buried, news.deaths[-1])
            self._may_have_work = True
        for claim, limit in news.overdue:
            if limit.is_stop:
                worker_logging.warning("a process was killed, as a cancelled run did not stop", run=claim.run_id)
                news.ended.append(endings.cancelled(claim.run_id, claim.attempt, claim.payload, self._name))
                continue
            worker_logging.error("a process was killed for a time limit", run=claim.run_id, seconds=limit.seconds)
            outcome = endings.timed_out(claim, limit, self._name)
            if isinstance(outcome, Postponed):
                news.failed.append(outcome)
            else:
                news.ended.append(outcome)
        refused: list[str] = []
        if news.ended:
            refused = self._store.settle(self._name, news.ended)
            self._pace.ended(len(news.ended))
            # A settled run may have freed others; they ring, but the bell may be silent just now.
        if news.failed:
            refused += self._store.postpone(self._name, news.failed)
            self._due_at = min(self._due_at, time.monotonic() + min(run.seconds for run in news.failed))
        if refused:
            worker_logging.warning("refused: other workers took these runs over", runs=refused)

    def _hear_of_flow(self, process: FlowProcess) -> None:
        news = self._flows.listen(process)
        # A flow that has ended, or only waits now, leaves room for another one.
        self._may_have_work = True
        for claim, cause in zip(news.lost, news.causes, strict=True):
            worker_logging.error("a flow process died", cause=cause, run=claim.run_id)
            orphans = self._store.release(self._name, [claim.run_id], crashed=True)
            for _, _, record in reaping.settle_orphans(self._store, self._name, orphans, cause):
                self._flows.call_hooks(claim, self._name, record)

    # -- being told what is to stop

    def _listen_for_orders(self) -> None:
        if self._stops.is_armed or time.monotonic() < self._orders_at:
            return
        try:
            self._stops.arm(self._name)
            self._selector.register(self._stops, selectors.EVENT_READ, self._answer_orders)
        except connections.OUTAGE:
            self._miss_orders()

    def _answer_orders(self) -> None:
        self._selector.unregister(self._stops)
        try:
            self._stops.answer()
        except connections.OUTAGE:
            self._miss_orders()
            return
        self._stop_cancelled()

    def _miss_orders(self) -> None:
        # What was missed is seen in the duties.
        self._stops.reset()
        self._orders_at = time.monotonic() + _LONGEST_PAUSE

    def _stop_cancelled(self) -> None:
        self._stops.look()
        if self._stops:
            run_ids = self._stops.among(self._in_flight)
            self._crew.stop(run_ids)
            self._flows.stop(run_ids)

    def _keep_lines(self, lines: list[Batch]) -> None:
        """Before anybody hears that the runs have ended: who then asks for their lines finds all of them."""
        try:
            self._logs.write(lines)
        except errors.BackendFull as full:
            # The first thing that a full server does without.
            worker_logging.warning("lines of runs are not kept", runs=len(lines), reason=str(full))
        except errors.ServiceError:
            raise
        except Exception as refused:
            worker_logging.error("lines of runs are not kept", runs=len(lines), reason=str(refused))

    # -- duties, every few seconds

    def _do_duties(self) -> None:
        self._duties_at = time.monotonic() + self._store.settings.heartbeat_seconds / 2
        self._beat()
        if not self._store.renew_lease(self._name):
            self._start_over()
            return
        self._keep_name()
        if self._outages != self._store.outages:
            self._outages = self._store.outages
            # The answer to a claim may have been lost on its way: what we hold and do not know goes back.
            unknown = self._store.held(self._name) - set(self._in_flight)
            self._store.release(self._name, list(unknown))
        self._stop_cancelled()
        if reaping.take_over_from_the_dead(self._store, self._name):
            self._may_have_work = True
        self._sweeper.sweep_if_due()
        if self._may_warm and self._crew.is_ready:
            self._may_warm = False
            # The process that flow runs are forked from takes 20 MB, which is for those alone who have such runs.
            if self._store.had_flow_runs(self._options.queues):
                self._flows.warm()
        assert self._rq is not None
        try:
            self._rq.beat(busy=not self._is_idle, tally=self._pace.take_tally())
            self._rq.maintain()
            suspended = self._rq.is_suspended()
        except (*connections.OUTAGE, errors.BackendFull) as lost:
            if not self._is_unheard:
                worker_logging.warning("a heartbeat was missed", reason=str(lost))
            self._is_unheard = True
            return
        self._is_unheard = False
        if suspended != self._is_suspended:
            self._is_suspended = suspended
            worker_logging.info("suspended, as `rq suspend` asks" if suspended else "resumed")

    def _keep_name(self) -> None:
        if self._options.name:
            try:
                self._names.take(self._options.name, self._name)
            except errors.WorkerNameTaken as taken:
                # After an outage. Leases have names of their own, so it only makes two workers look like one.
                worker_logging.warning("another worker has this name", reason=str(taken))

    def _beat(self) -> None:
        if self._pulse:
            self._pulse.beat()

    def _start_over(self) -> None:
        """Our lease ran out and others have our runs: stop executing them, and come back under a new name."""
        worker_logging.error("the lease ran out; what was running is stopped, others have it now", worker=self._name)
        self._crew.kill()
        self._flows.kill()
        if self._rq:
            self._rq.unregister()
        if self._stops.is_armed:
            self._selector.unregister(self._stops)
        self._stops.reset()
        self._name = ids.new_owner_id(ids.label_of(self._name))
        self._crew.start(self._name)
        if self._schedules:
            self._schedules.owner = self._name
        self._register()
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
