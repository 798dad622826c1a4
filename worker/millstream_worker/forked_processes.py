"""A forked process as its worker sees it, be it for tasks or for a flow."""

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from millstream_shared import exit_codes
from millstream_worker import channels, forking
from millstream_worker.nursery import Forked, Nursery


class ForkedProcess:
    """A process that calls `main(end, *arguments)`, where `end` is the other one of `channel`.

    Its `kind` is `forking.TASKS` or `forking.FLOW`. Raises CannotFork.
    """

    def __init__(self, nursery: Nursery, kind: bytes, main: Callable[..., None], *arguments: Any) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = nursery.fork(theirs, kind)
            except BaseException:
                ours.close()
                raise
        with suppress(BrokenPipeError, ConnectionResetError):  # It has died, which is noticed where it is listened to.
            ours.sendall(forking.call(main, *arguments))
        self.channel = channels.ParentEnd(ours)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def has_exited(self) -> bool:
        """Whether it is gone."""
        return self._process.wait(0) is not None

    def kill(self) -> None:
        """End it now, with whatever it does; returns when it is gone."""
        self._process.kill()

    def end(self, timeout: float) -> None:
        """Let it go: it ends by itself when its channel closes. One that does not within so many seconds is killed."""
        self.channel.close()
        if self._process.wait(timeout) is None:
            self.kill()

    def cause_of_death(self) -> str:
        """In words: by which signal or with which status it ended."""
        code = self._process.wait(5)
        if code is None:
            self.kill()
            return "it closed its channel"
        if code == Forked.UNKNOWN:
            return "it died with the process that it was forked from"
        return exit_codes.describe(code)
