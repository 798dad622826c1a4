"""A runner that executes runs in processes of its own on this machine."""

from collections.abc import Callable, Sequence
from typing import Any

from millstream.runners.elsewhere import ElsewhereTaskRunner, Trip
from millstream.runners.process_pools import ProcessPool
from millstream_shared import errors, values


class ProcessPoolTaskRunner(ElsewhereTaskRunner):
    """Runs in at most `max_workers` processes (default: one per CPU), each of which executes one run at a time.

    A process begins as a fresh interpreter, when there is a run for it, by calling `initializer(*initargs)`; a script
    needs no `if __name__ == "__main__"` for it. Runs work on copies of their arguments; what they submit themselves is
    executed in threads of their process. A process that dies takes one run with it, which is Crashed.
    Raises ValueError for less than one worker, TypeError for an initializer that cannot be called; on entering
    UnpicklableArgument for one that cannot be sent.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Sequence[Any] = (),
    ) -> None:
        super().__init__()
        if max_workers is not None and max_workers < 1:
            raise ValueError(f"max_workers is a number of processes, one or more, or None; got {max_workers}.")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer is a function to call in each process, or None; got {initializer!r}.")
        self.max_workers = max_workers
        self.initializer = initializer
        self.initargs = tuple(initargs)
        self._pool: ProcessPool | None = None

    def configuration(self) -> dict[str, Any]:
        """The keyword arguments that make an equal runner."""
        return {"max_workers": self.max_workers, "initializer": self.initializer, "initargs": self.initargs}

    def start(self) -> None:
        """Check what the processes are to begin with; they are started when runs come."""
        try:
            initialization = values.dumps((self.initializer, self.initargs))
        except Exception as failure:
            raise errors.UnpicklableArgument(type(self).__name__, "initializer", str(failure)) from failure
        self._pool = ProcessPool(self.max_workers, initialization)

    def send(self, trip: Trip) -> None:
        """Have it executed when a process is free."""
        if self._pool:
            self._pool.put(trip)

    def call_off(self, trips: Sequence[Trip]) -> None:
        """End the processes that execute these."""
        if self._pool:
            self._pool.call_off(trips)

    def close(self) -> None:
        """End all processes."""
        pool, self._pool = self._pool, None
        if pool:
            pool.close()
