"""A runner that executes runs on a Ray cluster: one of its own on this machine, or one that is there."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from millstream.runners import errands, libraries
from millstream.runners.elsewhere import ElsewhereTaskRunner, Trip

_OWN_CLUSTER = {"include_dashboard": False, "logging_level": logging.ERROR}


class _Connection:
    """A process has one connection to Ray, which all runners in it share; the last one to leave ends it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._is_ours = False

    def join(self, address: str | None, init_kwargs: dict[str, Any]) -> None:
        ray = libraries.load("ray")
        with self._lock:
            if not ray.is_initialized():
                defaults = {"logging_level": logging.ERROR} if address else _OWN_CLUSTER
                ray.init(address=address, **{**defaults, **init_kwargs})
                self._is_ours = True
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._is_ours:
                self._is_ours = False
                libraries.load("ray").shutdown()


_connection = _Connection()


class RayTaskRunner(ElsewhereTaskRunner):
    """Runs on a Ray cluster, on copies of their arguments, each in a process that has no other run meanwhile.

    Without `address`, Ray is started on this machine, without dashboard, when a flow run first submits something, and
    ends with the last flow run that uses it. `address` is that of a cluster to connect to; `init_kwargs` go to
    `ray.init`. A program that has called that itself keeps its connection. What runs submit themselves is executed in
    threads of their process. A process that dies takes one run with it, which is Crashed.
    Raises ImportError without the library, ValueError for an address that is given twice.
    """

    def __init__(self, address: str | None = None, init_kwargs: dict[str, Any] | None = None) -> None:
        libraries.require("ray", "millstream[ray]", type(self).__name__)
        super().__init__()
        if address and "address" in (init_kwargs or {}):
            raise ValueError("`address` is given twice: once by itself, once in `init_kwargs`.")
        self.address = address
        self.init_kwargs = dict(init_kwargs or {})
        self._lock = threading.Lock()
        self._remote: Any = None
        self._sent: dict[Trip, Any] = {}
        self._thread: ThreadPoolExecutor | None = None

    def configuration(self) -> dict[str, Any]:
        """The keyword arguments that make an equal runner."""
        return {"address": self.address, "init_kwargs": self.init_kwargs}

    def get_ready(self) -> None:
        """Connect to Ray, which is started if nobody has."""
        with self._lock:
            if self._remote is None:
                _connection.join(self.address, self.init_kwargs)
                # What comes back is taken in here: Ray's own thread, which tells of it, must not be kept.
                self._thread = ThreadPoolExecutor(1, "millstream-ray")
                self._remote = libraries.load("ray").remote(max_retries=0)(errands.perform)

    def send(self, trip: Trip) -> None:
        """Have Ray execute it."""
        errand = trip.pack()
        if errand is None:
            return
        reference = self._remote.options(name=trip.name).remote(errand)
        self._sent[trip] = reference
        reference.future().add_done_callback(partial(self._told, trip))

    def call_off(self, trips: Sequence[Trip]) -> None:
        """End the processes that execute these."""
        ray = libraries.load("ray")
        for trip in trips:
            reference = self._sent.pop(trip, None)
            if reference is not None:
                ray.cancel(reference, force=True)

    def close(self) -> None:
        """Let go of Ray."""
        with self._lock:
            thread, self._thread, self._remote = self._thread, None, None
        if thread:
            thread.shutdown()
            _connection.leave()

    def _told(self, trip: Trip, answer: Any) -> None:
        thread = self._thread
        if thread and not trip.has_ended:
            thread.submit(self._returned, trip, answer)

    def _returned(self, trip: Trip, answer: Any) -> None:
        self._sent.pop(trip, None)
        failure = answer.exception()
        if failure is None:
            trip.arrived(answer.result())
        else:
            trip.lost(f"{type(failure).__name__}: {str(failure).strip()}")
