"""What goes on in the nursery: a process that forks others, each for a socket that its worker sends it."""

import atexit
import multiprocessing
import os
import pickle
import selectors
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import ForkProcess
from typing import Any, Final

from millstream_shared import packing
from millstream_worker import channels, preloading, processes

TASKS: Final = b"t"
"""What comes with the descriptor of a socket for a process that executes tasks."""
FLOW: Final = b"f"
"""What comes with the descriptor of a socket for a process that executes a flow."""
FORKED: Final = "forked"
"""To the worker: the id of the process that has the socket."""
REFUSED: Final = "refused"
"""To the worker: why there is none."""
ENDED: Final = "ended"
"""To the worker: `[process id, exit code]`."""


def serve(line: socket.socket) -> None:
    """Be the nursery, until the other end of `line` closes."""
    processes.set_name("ms-nursery")
    # It ends with the worker, and not by a signal to the whole process group: the worker lets its runs end first, and
    # they end with the process that they were forked from.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # It closes with the worker, who may not have heard all.
            _Forking(line).go_on()
    finally:
        signal.set_wakeup_fd(-1)


def call(function: Callable[..., None], *arguments: Any) -> bytes:
    """The first message to a new process, which then calls `function(channel, *arguments)`, and ends."""
    return packing.pack([channels.CALL, pickle.dumps((function, arguments))])


class _Forking:
    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._children: list[ForkProcess] = []
        # A child that ends wakes the selector: Python writes a byte here.
        self._wakeup, self._waking = socket.socketpair()
        for end in (self._wakeup, self._waking):
            end.setblocking(False)
        processes.ignore(signal.SIGCHLD)
        signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)

    def go_on(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._line, selectors.EVENT_READ)
            selector.register(self._wakeup, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._wakeup:
                        self._tell_of_ends()
                    elif not self._fork():
                        return

    def _fork(self) -> bool:
        """False if the worker has gone."""
        request, ends, *_ = socket.recv_fds(self._line, 1, 1)
        if not request:
            return False
        with socket.socket(fileno=ends[0]) as end:
            child = multiprocessing.get_context("fork").Process(target=self._begin, args=(end,))
            try:
                child.start()
            except OSError as failure:
                self._tell(REFUSED, repr(failure))
                return True
        self._children.append(child)
        self._tell(FORKED, child.pid)
        if request == FLOW:
            # Unless it was before. The first flow imports that itself, and is not held up. The files may be those of
            # another version by now: then a flow that needs them will say so.
            with suppress(Exception):
                preloading.for_flows()
        return True

    def _tell_of_ends(self) -> None:
        self._wakeup.recv(64)
        for child in [child for child in self._children if child.exitcode is not None]:
            self._children.remove(child)
            self._tell(ENDED, [child.pid, child.exitcode])

    def _tell(self, kind: str, content: Any) -> None:
        self._line.sendall(packing.pack([kind, content]))

    def _begin(self, end: socket.socket) -> None:
        """What a new process does."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for ours in (self._line, self._wakeup, self._waking):
            ours.close()
        # If user code forks, that copy does not keep the channel open when this process dies.
        os.register_at_fork(after_in_child=end.close)
        channel = channels.ChildEnd(end)
        for _, content in channel.messages():
            function, arguments = pickle.loads(content)
            try:
                function(channel, *arguments)
            finally:
                # What code of users wants to have done at the end of its process; `multiprocessing` leaves it out.
                atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
            return
