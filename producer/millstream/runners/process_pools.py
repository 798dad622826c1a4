"""A pool of processes, one run at a time in each: who gets which run, and what becomes of the run of one that dies."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable
from multiprocessing import connection
from typing import Any

from millstream import log_shipping
from millstream.runners.elsewhere import Trip
from millstream_shared import exit_codes

BEGUN, LINES, DONE, UNFIT = "begun", "lines", "done", "unfit"
"""What a process says: it has a run, what runs have logged, its outcome; or that it cannot be initialized, and why."""

_SECONDS_TO_END = 5.0
# The path of modules has to be that of the parent before anything of ours can be imported.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from millstream.runners.pool_child import main; main(int(sys.argv[1]), int(sys.argv[3]))"
)


class ProcessLost(Exception):
    """The process is gone. `began` says whether it had begun with what it was given."""

    def __init__(self, cause: str, began: bool) -> None:
        self.began = began
        super().__init__(cause)


class ProcessPool:
    """At most `limit` processes (None: one per CPU), each with a thread here that starts it, serves it, and ends it."""

    def __init__(self, limit: int | None, initialization: bytes) -> None:
        self._limit = limit or os.cpu_count() or 1
        self._initialization = initialization
        self._lock = threading.RLock()
        self._trip_came = threading.Condition(self._lock)
        self._thread_gone = threading.Condition(self._lock)
        self._trips: deque[Trip] = deque()
        self._threads: set[threading.Thread] = set()
        self._busy: dict[Trip, PoolProcess] = {}
        self._idle = 0
        self._closed = False

    def put(self, trip: Trip) -> None:
        """Have a run executed, after all that were put before. Raises RuntimeError if there can be no thread for it."""
        with self._lock:
            if self._closed:
                return
            self._trips.append(trip)
            self._trip_came.notify()
            if self._idle < len(self._trips) and len(self._threads) < self._limit:
                self._start_thread()

    def _start_thread(self) -> None:
        name = f"millstream-process-{len(self._threads)}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            # The system has no more threads to give. Those that there are will come to this run in their turn.
            self._threads.discard(thread)
            if not self._threads:
                self._trips.clear()
                raise

    def call_off(self, trips: Iterable[Trip]) -> None:
        """Kill the processes that execute these; others take their places when runs come."""
        with self._lock:
            for trip in trips:
                if trip in self._busy:
                    self._busy[trip].kill()

    def close(self) -> None:
        """End all processes when what was put has ended; returns when they are gone."""
        with self._lock:
            self._closed = True
            self._trip_came.notify_all()
            while self._threads:
                self._thread_gone.wait()

    def _serve(self) -> None:
        process: PoolProcess | None = None
        try:
            while (trip := self._take()) is not None:
                process = self._execute(trip, process)
                del trip
        finally:
            if process:
                process.end()
            with self._lock:
                self._threads.discard(threading.current_thread())
                self._thread_gone.notify_all()

    def _take(self) -> Trip | None:
        with self._lock:
            while not self._trips:
                if self._closed:
                    return None
                self._idle += 1
                self._trip_came.wait()
                self._idle -= 1
            return self._trips.popleft()

    def _execute(self, trip: Trip, process: "PoolProcess | None") -> "PoolProcess | None":
        """Have `process` (None: a new one) execute a run; the process for the next one, if this one is still good."""
        errand = trip.pack()
        if errand is None:
            return process
        while True:
            is_new = process is None
            try:
                process = process or PoolProcess(self._initialization)
                outcome = self._performed(trip, process, errand)
            except ProcessLost as lost:
                process = None
                if lost.began or is_new:
                    trip.lost(str(lost))
                    return None
                # It died of something else before it came to this run, which deserves another one.
            except OSError as failure:
                trip.lost(f"it could not be started: {failure}")
                return None
            else:
                if outcome is not None:
                    trip.arrived(outcome)
                return None if process.was_killed else process

    def _performed(self, trip: Trip, process: "PoolProcess", errand: bytes) -> bytes | None:
        with self._lock:
            if trip.has_ended:
                return None
            self._busy[trip] = process
        try:
            return process.perform(errand, trip)
        finally:
            with self._lock:
                del self._busy[trip]
            if process.was_killed:
                process.end()


class PoolProcess:
    """A fresh interpreter that performs errands. Raises OSError when it cannot be started."""

    def __init__(self, initialization: bytes) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            path = json.dumps([str(folder) for folder in sys.path])
            command = [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), path, str(os.getpid())]
            # In a group of its own: an interrupt from the terminal is for the parent, which ends what it has started.
            self._process = subprocess.Popen(
                command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, process_group=0
            )
        self._connection = connection.Connection(ours.detach())
        self._death = _watch(self._process.pid)
        self.was_killed = False
        self._tell(initialization)

    def perform(self, errand: bytes, trip: Trip) -> bytes:
        """The outcome of an errand. Raises ProcessLost when the process dies before it tells."""
        began = False
        self._tell(errand)
        while True:
            kind, content = self._hear(began)
            if kind == DONE:
                return content
            if kind == UNFIT:
                self.end()
                raise ProcessLost(content, began=True)
            if kind == LINES:
                log_shipping.add_ready(content)
                continue
            began = True
            trip.begun()

    def kill(self) -> None:
        """End it now; whoever waits for an outcome gets none."""
        self.was_killed = True
        self._process.kill()

    def end(self) -> None:
        """Let it go: it ends by itself when nobody is at the other end, or else is killed."""
        self._connection.close()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._death is not None:
            os.close(self._death)
            self._death = None

    def _tell(self, content: bytes) -> None:
        try:
            self._connection.send_bytes(content)
        except OSError:
            return  # what it said before it died, and of what, is still to be heard

    def _hear(self, began: bool) -> tuple[str, Any]:
        # Not only the end of the connection: a child that a task has forked may keep that open.
        sources = [self._connection] if self._death is None else [self._connection, self._death]
        try:
            if self._connection in connection.wait(sources):
                return self._connection.recv()
        except (EOFError, OSError):
            pass
        cause = self._cause_of_death()
        self.end()
        raise ProcessLost(cause, began)

    def _cause_of_death(self) -> str:
        try:
            code = self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        return exit_codes.describe(code)


def _watch(pid: int) -> int | None:
    """A file descriptor that can be read when the process has ended; None where the system has none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
