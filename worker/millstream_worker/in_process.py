"""A worker that is a few threads of the process whose runs it executes, for tests of users' flows.

What a run meets is what it meets in a child of a real worker: its payload, an `Executor`, slots and loops. What is left
out is what a worker does for the case that a process dies.
"""

import contextvars
import logging
import threading
import time
from collections import deque
from contextlib import nullcontext
from functools import partial

from millstream import futures, log_shipping, stops
from millstream.runs import TaskRun
from millstream_shared import ids, keys, orders
from millstream_shared.claims import Claim, Demand, Postponed
from millstream_shared.store import Store
from millstream_worker import endings, flow_execution
from millstream_worker.execution import Assignment, Executor
from millstream_worker.loops import Loops
from millstream_worker.outcomes import Outcome
from millstream_worker.slots import Slots

_logger = logging.getLogger("millstream.testing")
_BELL_SECONDS = 1.0
_SECONDS_AFTER_AN_ERROR = 0.1
_MOST_ASYNC = 1000
_MOST_FLOWS = 100


class InProcessWorker:
    """Executes what is on the queues that it is told to serve, at most `threads` sync runs at once."""

    postpones = True

    def __init__(self, store: Store, threads: int) -> None:
        self._store = store
        self._owner = ids.new_owner_id("worker")
        store.take_lease(self._owner)
        self._threads = threads
        self._executor = Executor(self._owner, self)
        self._slots: Slots[Assignment] = Slots(threads, self._execute, self._note_lent)
        self._loops = Loops()
        self._queues: list[str] = []
        self._lock = threading.Lock()
        self._sync = self._async = self._lent = 0
        self._ended: deque[Outcome] = deque()
        self._settling = threading.Lock()
        self._may_have_work = threading.Event()
        self._has_settled = threading.Condition()
        self._closed = False
        futures.set_blocking_hook(self._slots.lend)
        self._own_threads = [
            # Nothing of the context in which the worker was made reaches the runs.
            threading.Thread(target=partial(contextvars.Context().run, run), name=f"millstream-{name}", daemon=True)
            for name, run in (("claims", self._keep_claiming), ("bell", self._keep_listening))
        ]
        for thread in self._own_threads:
            thread.start()

    def serve(self, queue: str) -> None:
        """Take runs from this queue too, from now on."""
        with self._lock:
            if queue in self._queues:
                return
            self._queues.append(queue)
        self._wake_listener()
        self._may_have_work.set()

    def unfinished(self) -> dict[str, str]:
        """The runs that are on their way, or executed now: id and name."""
        names: dict[str, str] = {}
        for key in self._store.command("KEYS", keys.job("*")):
            name, status = self._store.command("HMGET", key, "description", "status")
            if name is not None and status != b"failed":
                names[key.decode().removeprefix(keys.job(""))] = name.decode()
        return names

    def wait_until_done(self, timeout: float) -> bool:
        """Wait until there is nothing to do; False if that takes longer than `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._has_settled:
            while self.unfinished():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._has_settled.wait(min(left, 0.1))
        return True

    def close(self) -> None:
        """Claim nothing more, and let the threads end. What is being executed goes on, and nobody hears of it."""
        self._closed = True
        futures.set_blocking_hook(nullcontext)
        self._may_have_work.set()
        self._wake_listener()
        for thread in self._own_threads:
            thread.join(_BELL_SECONDS)
        self._slots.close()
        self._loops.close()
        self._store.end_lease(self._owner)

    def expect_end(self, run: TaskRun, seconds: float, retry_after: float | None) -> None:
        """A thread cannot be killed: a run that does not heed its time limit goes on."""

    # -- claiming, in a thread of its own

    def _keep_claiming(self) -> None:
        patience: float | None = None
        while True:
            self._may_have_work.wait(patience)
            self._may_have_work.clear()
            if self._closed:
                return
            try:
                patience = self._claim() if self._queues else None
            except Exception:
                # Whoever waits for a run waits for this thread: it may not die.
                _logger.exception("The worker met an error and goes on")
                patience = _SECONDS_AFTER_AN_ERROR

    def _claim(self) -> float | None:
        """Begin what can be begun; gives the seconds until a postponed run is due."""
        with self._lock:
            queues = list(self._queues)
            sync, asynchronous = self._threads + self._lent - self._sync, _MOST_ASYNC - self._async
        claimed = self._store.claim(self._owner, Demand(queues, sync, asynchronous, _MOST_FLOWS))
        refused = [claim for claim in claimed.runs if claim.refused_by]
        self._settle([endings.aborted(claim, self._owner) for claim in refused])
        for claim in claimed.runs:
            if not claim.refused_by:
                self._begin(claim)
        return claimed.next_due

    def _begin(self, claim: Claim) -> None:
        if claim.is_flow:
            flow = partial(contextvars.Context().run, self._execute_flow, claim)
            threading.Thread(target=flow, name=f"millstream-flow-{claim.run_id[:4]}", daemon=True).start()
            return
        assignment = Assignment(claim.run_id, claim.attempt, claim.is_async, claim.crashes, claim.tries, claim.payload)
        if claim.is_async:
            with self._lock:
                self._async += 1
            self._loops.start(self._executor.depth_of(assignment), partial(self._execute_async, assignment))
        else:
            with self._lock:
                self._sync += 1
            self._slots.add([assignment])

    # -- executing

    def _execute(self, assignment: Assignment) -> None:
        self._end(self._executor.execute(assignment), sync=1)

    def _execute_flow(self, claim: Claim) -> None:
        try:
            flow_execution.execute(claim, self._owner)
        except BaseException as stopped:
            # It is recorded, and ends this thread only.
            _logger.debug("A flow run was ended by %r", stopped)
        with self._has_settled:
            self._has_settled.notify_all()

    async def _execute_async(self, assignment: Assignment) -> None:
        self._end(await self._executor.execute_async(assignment), asynchronous=1)

    def _note_lent(self, step: int) -> None:
        with self._lock:
            self._lent += step
        self._may_have_work.set()

    def _end(self, outcome: Outcome | Postponed, *, sync: int = 0, asynchronous: int = 0) -> None:
        if self._closed:
            # The store is gone, and whoever waited for the run has given up.
            return
        try:
            if isinstance(outcome, Postponed):
                log_shipping.flush([outcome.run_id])
                self._store.postpone(self._owner, [outcome])
            else:
                self._settle([outcome])
        finally:
            with self._lock:
                self._sync -= sync
                self._async -= asynchronous
            self._may_have_work.set()

    def _settle(self, outcomes: list[Outcome]) -> None:
        self._ended.extend(outcomes)
        with self._settling:
            batch = [self._ended.popleft() for _ in range(len(self._ended))]
            if batch:
                log_shipping.flush(run_id for run_id, _, _ in batch)
                self._store.settle(self._owner, batch)
        with self._has_settled:
            self._has_settled.notify_all()

    # -- hearing of work, in another thread

    def _keep_listening(self) -> None:
        while not self._closed:
            with self._lock:
                bells = [keys.bell(name) for queue in self._queues for name in (queue, keys.flow_queue(queue))]
            own = (keys.orders(self._owner), keys.inbox(self._owner))
            found = self._store.command("BLPOP", *own, *bells, _BELL_SECONDS)
            if found and found[0] == own[0].encode():
                # Flow runs stop; a task run goes on, as a thread cannot be killed.
                stops.tell(orders.stopped([found[1]]))
            self._may_have_work.set()

    def _wake_listener(self) -> None:
        self._store.command("RPUSH", keys.inbox(self._owner), "")
