"""The threads of a child process that execute sync runs, and how a run that only waits lends its slot."""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

W = TypeVar("W")

_TICK_SECONDS = 0.001
_TICK_SECONDS_WHEN_COMPUTING = 0.005
_IDLE_SECONDS = 30.0
_BUSY_SHARE = 0.7


class Slots(Generic[W]):
    """At most `size` pieces of work at a time, each in a thread; one that waits for others does not count.

    Work is begun in the order in which it was added. One thread begins; more are called in, a millisecond later, if it
    does not get on: threads that compute only take the interpreter lock from each other, and a hundred short pieces are
    done four times as fast by one thread as by sixteen. `on_lent` is told +1
    when a piece begins only to wait and -1 when it goes on.
    """

    def __init__(self, size: int, work: Callable[[W], None], on_lent: Callable[[int], None]) -> None:
        self._size = size
        self._work = work
        self._on_lent = on_lent
        self._pieces: deque[W] = deque()
        self._lock = threading.RLock()
        self._called = threading.Condition(self._lock)
        self._busy = self._idle = 0
        self._takers: set[int] = set()
        self._taken_at = 0.0
        self._may_shed = self._closed = False
        self._mine = threading.local()
        self._ticking = threading.Event()
        threading.Thread(target=self._tick, name="millstream-slots", daemon=True).start()

    def add(self, pieces: list[W]) -> None:
        """Do these, in order, as slots become free."""
        with self._lock:
            self._pieces.extend(pieces)
            if self._busy == 0 or time.monotonic() - self._taken_at > _TICK_SECONDS:
                self._call(1)
            more = len(self._pieces) > 1 or self._busy > 0
        if more and not self._ticking.is_set():
            self._ticking.set()

    def take_back(self, chosen: Callable[[W], bool] | None = None) -> list[W]:
        """All that has not been begun, or what is chosen of it; it will not be."""
        with self._lock:
            pieces = [piece for piece in self._pieces if chosen is None or chosen(piece)]
            left = [] if chosen is None else [piece for piece in self._pieces if not chosen(piece)]
            self._pieces.clear()
            self._pieces.extend(left)
            return pieces

    def close(self) -> None:
        """Let the threads end, each after the piece that it does; what was not begun is dropped."""
        with self._lock:
            self._closed = True
            self._pieces.clear()
            self._called.notify_all()
        self._ticking.set()

    @property
    def has_waiting_work(self) -> bool:
        """Whether something was added and is not begun."""
        return bool(self._pieces)

    @contextmanager
    def lend(self) -> Generator[None]:
        """While this lasts, another piece of work may use the slot of the calling thread."""
        if not getattr(self._mine, "has_slot", False):
            yield
            return
        self._mine.has_slot = False
        self._shift(-1)
        try:
            yield
        finally:
            # The slot is not waited for: until some work ends there is one piece more than `size`. Whoever has the
            # slot might wait for this very thread.
            self._mine.has_slot = True
            self._shift(+1)

    def _shift(self, step: int) -> None:
        with self._lock:
            self._busy += step
            if step < 0:
                self._call(1)
        # Not the number of waiting pieces, which two threads could tell in the wrong order.
        self._on_lent(-step)

    def _call(self, most: int) -> None:
        """Have up to `most` more threads take work. Called with the lock held."""
        wanted = min(self._size - self._busy, len(self._pieces), most)
        if wanted <= 0:
            return
        self._called.notify(min(wanted, self._idle))
        for _ in range(wanted - self._idle):
            self._idle += 1
            threading.Thread(target=self._serve, name="millstream-slot", daemon=True).start()

    def _serve(self) -> None:
        self._mine.has_slot = True
        me = threading.get_ident()
        while True:
            with self._lock:
                if self._may_shed:
                    self._may_shed = False
                    self._called.wait(_TICK_SECONDS * 10)
                while self._busy >= self._size or not self._pieces:
                    if self._closed:
                        self._idle -= 1
                        return
                    # Threads that lent slots called for are let go when they have been idle for a while.
                    if not self._called.wait(_IDLE_SECONDS) and self._idle > self._size and not self._pieces:
                        self._idle -= 1
                        return
                piece = self._pieces.popleft()
                self._idle -= 1
                self._busy += 1
                self._takers.add(me)
                self._taken_at = time.monotonic()
            try:
                self._work(piece)
            finally:
                with self._lock:
                    self._busy -= 1
                    self._idle += 1

    def _tick(self) -> None:
        """While work waits, see every millisecond whether more threads would help, or fewer."""
        tick = _TICK_SECONDS
        while not self._closed:
            self._ticking.wait()
            cpu = time.process_time()
            time.sleep(tick)
            computing = (time.process_time() - cpu) / tick > _BUSY_SHARE
            with self._lock:
                takers = len(self._takers)
                self._takers.clear()
                if not self._pieces:
                    self._ticking.clear()
                    self._may_shed = False
                elif takers == 0:
                    self._call(self._size)
                elif not computing:
                    self._call(1)
                else:
                    self._may_shed = takers > 1
            # Each tick takes the interpreter lock from those who compute.
            tick = _TICK_SECONDS_WHEN_COMPUTING if computing and takers else _TICK_SECONDS
