"""The one thread of a process that learns how runs end, for all its futures; it renews the process's lease as well."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from millstream import pauses, stops
from millstream.futures import Future
from millstream.slots import Slots
from millstream_shared import connections, errors, keys, orders, records
from millstream_shared.states import Crashed, State
from millstream_shared.store import Store

_logger = logging.getLogger("millstream.watching")
_WAIT = 1.0
_LONGEST_BETWEEN_LOOKS = 5.0
_NO_RUN = "0" * 32


class Watcher:
    """Completes futures as their runs end.

    Settling a run puts its id into the inbox of the process that submitted it; that wakes this thread. The record is
    the truth: when the inbox has been silent for a second, and then every five, the thread looks at all outstanding
    runs, so a lost notification costs time only. Notes on slots of concurrency limits come by the same way, and
    orders for the flow runs that the process executes by another list.
    """

    def __init__(self, store: Store, owner: str, every_second: Callable[[], None], slots: Slots) -> None:
        self._store = store
        self._owner = owner
        self._slots = slots
        self._every_second = every_second
        self._futures: dict[str, list[Future[Any]]] = {}
        self._missing: set[str] = set()
        self._lock = threading.RLock()
        self._closed = False
        self._renew_at = 0.0
        self._look_at, self._between_looks = 0.0, _WAIT
        self._thread = threading.Thread(target=self._run, name="millstream-watcher", daemon=True)
        self._thread.start()

    def watch(self, futures: Iterable[Future[Any]]) -> None:
        """Complete these when their runs end."""
        with self._lock:
            for future in futures:
                self._futures.setdefault(future.run_id, []).append(future)
        self._between_looks = _WAIT

    def forget(self, futures: Iterable[Future[Any]]) -> None:
        """These were never submitted."""
        with self._lock:
            for future in futures:
                self._futures.pop(future.run_id, None)

    @property
    def is_waiting(self) -> bool:
        """Whether there are runs that have not ended."""
        return bool(self._futures)

    def close(self) -> None:
        """Stop, within a second or so."""
        self._closed = True

    def wake(self) -> None:
        """Have the thread look around now: at the end of a test, one second is much."""
        self._store.command("RPUSH", keys.inbox(self._owner), _NO_RUN)

    def _run(self) -> None:
        pause = 0.1
        while not self._closed:
            try:
                self._turn()
                pause = 0.1
            except (*connections.OUTAGE, errors.ServiceError) as lost:
                _logger.debug("Redis is away: %s", lost)
                time.sleep(pause * random.uniform(0.5, 1.0))
                self._store.revive()
                pause = min(pause * 2, 2.0)
                self._look_at = 0.0
            except Exception:
                # Whoever waits for a future waits for this thread: it may not die.
                _logger.exception("The watcher met an error and goes on")
                time.sleep(pause)

    def _turn(self) -> None:
        told, ended = self._store.next_news(self._owner, _WAIT)
        if told:
            self._obey(told)
        if ended:
            if self._slots.is_waiting:
                self._slots.hear(ended)
            self._deliver(ended)
            # Whoever waited for these goes on at once, and not when this thread next waits itself.
            time.sleep(0)
        self._slots.tend()
        now = time.monotonic()
        if now >= self._renew_at and not self._closed:
            self._renew_at = now + self._store.settings.heartbeat_seconds
            # A session that was closed meanwhile has given its lease up.
            if not self._store.renew_lease(self._owner) and not self._closed:
                _logger.warning("This process was silent for so long that its flow runs were given up as crashed.")
                self._store.take_lease(self._owner)
            self._look_for_stops()
        if ended:
            self._between_looks = _WAIT
            self._look_at = now + _WAIT
        elif now >= self._look_at:
            self._look_at = now + self._between_looks
            self._between_looks = min(self._between_looks * 1.5, _LONGEST_BETWEEN_LOOKS)
            self._look()
            self._every_second()

    def _obey(self, given: list[bytes]) -> None:
        for run_id in orders.resumed(given):
            pauses.wake(run_id)
        stops.tell(orders.stopped(given))

    def _look_for_stops(self) -> None:
        """The order may have been lost."""
        if here := stops.executed_here():
            stops.tell(orders.Orders(self._store).are_cancelled(here))

    def _deliver(self, found: dict[str, bytes]) -> None:
        for run_id, stored in found.items():
            with self._lock:
                futures = self._futures.pop(run_id, ())
            for future in futures:
                future.complete(partial(_state, run_id, stored))

    def _look(self) -> None:
        with self._lock:
            outstanding = list(self._futures)
        if not outstanding:
            return
        seen = self._store.look(outstanding)
        final = {
            run_id: found for run_id, found in seen.items() if isinstance(found, bytes) and records.has_ended(found)
        }
        self._deliver(final)
        # A run is put into `watch` before it is submitted, so only one missing twice is lost.
        missing = {run_id for run_id, found in seen.items() if found is None}
        for run_id in missing & self._missing:
            lost = errors.RunLost(run_id)
            with self._lock:
                futures = self._futures.pop(run_id, ())
            for future in futures:
                future.complete(Crashed(message=str(lost), data=lost))
        self._missing = missing


def _state(run_id: str, stored: bytes) -> State[Any]:
    return records.decode(run_id, stored).state
