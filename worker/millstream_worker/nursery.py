"""Where the processes come from that execute users' code: forked from one that has imported what they need.

That one is `multiprocessing`'s fork server. A process that is forked from it begins within milliseconds instead of half
a second, and shares its memory.
"""

import atexit
import multiprocessing
import socket
from collections.abc import Callable
from multiprocessing import forkserver
from typing import Any, Final

from millstream_shared import exit_codes
from millstream_worker import channels

_STATUS_UNKNOWN: Final = 255
"""What `multiprocessing` gives if its fork server is gone, and cannot tell how a process ended."""

_context: Final = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["millstream_worker.preloaded"])


class CannotFork(Exception):
    """No process could be forked."""


def open_nursery() -> None:
    """Have the nursery import what it needs, while the caller does other things; the first fork waits for the end."""
    forkserver.ensure_running()


def call_in_process(function: Callable[..., None], *arguments: Any) -> None:
    """Have a process call this. Nobody waits for it; it ends with the caller's at the latest. Raises CannotFork."""
    _start(function, arguments, is_daemon=True)


def _start(main: Callable[..., None], arguments: tuple[Any, ...], *, is_daemon: bool = False) -> Any:
    process = _context.Process(target=_call, args=(main, *arguments), daemon=is_daemon)
    try:
        process.start()
    except (OSError, EOFError) as failure:
        raise CannotFork(f"no process can be started: {failure!r}") from failure
    return process


def _call(main: Callable[..., None], *arguments: Any) -> None:
    try:
        main(*arguments)
    finally:
        # What code of users wants to have done at the end of its process; `multiprocessing` leaves it out.
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]


class ForkedProcess:
    """A process that calls `main(end, *arguments)`, where the socket `end` leads to `channel`. Raises CannotFork."""

    def __init__(self, main: Callable[..., None], *arguments: Any) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _start(main, (theirs, *arguments))
            except BaseException:
                ours.close()
                raise
        self.channel = channels.ParentEnd(ours)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def has_exited(self) -> bool:
        """Whether it is gone."""
        return self._process.exitcode is not None

    def kill(self) -> None:
        """End it now, with whatever it does; returns when it is gone."""
        self._process.kill()
        self._process.join()

    def end(self, timeout: float) -> None:
        """Let it go: it ends by itself when its channel closes. One that does not within so many seconds is killed."""
        self.channel.close()
        self._process.join(timeout)
        if not self.has_exited:
            self.kill()

    def cause_of_death(self) -> str:
        """In words: by which signal or with which status it ended."""
        self._process.join(5)
        code = self._process.exitcode
        if code is None:
            self.kill()
            return "it closed its channel"
        if code == _STATUS_UNKNOWN:
            return f"{exit_codes.describe(code)}, or died with the process that it was forked from"
        return exit_codes.describe(code)
