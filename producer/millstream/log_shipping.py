"""Brings the lines that runs log from the process in which they are logged to the store, in batches, from a thread.

To log a line costs its run an append to a buffer, whatever becomes of the line. The buffer is bounded for each run, and
for all runs together: of what is too much the oldest of that run is dropped, and counted.

Nothing here exists before the first line: what logs nothing pays nothing.
"""

import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

from millstream_shared import logs
from millstream_shared.logs import Batch, Line
from millstream_shared.settings import get_settings

_INTERVAL_SECONDS: Final = 0.25
_MOST_BYTES_WAITING: Final = 8 * 1024 * 1024
_MOST_BYTES_AT_ONCE: Final = 64 * 1024
_MOST_RUNS_ON_HOLD: Final = 1000
_SECONDS_BETWEEN_WARNINGS: Final = 60.0
_LINE_BYTES: Final = 64  # what a line takes beside its text, about

_logger = logging.getLogger("millstream.logs")


class Carrier(Protocol):
    """How batches leave a process."""

    def has_room(self, timeout: float | None) -> bool:
        """Wait until more may be sent; False if that took longer than `timeout` seconds (None: waits for ever)."""
        ...

    def send(self, batches: list[Batch]) -> None:
        """Send these; called once after each `has_room` that was true."""
        ...


class StoreCarrier:
    """Writes to the store, in a process that has one."""

    def __init__(self, store: Any) -> None:
        self._logs = logs.Logs(store)

    def has_room(self, timeout: float | None) -> bool:  # noqa: ARG002 - of the protocol
        return True

    def send(self, batches: list[Batch]) -> None:
        self._logs.write(batches)


class _Waiting:
    """Lines of one run that have not been sent, and how many were dropped before them."""

    __slots__ = ("dropped", "lines", "name", "parent", "size")

    def __init__(self, name: str, parent: str | None) -> None:
        self.name, self.parent = name, parent
        self.lines: deque[Line] = deque()
        self.size = self.dropped = 0


class Shipper:
    """Takes lines from any thread. Without a `carrier` it holds them, until there is one or somebody takes them."""

    def __init__(self, carrier: Carrier | None) -> None:
        settings = get_settings()
        self.carrier = carrier
        self._most_lines = settings.logs_lines_per_run
        self._longest = settings.logs_largest_line_bytes
        self._runs: dict[str, _Waiting] = {}
        self._share = _MOST_BYTES_WAITING
        self._ready: deque[Batch] = deque()
        self._ready_size = 0
        # To be entered again: a signal's handler may log a line in the midst of this.
        self._lock = threading.RLock()
        self._sending = threading.Lock()
        self._outgoing: deque[Batch] = deque()
        self._filled = threading.Event()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._is_stalled = False
        self._warn_at = 0.0
        self._source, self._numbers = os.urandom(4).hex(), itertools.count()

    # -- where lines are logged

    def add(self, run_id: str, name: str, parent: str | None, line: Line) -> None:
        """Send this line, soon."""
        if len(line[2]) * 4 > self._longest:
            line = (line[0], line[1], _cut(line[2], self._longest))
        size = len(line[2]) + _LINE_BYTES
        with self._lock:
            run = self._runs.get(run_id) or self._new_run(run_id, name, parent)
            run.lines.append(line)
            run.size += size
            while run.lines and (len(run.lines) > self._most_lines or run.size > self._share):
                run.size -= len(run.lines.popleft()[2]) + _LINE_BYTES
                run.dropped += 1
        if not self._filled.is_set():
            self._wake()

    def add_ready(self, batches: Iterable[Batch]) -> None:
        """Send batches that were made in another process."""
        with self._lock:
            for batch in batches:
                if self._ready_size < _MOST_BYTES_WAITING:
                    self._ready.append(batch)
                    self._ready_size += batch.size
        self._wake()

    def _new_run(self, run_id: str, name: str, parent: str | None) -> _Waiting:
        if self.carrier is None and len(self._runs) >= _MOST_RUNS_ON_HOLD:
            # Whoever was to take them has not come.
            del self._runs[next(iter(self._runs))]
        # Text that cannot be encoded would take the lines of others with it.
        name = name if name.isascii() else name.encode(errors="replace").decode()
        run = self._runs[run_id] = _Waiting(name, parent)
        # A run that logs much takes nothing from those that log little.
        self._share = _MOST_BYTES_WAITING // len(self._runs)
        return run

    def _wake(self) -> None:
        if self.carrier is None:
            return
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._start_thread()
        self._filled.set()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._keep_sending, name="millstream-logs", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return  # The system has no more, or the program ends: a later line, or a flush, may still get through.
        self._thread = thread

    # -- on their way

    def use(self, carrier: Carrier) -> None:
        """Send by this carrier what was held until now."""
        self.carrier = carrier
        if self._runs:
            self._wake()

    def flush(self, run_ids: Iterable[str] | None, timeout: float) -> bool:
        """Send, in this thread, what has been logged, or what these runs have and those that they called.

        False if that took longer than `timeout` seconds. The next calls do not wait then, until something was sent.
        """
        return self._send(run_ids, 0.0 if self._is_stalled else timeout)

    def take(self, run_ids: Iterable[str]) -> list[Batch]:
        """What waits of these runs, which is not sent then."""
        with self._lock:
            found = [(run_id, self._runs.pop(run_id)) for run_id in run_ids if run_id in self._runs]
        return [batch for run_id, run in found for batch in self._packed(run_id, run)]

    def close(self) -> None:
        """Let the thread end."""
        self._closing.set()
        self._filled.set()

    def _keep_sending(self) -> None:
        while not self._closing.is_set():
            self._filled.wait()
            # Not sooner if much waits: of a run that logs so much, most would be dropped in the store.
            self._closing.wait(_INTERVAL_SECONDS)
            self._filled.clear()
            self._send(None, None)

    def _send(self, run_ids: Iterable[str] | None, timeout: float | None) -> bool:
        if self.carrier is None or not (self._runs or self._ready or self._outgoing or self._sending.locked()):
            return True
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._sending.acquire(timeout=-1 if timeout is None else timeout):
            self._is_stalled = True
            return False
        try:
            self._pack(run_ids)
            while self._outgoing:
                if not self.carrier.has_room(None if deadline is None else max(deadline - time.monotonic(), 0.0)):
                    self._is_stalled = True
                    return False
                self._send_some(self.carrier)
                self._is_stalled = False
        finally:
            self._sending.release()
            if self._outgoing:
                self._wake()
        return True

    def _pack(self, run_ids: Iterable[str] | None) -> None:
        """Make ready for sending what has been logged, or that part of it."""
        with self._lock:
            self._outgoing += self._ready
            self._ready.clear()
            self._ready_size = 0
            wanted = list(self._runs) if run_ids is None else self._family(set(run_ids))
            found = [(run_id, self._runs.pop(run_id)) for run_id in wanted]
        for run_id, run in found:
            self._outgoing += self._packed(run_id, run)

    def _family(self, run_ids: set[str]) -> list[str]:
        found: list[str] = []
        for run_id, run in self._runs.items():
            if run_id in run_ids or run.parent in run_ids:
                run_ids.add(run_id)
                found.append(run_id)
        return found

    def _packed(self, run_id: str, run: _Waiting) -> list[Batch]:
        """The lines of a run, in batches that can be sent at once."""
        first = round((run.lines[0][0] if run.lines else time.time()) * 1e6)
        dropped = run.dropped
        batches: list[Batch] = []
        for chunks in _groups(logs.pack(run.lines, self._most_lines)):
            logged = dropped + sum(map(logs.count, chunks))
            batches.append(Batch(run_id, run.name, first, logged, f"{self._source}-{next(self._numbers)}", chunks))
            dropped = 0
        return batches

    def _send_some(self, carrier: Carrier) -> None:
        """Send so much that whoever carries it has time for other things."""
        batches = [self._outgoing.popleft()]
        size = batches[0].size
        while self._outgoing and size + self._outgoing[0].size <= _MOST_BYTES_AT_ONCE:
            batches.append(self._outgoing.popleft())
            size += batches[-1].size
        try:
            carrier.send(batches)
        except Exception as lost:
            # Lines are not worth the run that logged them. They are counted with those that come next.
            with self._lock:
                for batch in (batch for batch in batches if batch.chunks):
                    run = self._runs.get(batch.run_id) or self._new_run(batch.run_id, batch.name, None)
                    run.dropped += batch.logged
            if time.monotonic() >= self._warn_at:
                self._warn_at = time.monotonic() + _SECONDS_BETWEEN_WARNINGS
                number = sum(batch.logged for batch in batches)
                _logger.warning("Lines of runs are not kept, %d for now: %s", number, lost)


def _groups(chunks: list[bytes]) -> Iterator[list[bytes]]:
    """The chunks, in lists of what may be sent at once; one empty list if there are none."""
    group: list[bytes] = []
    size = 0
    for chunk in chunks:
        if group and size + len(chunk) > _MOST_BYTES_AT_ONCE:
            yield group
            group, size = [], 0
        group.append(chunk)
        size += len(chunk)
    yield group


def _cut(text: str, longest: int) -> str:
    encoded = text.encode(errors="replace")
    if len(encoded) <= longest:
        return text
    return f"{encoded[:longest].decode(errors='ignore')}... ({len(encoded) - longest:,} bytes more)"


# --- the shipper of this process --------------------------------------------------------------------------------------

_shipper: Shipper | None = None


def begin(carrier: Carrier) -> bool:
    """From now on, send what is logged in this process; False if that is done already, or not wanted."""
    global _shipper
    if not get_settings().logs_to_redis or (_shipper is not None and _shipper.carrier is not None):
        return False
    if _shipper is None:
        _shipper = Shipper(carrier)
    else:
        _shipper.use(carrier)
    return True


def hold() -> None:
    """From now on, keep what is logged here for whoever takes it, unless it can be sent from here."""
    global _shipper
    if _shipper is None and get_settings().logs_to_redis:
        _shipper = Shipper(None)


def end(timeout: float) -> None:
    """Send what waits, for at most so many seconds, and nothing after that."""
    global _shipper
    shipper, _shipper = _shipper, None
    if shipper:
        shipper.flush(None, timeout)
        shipper.close()


def add(run_id: str, name: str, parent: str | None, line: Line) -> None:
    """Send this line of a run, if lines are sent from here. `parent` is the task run that the run is part of."""
    if _shipper is not None:
        _shipper.add(run_id, name, parent, line)


def flush(run_ids: Iterable[str] | None = None, timeout: float = 1.0) -> bool:
    """Send what waits, or what these runs have logged, for at most so many seconds; whether that was done."""
    return _shipper is None or _shipper.flush(run_ids, timeout)


def take(run_ids: Iterable[str]) -> list[Batch]:
    """The lines of these runs that wait here, for somebody else to send."""
    return _shipper.take(run_ids) if _shipper else []


def add_ready(batches: Iterable[Batch]) -> None:
    """Send what was taken elsewhere."""
    if _shipper is not None:
        _shipper.add_ready(batches)


def _forget() -> None:
    # What waits is sent by the parent, whose lock and thread these are. A fork that has means of its own begins anew.
    global _shipper
    _shipper = None


os.register_at_fork(after_in_child=_forget)
