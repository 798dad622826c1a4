"""Processes that execute background runs: `serve(*tasks)` is a worker for the queues of these tasks."""

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from millstream import local_workers, sessions
from millstream.tasks import Task
from millstream_shared import errors
from millstream_shared.settings import get_settings

_SECONDS_TO_END = 5.0


def serve(*tasks: Task[..., Any], limit: int | None = 10) -> None:
    """Execute what is queued for `tasks`, at most `limit` runs at once (None: no limit), until SIGTERM or Ctrl-C.

    The runs are executed by a worker in processes of its own, which finds functions as all workers do: by import, as
    this program could, or by value. It serves the tasks' queues, so it executes what else is put there; a task with
    `queue=` has one for itself. After the first signal running tasks may end, for a minute, then this returns; after a
    second one they are handed back at once. An async run counts while it awaits others.

    Raises TypeError for what is no task, ValueError without tasks or for a limit below 1, RedisUnavailable when the
    server does not answer, ServiceError when the worker ends by itself.
    """
    options = _options(tasks, limit)
    _find_server()
    with _worker(options) as worker, _signals_passed_on(worker, signal.SIGTERM, signal.SIGINT):
        worker.wait()


async def aserve(*tasks: Task[..., Any], limit: int | None = 10) -> None:
    """The same without blocking the event loop. When it is cancelled, running tasks may end before it ends itself."""
    options = _options(tasks, limit)
    await asyncio.to_thread(_find_server)
    # Ctrl-C is left to the loop, which makes a cancellation of it.
    with _worker(options) as worker, _signals_passed_on(worker, signal.SIGTERM):
        ended = asyncio.ensure_future(asyncio.to_thread(worker.wait))
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            worker.stop()
            await ended
            raise


def _options(tasks: tuple[Any, ...], limit: Any) -> list[str]:
    """The worker's command line."""
    for each in tasks:
        if not isinstance(each, Task):
            raise TypeError(f"serve() takes tasks, functions with @task; got {each!r}.")
    if not tasks:
        raise ValueError("serve() needs a task, or several, whose background runs it shall execute.")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool)):
        raise TypeError(f"limit takes a number of runs, or None; got {limit!r}.")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is 1 or more, or None; got {limit}.")
    default = get_settings().default_queue
    options = [word for queue in dict.fromkeys(each.queue or default for each in tasks) for word in ("--queue", queue)]
    if limit is not None:
        # One process: each executes as many sync runs at once as it has threads.
        options += ["--processes", "1", "--threads", str(limit), "--most", str(limit)]
    return options


def _find_server() -> None:
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
def _worker(options: list[str]) -> Generator[_Worker]:
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
