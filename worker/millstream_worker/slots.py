"""The threads of a child process that execute sync runs, and how a run that only waits lends its slot."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

W = TypeVar("W")


class Slots(Generic[W]):
    """At most `size` pieces of work at a time, each in a thread; a waiting one does not count.

    Work is begun in the order it was added. `on_lent` is told how many pieces of work only wait at the moment.
    """

    def __init__(self, size: int, work: Callable[[W], None], on_lent: Callable[[int], None]) -> None:
        self._size = size
        self._work = work
        self._on_lent = on_lent
        self._waiting_work: deque[W] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._busy = 0
        self._idle = 0
        self._lent = 0
        self._mine = threading.local()

    def add(self, pieces: list[W]) -> None:
        """Do these, in order, as slots become free."""
        with self._changed:
            self._waiting_work.extend(pieces)
            self._wake()

    def take_back(self) -> list[W]:
        """All that has not been begun; it will not be."""
        with self._changed:
            pieces = list(self._waiting_work)
            self._waiting_work.clear()
            return pieces

    @property
    def has_waiting_work(self) -> bool:
        return bool(self._waiting_work)

    @contextmanager
    def lend(self) -> Iterator[None]:
        """While this lasts, another piece of work may use the slot of the calling thread."""
        if not getattr(self._mine, "slot", False):
            yield
            return
        self._mine.slot = False
        self._shift(-1)
        try:
            yield
        finally:
            # The slot is not asked back: the waiter goes on at once, and until some work ends there is one piece
            # more than `size`. Queueing here for a slot could wait for work that waits for this very thread.
            self._mine.slot = True
            self._shift(+1)

    def _shift(self, step: int) -> None:
        with self._changed:
            self._busy += step
            self._lent -= step
            lent = self._lent
            self._wake()
        self._on_lent(lent)

    def _wake(self) -> None:
        free = min(self._size - self._busy, len(self._waiting_work))
        if free <= 0:
            return
        self._changed.notify(min(free, self._idle))
        for _ in range(free - self._idle):
            self._idle += 1
            threading.Thread(target=self._serve, name="millstream-run", daemon=True).start()

    def _serve(self) -> None:
        self._mine.slot = True
        while True:
            with self._changed:
                while self._busy >= self._size or not self._waiting_work:
                    # What lent slots called for is let go again when it has been idle for a while.
                    if not self._changed.wait(timeout=30) and self._idle > self._size:
                        self._idle -= 1
                        return
                piece = self._waiting_work.popleft()
                self._idle -= 1
                self._busy += 1
            try:
                self._work(piece)
            finally:
                with self._changed:
                    self._busy -= 1
                    self._idle += 1
