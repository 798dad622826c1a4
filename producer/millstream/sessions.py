"""The session of this process: made on first use, closed when the process ends, never inherited by a fork.

Light on purpose: only who comes to need a session imports the Redis client, which takes longer than all else.
"""

import atexit
import os
import threading
from functools import partial
from typing import TYPE_CHECKING

from millstream_shared.settings import Settings, get_settings

if TYPE_CHECKING:
    from millstream.store_session import Session
    from millstream_shared.store import Store

_current: "Session | None" = None
_looking: "Store | None" = None
_lock = threading.RLock()


def current() -> "Session":
    """The session of this process. Raises RedisUnavailable, within seconds, if there is no server."""
    global _current
    session = _current
    if session is None:
        with _lock:
            if _current is None:
                from millstream.store_session import Session

                settings = get_settings()
                _current = Session(open_store(settings), is_local=settings.redis_url is None)
            session = _current
    return session


def store() -> "Store":
    """The store alone, for who only looks at it: without a lease, without threads.

    Raises RedisUnavailable, within seconds, if there is no server.
    """
    global _looking
    if _current is not None:
        return _current.store
    settings = get_settings()
    if _looking is None or _looking.settings is not settings:
        _looking = open_store(settings)
        _looking.ping()
    return _looking


def open_store(settings: Settings, outage_seconds: float | None = None) -> "Store":
    """The store on the configured Redis; without one on the embedded server, which is started if need be.

    `outage_seconds` as in Store.
    """
    from millstream_shared.store import Store

    if settings.redis_url:
        return Store(settings.redis_url, settings, outage_seconds=outage_seconds)
    from millstream import embedded

    start = partial(embedded.ensure_server, settings.home)
    return Store(start(), settings, outage_seconds=outage_seconds, start_server=start)


def use(session: "Session | None") -> None:
    """Make this the session of the process; None: a new one is made when it is needed. Closes none: see that first."""
    global _current
    _current = session


def close_current() -> None:
    """Close the session of this process, if it has one."""
    global _current
    session, _current = _current, None
    if session:
        session.close()


def end() -> None:
    """What is done at the end of the process; a second time there is nothing to do."""
    if _current is not None:
        _current.outlast_background()
    close_current()


def _forget() -> None:
    # Sockets and threads are the parent's: a forked child makes a session of its own.
    global _current, _looking, _lock
    if _current is not None:
        _current.drop_in_fork()
    _current, _looking, _lock = None, None, threading.RLock()


atexit.register(end)
os.register_at_fork(after_in_child=_forget)
