"""Sending runs to the scheduler of a Dask cluster: from the process of a flow, and from a worker whose run submits."""

import threading
import uuid
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from millstream import waiting
from millstream.runners import errands, libraries
from millstream.runners.elsewhere import ElsewhereTaskRunner, Trip
from millstream_shared.settings import get_settings

_LARGE = 1_000_000
"""Bytes from which on an errand goes to a worker directly, past the scheduler."""


@dataclass(frozen=True, slots=True)
class Load:
    """A run with its errand, packed; `deaths` counts the workers that died while they had this run and no other."""

    trip: Trip
    errand: bytes
    deaths: int = 0


class ClusterTaskRunner(ElsewhereTaskRunner):
    """Sends runs by `client`, which a subclass sets in `get_ready`.

    Dask gives up all that a dying worker had been given, also what it had not begun. These runs are *suspects*, and
    sent once more, each alone, while all others wait: so it shows which of them it was. A worker may end for reasons of
    its own, too, so one more that dies under a run which is alone with it does not decide yet: as on a queue, it is
    given up after `crash_limit` deaths, of which the first may have been another's fault.
    """

    client: Any = None

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._sent: dict[Trip, Any] = {}
        self._waiting: deque[Load] = deque()
        self._suspects: deque[Load] = deque()
        self._alone: Trip | None = None

    def send(self, trip: Trip) -> None:
        """Have the cluster execute it."""
        errand = trip.pack()
        if errand is not None:
            with self._lock:
                self._waiting.append(Load(trip, errand))
            self._send_on()

    def call_off(self, trips: Sequence[Trip]) -> None:
        """Have the cluster forget these; what a worker has begun it brings to an end, for nobody."""
        with self._lock:
            futures = [future for trip in trips if (future := self._sent.get(trip)) is not None]
        if futures and self.client:
            self.client.cancel(futures, force=True)

    def _send_on(self) -> None:
        """Send what may be sent now."""
        while (load := self._next()) is not None:
            try:
                self._hand_over(load)
            except Exception as failure:
                self._forget_sent(load.trip)
                load.trip.lost(f"it was not reached: {type(failure).__name__}: {failure}")

    def _next(self) -> Load | None:
        with self._lock:
            if self._alone is not None:
                return None
            if not self._suspects:
                return self._take(self._waiting)
            if self._sent:
                return None
            load = self._take(self._suspects)
            self._alone = load.trip if load else None
            return load

    def _take(self, loads: deque[Load]) -> Load | None:
        """The first that has not ended, which from now on counts as sent."""
        while loads:
            load = loads.popleft()
            if not load.trip.has_ended:
                self._sent[load.trip] = None
                return load
        return None

    def _hand_over(self, load: Load) -> None:
        trip, errand = load.trip, load.errand
        content = self.client.scatter(errand, hash=False) if len(errand) > _LARGE else errand
        # Not the run's id: under a key that it knows, the scheduler gives the outcome that it has, a death too.
        key = f"{trip.name}-{uuid.uuid4().hex}"
        # What others wait for comes before what nobody has begun, so that trees are walked depth first.
        future = self.client.submit(perform, content, key=key, pure=False, priority=trip.depth)
        with self._lock:
            self._sent[trip] = future
        future.add_done_callback(partial(self._returned, load))

    def _returned(self, load: Load, future: Any) -> None:
        trip, was_alone = load.trip, self._forget_sent(load.trip)
        try:
            # Of a run that has ended, too, the outcome may have been on a worker that died: then this waits for it to
            # be executed once more.
            if not trip.has_ended:
                trip.arrived(future.result())
        except libraries.load("distributed").KilledWorker as killed:
            # The scheduler may have tried again by itself: a cluster that is there has its own count of deaths.
            deaths = load.deaths + (killed.allowed_failures + 1 if was_alone else 0)
            if deaths and deaths >= get_settings().crash_limit - 1:
                trip.lost(f"it killed each worker that it came to, the last one was {killed.last_worker.address}")
            else:
                with self._lock:
                    self._suspects.append(replace(load, deaths=deaths))
        except BaseException as failure:
            trip.lost(f"{type(failure).__name__}: {failure}")
        finally:
            del future
            self._send_on()

    def _forget_sent(self, trip: Trip) -> bool:
        """The cluster no longer has the run; whether it had it alone."""
        with self._lock:
            self._sent.pop(trip, None)
            was_alone = self._alone is trip
            if was_alone:
                self._alone = None
            return was_alone


class _WorkerTaskRunner(ClusterTaskRunner):
    """For what runs on a worker submit: it goes to the worker's own cluster."""

    def get_ready(self) -> None:
        if self.client is None:
            self.client = libraries.load("distributed").get_client()


def perform(errand: bytes) -> bytes:
    """What a worker of the cluster executes."""
    waiting.set_thread_blocking_hook(_seceded)
    return errands.perform(errand, _WorkerTaskRunner)


_waits = threading.local()


@contextmanager
def _seceded() -> Generator[None]:
    """Around a wait in a run on a worker: its thread is not one of the worker's meanwhile, which starts another."""
    distributed = libraries.load("distributed")
    # Coroutines of one run may wait side by side: together they have one thread to lend.
    _waits.depth = getattr(_waits, "depth", 0) + 1
    if _waits.depth == 1:
        distributed.secede()
    try:
        yield
    finally:
        _waits.depth -= 1
        if _waits.depth == 0:
            distributed.rejoin()
