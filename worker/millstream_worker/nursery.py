"""Where the processes come from that execute users' code: forked from one that has imported what they need.

That one, the nursery, does nothing but fork: it has no thread, and holds no lock that would be of harm in a copy. A new
process begins within milliseconds instead of half a second, and shares its memory. The nursery itself is forked from
the worker before that has threads or connections, so that both share what they have imported.
"""

import os
import signal
import socket
import sys
import time
import traceback
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from millstream_shared import packing
from millstream_worker import forking, preloading

_PROGRAM: Final = "import sys\nfrom millstream_worker import nursery\nnursery.serve(int(sys.argv[1]))"


class CannotFork(Exception):
    """No process could be forked."""


class Forked:
    """A process that comes from a nursery.

    `exit_code` is None while it runs, and then as `multiprocessing` has it: minus the number of the signal that ended
    it. It is `UNKNOWN` if the nursery died, and the process with it.
    """

    UNKNOWN: Final = 1 << 16

    def __init__(self, pid: int, nursery: "Nursery") -> None:
        self.pid = pid
        self.exit_code: int | None = None
        self._nursery = nursery

    def wait(self, timeout: float) -> int | None:
        """Its exit code; None if it still runs after so many seconds."""
        self._nursery.listen(lambda: self.exit_code is not None, timeout)
        return self.exit_code

    def kill(self) -> None:
        """End it now; returns when it is gone."""
        while self.wait(0) is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.wait(1)


class Nursery:
    """Forks processes, from one that it forks from this one now, which may have no other thread.

    What all of them need is imported before; `for_flows`: also what flows need, else when the first one is executed.
    If that dies, what it has forked dies too, and the next fork starts another one, which shares no memory with us.
    Raises CannotFork.
    """

    def __init__(self, *, for_flows: bool) -> None:
        preloading.for_all()
        if for_flows:
            preloading.for_flows()
        self._answer: Forked | str | None = None
        self._forked: weakref.WeakValueDictionary[int, Forked] = weakref.WeakValueDictionary()
        try:
            self._begin(self._fork_it)
        except OSError as failure:
            raise CannotFork(f"no process can be started: {failure!r}") from failure

    def fork(self, end: socket.socket, kind: bytes) -> Forked:
        """A process that does what the first message from the other end of this socket says: see `forking.call`.

        Its `kind` is `forking.TASKS` or `forking.FLOW`. Raises CannotFork.
        """
        self.listen(lambda: False, 0)
        self._answer = None
        try:
            line = self._line or self._begin(self._start_it)
            line.settimeout(None)
            socket.send_fds(line, [kind], [end.fileno()])
        except OSError as failure:
            raise CannotFork(f"no process can be started: {failure!r}") from failure
        answer = self._await_answer()
        if isinstance(answer, Forked):
            return answer
        raise CannotFork(f"no process can be started: {answer}")

    def _await_answer(self) -> Forked | str:
        self.listen(lambda: self._answer is not None, None)
        return self._answer or "the one that others are forked from has died"

    def listen(self, is_enough: Callable[[], bool], timeout: float | None) -> None:
        """Take in what the nursery says until that is enough, it has gone, or so many seconds have passed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._line is not None and not is_enough():
            self._line.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0))
            try:
                data = self._line.recv(4096)
            except (TimeoutError, BlockingIOError):
                return
            except ConnectionResetError:
                data = b""
            if not data:
                self._lose()
            for kind, content in self._incoming.feed(data):
                self._take_in(kind, content)

    def _take_in(self, kind: str, content: Any) -> None:
        if kind == forking.ENDED:
            pid, code = content
            if known := self._forked.get(pid):
                known.exit_code = code
        elif kind == forking.FORKED:
            self._answer = self._forked[content] = Forked(content, self)
        else:
            self._answer = content

    def _begin(self, make: Callable[[socket.socket, socket.socket], int]) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._pid = make(ours, theirs)
            except OSError:
                ours.close()
                raise
        self._line: socket.socket | None = ours
        self._incoming = packing.Stream()
        return ours

    def _fork_it(self, ours: socket.socket, theirs: socket.socket) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                forking.serve(theirs)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        return pid

    def _start_it(self, _: socket.socket, theirs: socket.socket) -> int:
        theirs.set_inheritable(True)
        command = [sys.executable, "-c", _PROGRAM, str(theirs.fileno())]
        return os.posix_spawn(sys.executable, command, os.environ)

    def _lose(self) -> None:
        assert self._line is not None
        self._line.close()
        self._line = None
        os.waitpid(self._pid, 0)
        for process in self._forked.values():
            if process.exit_code is None:
                process.exit_code = Forked.UNKNOWN
        self._forked.clear()


def serve(line: int) -> None:
    """Be a nursery whose worker is at the other end of the socket with this number."""
    preloading.for_all()
    preloading.for_flows()
    forking.serve(socket.socket(fileno=line))
