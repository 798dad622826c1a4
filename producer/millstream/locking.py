"""Locks on keys of results, so that only one run at a time computes what is to be kept under a key."""

import random
import threading
import time
from typing import Final, Protocol

from millstream import sessions, waiting
from millstream_shared.kept import Kept

_LEASE_SECONDS: Final = 15.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


class LockManager(Protocol):
    """What keeps locks. `holder` is a text that nobody else uses."""

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """Wait for the lock, `acquire_timeout` seconds at most (default: for ever); whether it was had."""
        ...

    def release_lock(self, key: str, holder: str) -> None:
        """Let go of the lock."""
        ...


class RedisLockManager:
    """Locks in Redis. One is held until it is released, or until the process that took it has died, for 15 s more."""

    def __init__(self) -> None:
        self._ends: dict[tuple[str, str], threading.Event] = {}

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """Wait for the lock, `acquire_timeout` seconds at most (default: for ever); whether it was had.

        With `hold_timeout` it ends by itself after so many seconds.
        """
        deadline = None if acquire_timeout is None else time.monotonic() + acquire_timeout
        kept, pause = Kept(sessions.current().store), _FIRST_PAUSE
        # A task that waits for a lock does nothing: its slot is for others meanwhile.
        with waiting.blocking():
            while not kept.lock(key, holder, hold_timeout or _LEASE_SECONDS):
                if deadline is not None and time.monotonic() + pause > deadline:
                    return False
                time.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 1.5, _LONGEST_PAUSE)
        if hold_timeout is None:
            ended = self._ends[key, holder] = threading.Event()
            arguments = (kept, key, holder, ended)
            threading.Thread(target=_prolong, args=arguments, name="millstream-lock", daemon=True).start()
        return True

    def release_lock(self, key: str, holder: str) -> None:
        """Let go of the lock, if it is still held."""
        ended = self._ends.pop((key, holder), None)
        if ended:
            ended.set()
        Kept(sessions.current().store).unlock(key, holder)


def _prolong(kept: Kept, key: str, holder: str, ended: threading.Event) -> None:
    while not ended.wait(_LEASE_SECONDS / 3):
        try:
            if not kept.lock(key, holder, _LEASE_SECONDS):
                return
        except Exception:  # An outage: the next try may come in time.
            continue


IN_REDIS: Final = RedisLockManager()
