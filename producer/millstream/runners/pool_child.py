"""The main of a process of a pool: it performs errands, one after the other, until its parent lets it go."""

import ctypes
import io
import os
import signal
import sys
import threading
import traceback
from multiprocessing import connection
from queue import SimpleQueue
from typing import cast

from millstream_shared import values

_PR_SET_PDEATHSIG = 1


def main(descriptor: int, parent: int) -> None:
    """Serve the socket `descriptor`; `parent` is the process id of who is at its other end.

    What comes first is the pickled initializer with its arguments. Errands are executed in the main thread, which is
    the one that signals interrupt.
    """
    _die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a task prints is to be seen while it runs, also where the output is no terminal.
    cast("io.TextIOWrapper", sys.stdout).reconfigure(line_buffering=True)
    os.set_inheritable(descriptor, False)
    channel = connection.Connection(descriptor)
    if _initialize(channel):
        _serve(channel)


def _initialize(channel: "connection.Connection[object, bytes]") -> bool:
    from millstream.runners.process_pools import UNFIT

    try:
        initializer, arguments = values.loads(channel.recv_bytes())
        if initializer is not None:
            initializer(*arguments)
    except Exception as failure:
        traceback.print_exc()
        channel.send((UNFIT, f"its initializer failed: {type(failure).__name__}: {failure}"))
        return False
    return True


def _serve(channel: "connection.Connection[object, bytes]") -> None:
    from millstream import log_shipping
    from millstream.runners import errands
    from millstream.runners.process_pools import BEGUN, DONE

    mouth = _Mouth(channel)
    log_shipping.begin(mouth)
    mail: SimpleQueue[bytes | None] = SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_receive, args=(channel, mail, busy), name="millstream-mail", daemon=True).start()
    while (errand := mail.get()) is not None:
        busy.set()
        mouth.tell(BEGUN, None)
        outcome = errands.perform(errand)
        busy.clear()
        mouth.tell(DONE, outcome)


class _Mouth:
    """Tells the parent what runs log, while they do so, and what becomes of them."""

    def __init__(self, channel: "connection.Connection[object, bytes]") -> None:
        self._channel = cast("connection.Connection[object, object]", channel)
        self._lock = threading.Lock()

    def tell(self, kind: str, content: object) -> None:
        """Say this; from any thread."""
        with self._lock:
            self._channel.send((kind, content))

    def has_room(self, timeout: float | None) -> bool:  # noqa: ARG002 - what a carrier of lines is asked
        """Always: a thread of the parent does nothing but listen."""
        return True

    def send(self, batches: object) -> None:
        """Send lines."""
        from millstream.runners.process_pools import LINES

        self.tell(LINES, batches)


def _receive(
    channel: "connection.Connection[object, bytes]", mail: SimpleQueue[bytes | None], busy: threading.Event
) -> None:
    """Pass on what comes. When the parent is gone, end the process, whatever it does: nobody would hear of it."""
    try:
        while True:
            mail.put(channel.recv_bytes())
    except (EOFError, OSError):
        mail.put(None)
    if busy.is_set():
        sys.stdout.flush()
        os._exit(1)


def _die_with_parent(parent: int) -> None:
    # Beside the end of the socket, which a thread that computes in C and holds the interpreter lock keeps from being
    # read. The kernel means the parent's thread: the one that started this process outlives it.
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
