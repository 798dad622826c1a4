"""SIGTERM while a flow runs in the main thread: the flow ends as Crashed, and then the process as it would have.

Without this the process would be gone at once, and its flow run be found dead only when its lease has run out.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from millstream import sessions
from millstream_shared.errors import TerminationSignal

_watches = 0
"""Flow runs that go on in the main thread; several, where they are coroutines of one loop or call each other."""
_previous: Any = None
_arrived = False
_was_told = False
"""Whether the process is to end by the signal, once it has unwound."""


@contextmanager
def raised() -> Generator[None]:
    """Within, SIGTERM raises TerminationSignal; after the outermost one, what the signal did before is done.

    A process that ignores the signal goes on ignoring it. A second signal ends the process at once.
    """
    if not _begin():
        yield
        return
    try:
        yield
    finally:
        _end()


def _begin() -> bool:
    global _watches, _previous, _arrived
    if threading.current_thread() is not threading.main_thread():
        return False
    if _watches == 0:
        found = signal.getsignal(signal.SIGTERM)
        if found is signal.SIG_IGN or found is None:
            return False
        _previous, _arrived = found, False
        signal.signal(signal.SIGTERM, _raise)
    _watches += 1
    return True


def _end() -> None:
    global _watches, _was_told
    _watches -= 1
    if _watches:
        return
    signal.signal(signal.SIGTERM, _previous)
    if not _arrived:
        return
    if callable(_previous):
        _previous(signal.SIGTERM, None)
    else:
        _was_told = True


def _die() -> None:
    """End as the signal would have ended the process: whoever sent it looks for that."""
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


@atexit.register
def _exit_as_told() -> None:
    if _was_told:
        sessions.end()  # which comes later in the list of what is done at the exit
        _die()


def _raise(number: int, _: FrameType | None) -> None:
    global _arrived
    if _arrived:
        _die()
    _arrived = True
    raise TerminationSignal(number)
