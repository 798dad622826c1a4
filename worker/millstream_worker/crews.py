"""The child processes of one worker: who gets which run, what became of it, and who takes a dead one's place."""

import math
import selectors
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from millstream_shared.claims import Claim, Postponed
from millstream_shared.logs import Batch
from millstream_worker import channels, worker_logging
from millstream_worker.children import ChildProcess, Limit
from millstream_worker.nursery import CannotFork, Nursery
from millstream_worker.outcomes import Outcome
from millstream_worker.successions import Succession, Wear

_ASYNC_RUNS_PER_CHILD = 1000
_STALL_SECONDS = 0.25
_MOST_FAILED_STARTS = 3
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 30.0
_NO_WEAR = Wear()


class CannotStart(Exception):
    """Child processes die before they are ready: there is no point in going on."""


@dataclass(slots=True)
class News:
    """What one look at the children brought.

    What ended, what failed and is to be tried again, what outlasted its time limit, what came back unbegun, what a dead
    child leaves behind; what runs have logged, those that ended too; why children were replaced that had not died.
    """

    ended: list[Outcome] = field(default_factory=list[Outcome])
    failed: list[Postponed] = field(default_factory=list[Postponed])
    overdue: list[tuple[Claim, Limit]] = field(default_factory=list[tuple[Claim, Limit]])
    returned: list[str] = field(default_factory=list[str])
    lost: list[str] = field(default_factory=list[str])
    deaths: list[str] = field(default_factory=list[str])
    lines: list[Batch] = field(default_factory=list[Batch])
    replaced: list[str] = field(default_factory=list[str])


class Crew:
    """`processes` children with `threads` each; the second and later ones are started when the one before is ready.

    `selector` waits for what they say, beside whatever the worker registers with it.

    A *suspect* is a run under which processes have died so often that one more death decides: it gets a process of its
    own, so that no innocent run shares its fate.

    A child that dies is replaced at once; if one after the other dies before it has ended a run, after a pause that
    grows to half a minute. One that is worn, as `wear` says, is replaced too, and ends what it has begun.
    """

    def __init__(self, nursery: Nursery, processes: int, threads: int, wear: Wear = _NO_WEAR) -> None:
        self.nursery = nursery
        self.processes = processes
        self.threads = threads
        self.grace_seconds = 5.0
        """How long a run may outlast its time limit."""
        self.next_deadline = math.inf
        """When, by the monotonic clock, to call `kill_overdue`: not later than the first time limit that a run has."""
        self.next_tending = math.inf
        """When, by the monotonic clock, to call `tend`."""
        self.selector = selectors.DefaultSelector()
        self._children: list[ChildProcess] = []
        self._suspects: deque[Claim] = deque()
        self._failed_starts = self._useless_deaths = 0
        self._has_worked = self._is_outdated = False
        self._start_at = math.inf
        self._succession = Succession(wear, self._start_child, self._part)
        self._needs_tending = wear.is_limited
        self._worker = ""

    # -- what a worker asks

    @property
    def is_ready(self) -> bool:
        """Whether some child can execute."""
        return any(child.is_ready for child in self._children)

    @property
    def in_flight(self) -> list[str]:
        """The ids of all runs that the crew has."""
        runs = [run_id for child in self._children for run_id in child.claims]
        return runs + [claim.run_id for claim in self._suspects]

    @property
    def busy(self) -> int:
        """How many runs it has, those not counted that only wait for others and lend their thread."""
        return len(self._suspects) + sum(len(child.claims) - child.lent for child in self._children)

    @property
    def is_idle(self) -> bool:
        """Whether it has no run at all."""
        return not self._suspects and not any(child.claims for child in self._children)

    def free_slots(self, ahead: int) -> tuple[int, int]:
        """How many sync and async runs it can take: `ahead` sync ones more than it has free threads for.

        Not so while a run waits for others and lends its thread: what was claimed ahead might all begin, and wait too,
        and the number of threads would be that of the runs and not that of the depth of their tree.
        """
        open_children = self._open()
        if not open_children or self._suspects:
            return 0, 0
        sync = asynchronous = lent = 0
        for child in open_children:
            sync += child.free_threads
            asynchronous += _ASYNC_RUNS_PER_CHILD - child.async_claims
            lent += child.lent
        return sync if lent else sync + ahead, asynchronous

    # -- what a worker tells

    def start(self, worker: str) -> None:
        """Start the first child; `worker` is the name under which runs are recorded. Raises CannotStart."""
        self._worker = worker
        self._start_child()
        self.next_tending = self._succession.next_tending

    def assign(self, claims: Sequence[Claim], suspects: Sequence[Claim] = ()) -> None:
        """Have these executed."""
        self._suspects.extend(suspects)
        asynchronous = [claim for claim in claims if claim.is_async]
        if asynchronous:
            min(self._open(), key=lambda child: child.async_claims).assign(asynchronous)
        self._assign_sync([claim for claim in claims if not claim.is_async])
        self._assign_suspect()
        if self._needs_tending:
            self.next_tending = 0.0

    def _assign_sync(self, claims: list[Claim]) -> None:
        at = 0
        children = sorted(self._open(), key=lambda child: -child.free_threads)
        for left, child in zip(range(len(children), 0, -1), children, strict=True):
            if at == len(claims):
                return
            # Free threads first; what goes beyond them is shared out.
            beyond = max(len(claims) - at - sum(max(c.free_threads, 0) for c in children[-left:]), 0)
            share = max(child.free_threads, 0) + -(-beyond // left)
            child.assign(claims[at : at + share])
            at += share

    def stop(self, run_ids: Sequence[str]) -> None:
        """Have those of these runs stop that it has; told once, they have `grace_seconds` for it."""
        for child in self._children:
            mine = [
                run_id
                for run_id in run_ids
                if run_id in child.claims and not (run_id in child.limits and child.limits[run_id].is_stop)
            ]
            if mine:
                child.stop(mine, self.grace_seconds)
                self.next_deadline = min(self.next_deadline, time.monotonic() + self.grace_seconds)

    def ask_back(self) -> None:
        """Ask all children to return what they have not begun."""
        for child in self._children:
            if child.claims:
                child.ask_back()

    def ask_back_from_stalled(self) -> bool:
        """Ask children back that sit on more than they have threads for and end nothing; whether there were any."""
        now = time.monotonic()
        stalled = [
            child for child in self._children if child.free_threads < 0 and now - child.heard_at > _STALL_SECONDS
        ]
        for child in stalled:
            child.ask_back()
        return bool(stalled)

    @property
    def has_surplus(self) -> bool:
        """Whether some child has more sync runs than threads."""
        return any(child.free_threads < 0 for child in self._children)

    def kill(self) -> None:
        """End all children at once, and forget what they did."""
        for child in list(self._children):
            self.selector.unregister(child.channel)
            child.kill()
            child.channel.close()
        self._children.clear()
        self._suspects.clear()
        self._succession.end()
        self._start_at = math.inf

    def end(self, timeout: float) -> None:
        """Let all children go."""
        for child in self._children:
            child.end(timeout)
        self._succession.end()

    def renew(self) -> None:
        """Have other children do all that comes from now on; those that are there end what they have begun."""
        self._is_outdated = self._needs_tending = True
        self.next_tending = 0.0

    # -- what goes on by itself

    def tend(self) -> News:
        """Start whom a pause held back, replace who is worn, kill who takes far too much memory."""
        news = News()
        for child, reason in self._succession.find_excessive(self._children):
            child.kill()
            self._take_in(child, child.receive()[0], news)
            self._bury(child, news, reason)
        if time.monotonic() >= self._start_at:
            self._start_at = math.inf
            self._start_child()
        if self._is_outdated:
            self._is_outdated = False
            self._let_all_leave()
        news.replaced = self._succession.go_on(list(self._children), self.processes)
        self.next_tending = min(self._succession.next_tending, self._start_at)
        return news

    def _let_all_leave(self) -> None:
        for child in list(self._children):
            self._succession.forget(child)
            child.leave()
            if not child.is_ready:
                self._part(child)
                child.kill()
        self._start_child()

    # -- what the children say

    def listen(self, child: ChildProcess, writable: bool) -> News:
        """Take in what a child said. Raises CannotStart when one child after the other dies before it is ready."""
        news = News()
        if writable:
            child.channel.flush()
        messages, alive = child.receive()
        self._take_in(child, messages, news)
        if not child.claims:
            child.has_suspect = False
        if not alive:
            self._bury(child, news, child.cause_of_death())
        self._assign_suspect()
        if self._needs_tending:
            self.next_tending = 0.0
        return news

    def _take_in(self, child: ChildProcess, messages: list[tuple[str, Any]], news: News) -> None:
        for kind, content in messages:
            if kind == channels.DONE:
                news.ended += [outcome for outcome in content if child.drop(outcome[0])]
            elif kind == channels.FAILED:
                news.failed += [Postponed(*fields) for fields in content if child.drop(fields[0])]
            elif kind == channels.LIMITED:
                run_id, seconds, tries, retry_after = content
                known = child.limits.get(run_id)
                if run_id in child.claims and not (known and known.is_stop):
                    deadline = time.monotonic() + seconds + self.grace_seconds
                    child.limits[run_id] = Limit(deadline, seconds, tries, retry_after)
                    self.next_deadline = min(self.next_deadline, deadline)
            elif kind == channels.RETURNED:
                returned = [run_id for run_id in content if child.drop(run_id)]
                child.taken -= len(returned)
                news.returned += returned
            elif kind == channels.LENT:
                child.lent += content
            elif kind == channels.READY:
                child.get_ready()
                self._failed_starts, self._has_worked = 0, True
                self._start_next()
            elif kind == channels.LINES:
                news.lines += [Batch(*fields) for fields in content]
                child.channel.send(channels.TAKEN, None)

    def kill_overdue(self) -> News:
        """End the children in which a run has outlasted its time limit; what else they had comes back.

        All runs whose time is up go with their child, also those that could stop for a while yet: given back, each of
        them might cost one more child.
        """
        news, now = News(), time.monotonic()
        for child in list(self._children):
            if all(limit.deadline > now for limit in child.limits.values()):
                continue
            child.kill()
            # What it still said counts.
            self._take_in(child, child.receive()[0], news)
            late = [run_id for run_id, limit in child.limits.items() if limit.deadline - self.grace_seconds <= now]
            news.overdue += [(child.claims.pop(run_id), child.limits[run_id]) for run_id in late]
            news.returned += child.claims
            self._replace(child)
        deadlines = (limit.deadline for child in self._children for limit in child.limits.values())
        self.next_deadline = min(deadlines, default=math.inf)
        return news

    def watch_for_writing(self) -> None:
        """Have the selector say when a child that could not take all that was sent can take more."""
        for child in self._children:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if child.channel.has_unsent else 0)
            if self.selector.get_key(child.channel).events != events:
                self.selector.modify(child.channel, events, child)

    def _bury(self, child: ChildProcess, news: News, cause: str) -> None:
        news.lost += child.claims
        news.deaths.append(cause)
        self._failed_starts += not child.is_ready
        if self._failed_starts >= _MOST_FAILED_STARTS and not self._has_worked:
            raise CannotStart(f"{self._failed_starts} child processes died at their start: {cause}")
        self._useless_deaths = 0 if child.has_ended_runs else self._useless_deaths + 1
        self._replace(child)

    def _replace(self, child: ChildProcess) -> None:
        self._part(child)
        if child.is_leaving or self._succession.forget(child) or self._succession.take_spare():
            return
        if self._useless_deaths < 2 or not self._has_worked:
            self._start_child()
            return
        self._start_later()

    def _start_later(self) -> None:
        pause = min(_FIRST_PAUSE * 2 ** min(self._useless_deaths, 10), _LONGEST_PAUSE)
        self._start_at = self.next_tending = time.monotonic() + pause

    def _part(self, child: ChildProcess) -> None:
        self.selector.unregister(child.channel)
        self._children.remove(child)
        child.channel.close()

    def _start_next(self) -> None:
        serving = sum(not child.is_leaving and not child.is_spare for child in self._children)
        if serving < self.processes and self._start_at == math.inf:
            self._start_child()

    def _start_child(self) -> ChildProcess | None:
        """None if that is impossible now: it is tried again later. Raises CannotStart if there never was a child."""
        try:
            child = ChildProcess(self.nursery, self.threads, self._worker)
        except CannotFork as failure:
            if not self._has_worked:
                raise CannotStart(str(failure)) from failure
            worker_logging.error("a child process is missing", reason=str(failure))
            self._useless_deaths += 1
            self._start_later()
            return None
        self._children.append(child)
        self.selector.register(child.channel, selectors.EVENT_READ, child)
        return child

    def _open(self) -> list[ChildProcess]:
        """The children that may be given runs: one is kept free while a suspect waits."""
        ready = [child for child in self._children if child.is_open and not child.has_suspect]
        return ready[1:] if self._suspects and len(ready) > 1 else ready

    def _assign_suspect(self) -> None:
        if not self._suspects:
            return
        for child in self._children:
            if child.is_open and not child.claims:
                child.has_suspect = True
                child.assign([self._suspects.popleft()])
                return
