"""The records of runs that end far from home: they travel back with the outcome of the run that they are part of.

A process that executes runs for another one thus needs no Redis, unless user code asks for what only Redis gives, such
as a flow run of its own.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from millstream import sessions
from millstream_shared import ids
from millstream_shared.settings import get_settings

Records = list[tuple[str, bytes]]
"""Run id and record."""

_collected: ContextVar[Records | None] = ContextVar("millstream_homebound", default=None)
_lock = threading.Lock()
_here: "HomeboundSession | None" = None


@contextmanager
def collecting(is_away: bool) -> Generator[Records]:
    """Records of task runs that end within are added to the list that this gives, and to nothing else.

    `is_away` says that the runs within belong to another process. Where none ever did, records are written as always,
    and the list stays empty.
    """
    if is_away:
        _move_out()
    found: Records = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def _move_out() -> None:
    global _here
    with _lock:
        if _here is None:
            _here = HomeboundSession()
            sessions.use(cast("Any", _here))


class HomeboundSession:
    """Stands in for the session of a process that executes runs for others; it makes a real one on the first need."""

    def __init__(self) -> None:
        self._name = ids.new_owner_id("client")
        self._real: Any = None
        self._opening = threading.RLock()

    @property
    def recorder(self) -> "HomeboundSession":
        """What takes records: this very object."""
        return self

    @property
    def owner(self) -> str:
        """Under which name this process records and holds runs."""
        return self._real.owner if self._real else self._name

    def add(self, run_id: str, record: bytes) -> None:
        """Take the record of a run that has ended."""
        collected = _collected.get()
        if collected is None:
            self._opened().recorder.add(run_id, record)
        else:
            collected.append((run_id, record))

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until what is to be written from here is written; False if that took longer than `timeout` seconds."""
        return self._real.recorder.flush(timeout) if self._real else True

    def close(self) -> None:
        """End the real session, if there is one."""
        real, self._real = self._real, None
        if real:
            real.close()

    def outlast_background(self) -> None:
        """At the end of the process: as a real session does, if there is one."""
        if self._real:
            self._real.outlast_background()

    def drop_in_fork(self) -> None:
        """In a forked child: let go of what is the parent's."""
        global _here
        _here = None
        if self._real:
            self._real.drop_in_fork()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened(), name)

    def _opened(self) -> Any:
        with self._opening:
            if self._real is None:
                from millstream.store_session import Session  # brings the Redis client, which most runs do not need

                settings = get_settings()
                self._real = Session(sessions.open_store(settings), is_local=settings.redis_url is None)
            return self._real
