"""Which thread executes which sync run, so that one that is to stop can be interrupted."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from millstream import interrupts
from millstream.interrupts import Interrupt

A = TypeVar("A")
R = TypeVar("R")


class Executing:
    """The sync runs that go on in the threads of this process.

    As in `interrupts.Target`, who interrupts and the run that ends agree without a lock; here without an object for
    each run, of which there are many and hardly any is interrupted.
    """

    def __init__(self) -> None:
        self._runs: dict[int, str] = {}
        self._fired: set[int] = set()
        self._firing = False

    def call(self, run_id: str, what: A, function: Callable[[A], R], when_stopped: Callable[[A], R]) -> R:
        """What `function(what)` gives, which executes the run; `when_stopped(what)` if that is interrupted."""
        me = threading.get_ident()
        outcome: R | None = None
        self._runs[me] = run_id
        try:
            try:
                outcome = function(what)
            finally:
                self._runs.pop(me, None)
                if self._firing or self._fired:
                    self._end(me)
        except Interrupt:
            self._runs.pop(me, None)
            self._end(me)
        return when_stopped(what) if outcome is None else outcome

    def stop(self, run_id: str) -> None:
        """Interrupt a run, if it goes on. Called by one thread only."""
        self._firing = True
        for thread, known in list(self._runs.items()):
            if known == run_id and not interrupts.is_interrupted(thread):
                self._fired.add(thread)
                interrupts.raise_in(thread, Interrupt)
        self._firing = False

    def _end(self, me: int) -> None:
        while self._firing:
            time.sleep(0)
        if me in self._fired:
            interrupts.raise_in(me, None)
            self._fired.discard(me)
