"""A worker as a child of the program that serves with it: started, told of signals, and never left behind."""

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress

from millstream import local_workers, sessions
from millstream_shared import errors
from millstream_shared.settings import get_settings

_SECONDS_TO_END = 5.0


def run(options: Sequence[str]) -> None:
    """Run a worker with these options until it ends, which SIGTERM and Ctrl-C have it do.

    After the first of these running runs may end, for a minute; after a second one they are handed back at once. Raises
    ServiceError when the worker ends by itself.
    """
    with _worker(options) as worker, _signals_passed_on(worker, signal.SIGTERM, signal.SIGINT):
        worker.wait()


async def arun(options: Sequence[str]) -> None:
    """The same without blocking the event loop. When it is cancelled, running runs may end before it ends itself."""
    # Ctrl-C is left to the loop, which makes a cancellation of it.
    with _worker(options) as worker, _signals_passed_on(worker, signal.SIGTERM):
        ended = asyncio.ensure_future(asyncio.to_thread(worker.wait))
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            worker.stop()
            await ended
            raise


def find_server() -> None:
    """Start the private server if there is to be one. Raises RedisUnavailable if nobody answers."""
    store = sessions.open_store(get_settings())
    try:
        store.ping()
    finally:
        store.close()


class _Worker:
    """The worker's process."""

    def __init__(self, process: "subprocess.Popen[bytes]", lifeline: int) -> None:
        self._process = process
        self._lifeline = lifeline
        self._is_stopping = False

    def wait(self) -> None:
        """Wait for its end. Raises ServiceError if nobody told it to."""
        code = self._process.wait()
        if not self._is_stopping:
            raise errors.ServiceError(f"The worker ended by itself, with status {code}; what it wrote says why.")

    def stop(self, *_: object) -> None:
        """Tell it to end: the first time when its runs have ended, the second time at once."""
        self._is_stopping = True
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGTERM)

    def close(self) -> None:
        """End it at once, if it has not ended; what it has goes back to its queue."""
        os.close(self._lifeline)
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def _worker(options: Sequence[str]) -> Generator[_Worker]:
    worker = _Worker(*local_workers.start_worker(*options))
    try:
        yield worker
    finally:
        worker.close()


@contextmanager
def _signals_passed_on(worker: _Worker, *numbers: signal.Signals) -> Generator[None]:
    """Within, these tell the worker to stop, as far as this thread may say what signals do, and none is ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, worker.stop) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            # One that was not set from Python cannot be set again from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
