"""`workflows`: a server in memory and a worker in threads, for as long as a `with` lasts."""

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from millstream import retries, runs, sessions
from millstream.testing.observations import Runs
from millstream_shared import config_files, entrypoints, errors, memory
from millstream_shared.settings import KNOWN, get_settings

if TYPE_CHECKING:
    from millstream.store_session import Session

_PREFIX: Final = "MILLSTREAM_"
# A string, as the producer does not import the worker.
_WORKER: Final = "millstream_worker.in_process:InProcessWorker"
_ENDING: Final = (
    "millstream-claims",
    "millstream-bell",
    "millstream-slot",
    "millstream-watcher",
    "millstream-recorder",
    "millstream-logs",
)
"""Names of the threads that end with an environment, or what they begin with."""
_OWN: Final = frozenset({"redis_url", "lease_seconds"})
"""Settings that it makes itself."""
_SECONDS_TO_END: Final = 0.5

_entered = threading.Lock()


class Worker(Protocol):
    """What a worker in this process can do."""

    def serve(self, queue: str) -> None: ...
    def unfinished(self) -> dict[str, str]: ...
    def wait_until_done(self, timeout: float) -> bool: ...
    def close(self) -> None: ...


@contextmanager
def workflows(*, threads: int = 1, timeout: float = 10.0, **settings: Any) -> Generator[Runs]:
    """Run flows in this process only: a server in memory, a worker in `threads` threads, no delays before retries.

    With one thread, the default, sync runs are executed one after the other, so a test does the same each time; a run
    that waits for others lets them go on. (Runs that have to meet need a thread each.) Async runs go on side by side.
    `settings` are those of MILLSTREAM_* variables, in lower case and without the prefix, such as
    `default_task_runner="threads"`; others have their defaults, whatever the environment says, except for the logging
    level.

    Gives `Runs`: what has been run, and assertions about it. At the end everything is as before: threads have ended,
    the server is gone. Runs that nobody waits for (`.delay`) are waited for, `timeout` seconds at most.

    Raises ConfigurationError without `millstream[testing]`, within another `workflows()`, and for settings that do not
    exist or fit; ValueError for fewer than one thread; AssertionError at the end, naming them, if runs have not ended
    in time. Another session of this process is closed before, and opened again when it is needed.
    """
    if threads < 1:
        raise ValueError(f"testing.workflows() needs a thread to execute runs in, got threads={threads}.")
    if not _entered.acquire(blocking=False):
        raise errors.ConfigurationError(
            "testing.workflows() is entered already: it cannot be nested, nor be used by two threads at once. Leave "
            "the `with` around this one first; a fixture and a test that both enter it are the usual cause."
        )
    try:
        with memory.server() as url, _variables(settings, url), _no_delays():
            yield from _environment(threads, timeout)
    finally:
        _entered.release()


def _environment(threads: int, timeout: float) -> Generator[Runs]:
    sessions.close_current()
    before = set(threading.enumerate())
    worker, session, observed = _opened(threads)
    try:
        yield observed
        _check_finished(worker, observed, timeout)
    finally:
        runs.observer = None
        _close(worker, session, before)


def _opened(threads: int) -> "tuple[Worker, Session, Runs]":
    from millstream.store_session import Session  # brings the Redis client

    store = sessions.open_store(get_settings())
    make: Callable[..., Worker] = entrypoints.load(_WORKER)
    worker = make(store, threads)
    session = Session(store, is_local=False, serve=worker.serve)
    sessions.use(session)
    observed = Runs(worker.wait_until_done)
    runs.observer = observed.note
    return worker, session, observed


def _check_finished(worker: Worker, observed: Runs, timeout: float) -> None:
    worker.wait_until_done(timeout)
    left = [*worker.unfinished().values(), *(run.name for run in observed.unfinished())]
    if left:
        names = ", ".join(repr(name) for name in dict.fromkeys(left))
        message = f"Left unfinished at the end of testing.workflows(), after {timeout:g} seconds: {names}."
        raise AssertionError(f"{message}\n\n{observed.tree()}")


def _close(worker: Worker, session: "Session", before: set[threading.Thread]) -> None:
    sessions.close_current()
    session.watcher.wake()
    worker.close()
    deadline = time.monotonic() + _SECONDS_TO_END
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith(_ENDING):
            thread.join(max(deadline - time.monotonic(), 0.0))


@contextmanager
def _no_delays() -> Generator[None]:
    before, retries.delays_are_off = retries.delays_are_off, True
    try:
        yield
    finally:
        retries.delays_are_off = before


@contextmanager
def _variables(given: dict[str, Any], url: str) -> Generator[None]:
    """Settings as given, and else their defaults, but for leases: who steps through a test may take an hour."""
    known = KNOWN.keys() - _OWN
    unknown = given.keys() - known
    if unknown:
        raise errors.ConfigurationError(
            f"testing.workflows() takes settings, but none named {', '.join(map(repr, sorted(unknown)))}. "
            f"Those that it takes: {', '.join(sorted(known))}."
        )
    before = {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}
    logged = {"logging_level": get_settings().logging_level}
    chosen = {**logged, "lease_seconds": 1e6, **given, "redis_url": url}
    try:
        variables = {_PREFIX + name.upper(): str(value) for name, value in chosen.items()}
        _replace_variables(variables | {config_files.VARIABLE: ""})
        get_settings()
        yield
    finally:
        _replace_variables(before)


def _replace_variables(variables: dict[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith(_PREFIX)]:
        del os.environ[name]
    os.environ.update(variables)
    get_settings.cache_clear()
