"""The main of a process that executes one flow run and nothing else: forked from a warm one, gone with the run."""

import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

from millstream import sessions, stops, waiting
from millstream_shared import errors
from millstream_shared.claims import Claim
from millstream_worker import channels, flow_execution, processes

_STATUS_OF_AN_ORPHAN = 3


def main(channel: channels.ChildEnd, claim: Claim, owner: str) -> None:
    """Execute the run that `owner` has claimed, and record how it ended; `channel` leads to the worker."""
    _get_ready()
    threading.Thread(target=_leave_with, args=(channel,), name="millstream-channel", daemon=True).start()
    lending = _Lending(channel)
    waiting.set_blocking_hook(lending.lent)
    waiting.set_thread_blocking_hook(lending.lent)
    try:
        flow_execution.execute(claim, owner)
    except errors.ServiceError:
        # Nobody has heard how the run ended.
        raise
    except BaseException as end_of_process:
        logging.getLogger("millstream.flow_runs").debug("The flow process ends by %r", end_of_process)
    finally:
        sessions.close_current()
    channel.send(channels.DONE, claim.run_id)


def call_hooks(_: channels.ChildEnd, owner: str, claim: Claim, record: bytes) -> None:
    """Call the hooks for the end of a run, which this record tells of, in place of its process that was killed."""
    _get_ready()
    try:
        flow_execution.call_hooks(claim, owner, record)
    except Exception as failure:
        logging.getLogger("millstream.flow_runs").warning("The hooks of a flow cannot be called: %r", failure)
    finally:
        sessions.close_current()


def _get_ready() -> None:
    processes.die_with_parent(os.getppid())
    processes.set_name("ms-flow")
    # Ctrl-C is for the worker, which decides what becomes of its runs.
    processes.ignore(signal.SIGINT)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cast("io.TextIOWrapper", sys.stdout).reconfigure(line_buffering=True)


def _leave_with(channel: channels.ChildEnd) -> None:
    """Stop the run when the worker says so. End this process when that has gone: others have the run by then."""
    for kind, content in channel.messages():
        if kind == channels.STOP:
            stops.tell(content)
    os._exit(_STATUS_OF_AN_ORPHAN)


class _Lending:
    """Tells the worker when the flow only waits, so that another one may begin."""

    def __init__(self, channel: channels.ChildEnd) -> None:
        self._channel = channel
        self._waits = 0
        self._lock = threading.Lock()

    @contextmanager
    def lent(self) -> Generator[None]:
        """Within, some code of the flow waits for runs."""
        self._shift(1)
        try:
            yield
        finally:
            self._shift(-1)

    def _shift(self, step: int) -> None:
        with self._lock:
            before, self._waits = self._waits, self._waits + step
            if bool(before) != bool(self._waits):
                self._channel.send(channels.LENT, step)
