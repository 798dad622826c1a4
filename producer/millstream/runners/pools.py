"""A pool of threads that grows on demand, in which a thread that blocks lends its place to another."""

import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext

from millstream import waiting

Work = Callable[[], object]


class Pool:
    """Runs callables in threads, at most `limit` at once (None: no limit) not counting those that wait for futures."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._lock = threading.RLock()
        self._work_ready = threading.Condition(self._lock)
        self._slot_free = threading.Condition(self._lock)
        self._thread_gone = threading.Condition(self._lock)
        self._queue: deque[Work] = deque()
        self._threads: set[threading.Thread] = set()
        self._busy = 0
        self._idle = 0
        self._lending = 0
        self._returning = 0
        self._closed = False
        self._waits = threading.local()

    def put(self, work: Work) -> None:
        """Have `work` called in a thread, after all that was put before."""
        with self._lock:
            if self._closed:
                return
            self._queue.append(work)
            thread = self._woken()
        self._start(thread)

    def close(self, abandon: bool) -> None:
        """End the threads once the queue is empty; with `abandon`, forget the queue and do not wait."""
        with self._lock:
            self._closed = True
            if abandon:
                self._queue.clear()
            self._work_ready.notify_all()
            # Not `join`: a thread that somebody is about to start cannot be joined yet, and ends like the others.
            while self._threads and not abandon:
                self._thread_gone.wait()

    def _has_room(self) -> bool:
        return self._limit is None or self._busy + self._returning < self._limit

    def _woken(self) -> threading.Thread | None:
        """See to it that some thread takes what is in the queue: gives a new one to start if it needs to be new.

        Called with the lock held. The start is left to the caller without the lock, so that the new thread can take the
        work at once: a thousand short runs then need a few threads only.
        """
        if not self._queue or not self._has_room():
            return None
        self._work_ready.notify()
        if self._idle >= len(self._queue):
            return None
        if self._limit is not None and len(self._threads) - self._lending >= self._limit:
            return None  # one that was started a moment ago is on its way
        # Daemons: after an interrupt the process must be able to end while a run still computes.
        thread = threading.Thread(target=self._run, name=f"millstream-run-{len(self._threads)}", daemon=True)
        self._threads.add(thread)
        return thread

    def _start(self, thread: threading.Thread | None) -> None:
        if thread is None:
            return
        try:
            thread.start()
        except RuntimeError:
            # The system has no more threads to give. Those that there are will come to this work in their turn.
            with self._lock:
                self._forget(thread)
                if not self._threads:
                    self._queue.clear()
                    raise

    def _run(self) -> None:
        waiting.set_thread_blocking_hook(nullcontext if self._limit is None else self._lent)
        while (work := self._take()) is not None:
            try:
                work()
            finally:
                with self._lock:
                    self._give_back()
            del work

    def _take(self) -> Work | None:
        with self._lock:
            while not (self._queue and self._has_room()):
                if self._closed and not self._queue:
                    self._forget(threading.current_thread())
                    return None
                self._idle += 1
                self._work_ready.wait()
                self._idle -= 1
            self._busy += 1
            return self._queue.popleft()

    def _forget(self, thread: threading.Thread) -> None:
        self._threads.discard(thread)
        self._thread_gone.notify_all()

    def _give_back(self) -> None:
        self._busy -= 1
        self._slot_free.notify()
        if self._closed:
            self._work_ready.notify_all()

    @contextmanager
    def _lent(self) -> Generator[None]:
        """Around a wait in one of the threads: its place is for others meanwhile."""
        # Coroutines of one run may wait side by side: together they lend the one place that the run has.
        depth = self._waits.depth = getattr(self._waits, "depth", 0) + 1
        if depth == 1:
            self._lend()
        try:
            yield
        finally:
            self._waits.depth -= 1
            if self._waits.depth == 0:
                self._return()

    def _lend(self) -> None:
        with self._lock:
            self._lending += 1
            self._give_back()
            thread = self._woken()
        self._start(thread)

    def _return(self) -> None:
        with self._lock:
            self._lending -= 1
            self._returning += 1
            while self._limit is not None and self._busy >= self._limit:
                self._slot_free.wait()
            self._returning -= 1
            self._busy += 1
