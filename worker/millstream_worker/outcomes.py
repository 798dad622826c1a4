"""Collects how runs ended and sends it on in batches: at once when nothing else is about to end, else within 5 ms."""

import threading
import time
from collections import deque
from collections.abc import Callable

from millstream import log_shipping

Outcome = tuple[str, int, bytes]
"""Run id, attempt, record."""

_FRESH_SECONDS = 0.001
_STALE_SECONDS = 0.005
_QUIET_SECONDS = 0.05


class Outbox:
    """Sends outcomes with `send`, in the thread that puts them.

    A thread of its own sees to those that were kept for the next batch when no next one comes. It is woken rarely: each
    time it takes the interpreter lock from the threads that work.
    """

    def __init__(self, send: Callable[[list[Outcome]], None]) -> None:
        self._send = send
        self._outcomes: deque[Outcome] = deque()
        self._sending = threading.Lock()
        self._filled = threading.Event()
        self._sent_at = 0.0
        threading.Thread(target=self._keep_sending, name="millstream-outbox", daemon=True).start()

    def put(self, outcome: Outcome, *, more_to_come: bool) -> None:
        """Send this outcome; if more are about to come, it may be kept for a millisecond to go with them."""
        self._outcomes.append(outcome)
        if not more_to_come or time.monotonic() - self._sent_at > _FRESH_SECONDS:
            self.flush()
        elif not self._filled.is_set():
            self._filled.set()

    def flush(self) -> None:
        """Send what was kept."""
        if not self._outcomes:
            return
        with self._sending:
            batch: list[Outcome] = []
            while self._outcomes:
                batch.append(self._outcomes.popleft())
            self._sent_at = time.monotonic()
            if batch:
                # What runs have logged arrives before the news that they have ended.
                log_shipping.flush(run_id for run_id, _, _ in batch)
                self._send(batch)

    def _keep_sending(self) -> None:
        while True:
            self._filled.wait()
            time.sleep(_STALE_SECONDS)
            if self._outcomes:
                self.flush()
            elif time.monotonic() - self._sent_at > _QUIET_SECONDS:
                self._filled.clear()
                if self._outcomes:
                    self._filled.set()
