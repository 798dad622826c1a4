"""Workers for who runs none: started as child processes when a queue has no worker, gone with the process."""

import logging
import os
import subprocess
import sys
import threading
from dataclasses import dataclass

from millstream_shared import ids
from millstream_shared.store import Store

LOCAL = "local"
"""What names of workers begin with that end with the process which they were started for."""

_logger = logging.getLogger("millstream.local_workers")
_SECONDS_TO_END = 5.0
_MOST_STARTS = 5


@dataclass(slots=True)
class LocalWorker:
    """A worker process; it ends when `lifeline`, our end of a pipe, closes, by whatever death of ours."""

    process: subprocess.Popen[bytes]
    lifeline: int
    starts: int


class LocalWorkers:
    """The workers of this process, one for each queue that nobody else serves."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._workers: dict[str, LocalWorker] = {}
        self._lock = threading.RLock()
        self._closed = False

    def ensure(self, queue: str) -> None:
        """Start a worker for the queue, unless it has one that is alive."""
        with self._lock:
            ours = self._workers.get(queue)
            if self._closed or (ours and ours.process.poll() is None) or self._is_served(queue):
                return
            starts = ours.starts + 1 if ours else 1
            if starts > _MOST_STARTS:
                return
            if ours:
                os.close(ours.lifeline)
                _logger.warning("The worker of queue %r ended: another is started.", queue)
            process, lifeline = start_worker("--queue", queue, "--kind", LOCAL)
            self._workers[queue] = LocalWorker(process, lifeline, starts)

    @property
    def queues(self) -> dict[str, int]:
        """The queues that have a worker of this process, with its process id."""
        with self._lock:
            return {queue: worker.process.pid for queue, worker in self._workers.items()}

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            self._closed = True
            for worker in self._workers.values():
                os.close(worker.lifeline)
            for worker in self._workers.values():
                try:
                    worker.process.wait(_SECONDS_TO_END)
                except subprocess.TimeoutExpired:
                    worker.process.kill()
                    worker.process.wait()

    def drop_in_fork(self) -> None:
        """In a forked child: close its copies of the lifelines, which are the parent's to hold."""
        for worker in self._workers.values():
            os.close(worker.lifeline)

    def _is_served(self, queue: str) -> bool:
        # A worker that was killed stays registered for a while, but all that use a private server are on this machine.
        return any(ids.lives_here(name) for name in self._store.workers(queue))


def start_worker(*options: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a worker that lives no longer than this process: the process, and the lifeline whose closing ends it."""
    theirs, lifeline = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "millstream_worker", *options, "--lifeline", str(theirs)],
            pass_fds=(theirs,),
            stdin=subprocess.DEVNULL,
            # Ctrl-C is for the script: it decides what becomes of its workers.
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        )
    except BaseException:
        os.close(lifeline)
        raise
    finally:
        os.close(theirs)
    return process, lifeline
