"""The two ends of the socket between a worker and a child process: msgpack messages, each a list `[kind, content]`."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from millstream_shared import packing

CALL = "call"
"""To a new process, its first message: what it is to do, see `forking.py`."""
RUN = "run"
"""To the child: execute these, `[[run id, attempt, is async, crashes, tries so far, payload], ...]`."""
GIVE_BACK = "give back"
"""To the child: return what it has not begun."""
STOP = "stop"
"""To the child, or to a flow's process: these are to stop, `[run id, ...]`."""
DONE = "done"
"""To the worker: these have ended, `[[run id, attempt, record], ...]`."""
FAILED = "failed"
"""To the worker: try these again later, `[[run id, attempt, record, seconds, tries so far], ...]`."""
LIMITED = "limited"
"""To the worker: a run has a time limit: `[run id, seconds from now, tries so far, seconds until a retry or None]`."""
RETURNED = "returned"
"""To the worker: these were not begun, `[run id, ...]`."""
LINES = "lines"
"""To the worker: what runs have logged, `[the fields of a logs.Batch, ...]`."""
TAKEN = "taken"
"""To the child: the worker has taken in a message of lines."""
LENT = "lent"
"""To the worker: +1 when a thread of the child begins only to wait, and lends its slot; -1 when it goes on."""
READY = "ready"
"""To the worker: the child can execute."""

_CHUNK = 1 << 18


class ParentEnd:
    """The worker's end, which never blocks: a child that holds the interpreter lock cannot hold up the worker."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._incoming = packing.Stream()
        self._unsent = bytearray()

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether `flush` must be called again when the socket takes more."""
        return bool(self._unsent)

    def send(self, kind: str, content: Any) -> None:
        self._unsent += packing.pack([kind, content])
        self.flush()

    def flush(self) -> None:
        while self._unsent:
            try:
                sent = self._socket.send(memoryview(self._unsent)[:_CHUNK])
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                # The child is dead; that is noticed, with what it still said, at the reading end.
                self._unsent.clear()
                return
            del self._unsent[:sent]

    def receive(self) -> tuple[list[tuple[str, Any]], bool]:
        """All messages that have arrived, and whether the child is still there."""
        messages: list[tuple[str, Any]] = []
        alive = True
        while True:
            try:
                data = self._socket.recv(_CHUNK)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            if not data:
                alive = False
                break
            messages.extend(self._incoming.feed(data))
            if len(data) < _CHUNK:
                break
        return messages, alive

    def close(self) -> None:
        self._socket.close()


class ChildEnd:
    """The child's end: one thread receives, any thread sends."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(True)
        self._socket = end
        self._sending = threading.Lock()
        self._messages = self._receive()

    def send(self, kind: str, content: Any) -> None:
        message = packing.pack([kind, content])
        # Without a worker nobody is left to tell; the closed channel ends this process.
        with self._sending, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(message)

    def messages(self) -> Iterator[tuple[str, Any]]:
        """What the worker sends, until it is gone; who asks again gets what comes after."""
        return self._messages

    def _receive(self) -> Iterator[tuple[str, Any]]:
        incoming = packing.Stream()
        with contextlib.suppress(ConnectionResetError):
            while data := self._socket.recv(_CHUNK):
                yield from incoming.feed(data)
