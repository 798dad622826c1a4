"""Collects how runs ended and sends it on in batches: at once when nothing else is about to end, else within 1 ms."""

import threading
import time
from collections import deque
from collections.abc import Callable

Outcome = tuple[str, int, bytes]
"""Run id, attempt, record."""

_PAUSE = 0.001
_FULL = 200


class Outbox:
    """Sends outcomes with `send`, in the thread that puts them or in one of its own."""

    def __init__(self, send: Callable[[list[Outcome]], None]) -> None:
        self._send = send
        self._outcomes: deque[Outcome] = deque()
        self._sending = threading.Lock()
        self._filled = threading.Event()
        threading.Thread(target=self._keep_sending, name="millstream-outbox", daemon=True).start()

    def put(self, outcome: Outcome, *, more_to_come: bool) -> None:
        """Send this outcome; if more are about to come, they may go together."""
        self._outcomes.append(outcome)
        if not more_to_come or len(self._outcomes) >= _FULL:
            self._flush()
        elif not self._filled.is_set():
            self._filled.set()

    def _keep_sending(self) -> None:
        while True:
            self._filled.wait()
            time.sleep(_PAUSE)
            self._filled.clear()
            self._flush()

    def _flush(self) -> None:
        with self._sending:
            batch: list[Outcome] = []
            while self._outcomes:
                batch.append(self._outcomes.popleft())
            if batch:
                self._send(batch)
