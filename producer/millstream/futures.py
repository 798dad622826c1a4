"""The handle of a run that was submitted: ask it for the state, wait for it, take its result, or await it."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar, cast

from millstream import waiting
from millstream.waiting import DoneAndNotDoneFutures, as_completed, blocking, set_blocking_hook, wait
from millstream_shared import ids, states
from millstream_shared.states import State

__all__ = [
    "DoneAndNotDoneFutures",
    "Future",
    "FutureList",
    "PrefectFuture",
    "PrefectFutureList",
    "as_completed",
    "blocking",
    "future_of",
    "resolve_futures_to_results",
    "resolve_futures_to_states",
    "set_blocking_hook",
    "wait",
]

R = TypeVar("R", covariant=True)
T = TypeVar("T")
Outcome = State[Any] | Callable[[], State[Any]]
_logger = logging.getLogger("millstream.futures")

# One lock for all futures: it is held for a few instructions only, and ten thousand futures need no lock each. Like all
# locks that calls of the API take it can be entered again: between any two instructions the garbage collector may end a
# generator, or a signal's handler begin, that makes such a call.
_lock = threading.RLock()


class Future(Generic[R]):
    """A run that was submitted.

    `run_id` (32 hex digits) and `name` are known from the start. Whoever executes the run calls `complete` once.
    `live_state` gives, by run id, the latest state known before that (default: Pending). `stored` says that the outcome
    will be in the store, where any process finds it by the id. A future can be awaited, and is equal only to itself.
    """

    __slots__ = ("__weakref__", "_callbacks", "_decoder", "_done", "_live_state", "_state", "name", "run_id", "stored")

    def __init__(
        self, run_id: str, name: str, live_state: Callable[[str], State[Any]] | None = None, stored: bool = False
    ) -> None:
        self.run_id = run_id
        self.name = name
        self.stored = stored
        self._live_state = live_state
        self._callbacks: list[Callable[[Future[R]], object]] | None = None
        self._done = False
        self._state: State[Any] | None = None
        self._decoder: Callable[[], State[Any]] | threading.Event | None = None

    @property
    def id(self) -> uuid.UUID:
        """The run's id."""
        return uuid.UUID(hex=self.run_id)

    @property
    def task_run_id(self) -> uuid.UUID:
        """The run's id, known before the run starts."""
        return self.id

    @property
    def flow_run_id(self) -> uuid.UUID:
        """The same, of a flow that was submitted."""
        return self.id

    @property
    def state(self) -> State[R]:
        """The latest state known, without waiting."""
        if self._done:
            return self._decoded()
        return self._live_state(self.run_id) if self._live_state else states.Pending()

    def done(self) -> bool:
        """Whether the run has ended, one way or another."""
        return self._done

    def wait(self, timeout: float | None = None) -> None:
        """Block until the run has ended, or `timeout` seconds (default: no limit) have passed. Raises for neither.

        Raises ValueError for a negative timeout.
        """
        if timeout is not None:
            waiting.check_timeout(timeout)
        if not self._done:
            waiting.wait_for_all((self,), timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """The run's value, waiting for it at most `timeout` seconds (default: no limit).

        A failed run raises its own exception object, or gives it as the value when `raise_on_failure` is false. Raises
        TimeoutError when time is up, UnfinishedRun when the run never started because of an upstream failure,
        CrashedRun, CancelledRun or MissingResult as the state says.
        """
        self.wait(timeout)
        if not self._done:
            raise TimeoutError(f"Run {self.name!r} ({self.run_id}) did not end within {timeout} seconds.")
        return states.value_of(self._decoded(), raise_on_failure)

    def add_done_callback(self, function: Callable[[Future[R]], object]) -> None:
        """Call `function(future)` once the run has ended: here and now if it has, else in the thread that ends it."""
        self.when_done(function)

    def __await__(self) -> Generator[Any, None, R]:
        if not self._done:
            yield from waiting.ended(self)
        state = self._decoded()
        if isinstance(state.held, states.Elsewhere):
            return (yield from state.aresult().__await__())
        return states.value_of(state)

    def __repr__(self) -> str:
        return f"<Future {self.name!r} {self.state}>"

    # --- for those who execute runs and those who wait for them ---

    def complete(self, outcome: Outcome) -> None:
        """Tell the outcome: a state, or a callable that gives it, called once when somebody first asks.

        Only the first call counts: an outcome does not change.
        """
        with _lock:
            if self._done:
                return
            if isinstance(outcome, State):
                self._state = outcome
            else:
                self._decoder = outcome
            self._done = True
            callbacks, self._callbacks = self._callbacks, None
        self._live_state = None
        for callback in callbacks or ():
            self._call(callback)

    def when_done(self, callback: Callable[[Future[Any]], object]) -> None:
        """Register `callback`, or call it at once if the run has ended."""
        alone = [callback]
        with _lock:
            if not self._done:
                if self._callbacks is None:
                    self._callbacks = alone
                else:
                    self._callbacks.append(callback)
                return
        self._call(callback)

    def forget(self, callback: Callable[[Future[Any]], object]) -> None:
        """Take `callback` back, if it has not been called."""
        with _lock:
            if self._callbacks and callback in self._callbacks:
                self._callbacks.remove(callback)

    def _call(self, callback: Callable[[Future[Any]], object]) -> None:
        try:
            callback(self)
        except Exception:
            _logger.exception("A callback of run %r failed", self.name)

    def _decoded(self) -> State[Any]:
        if self._state is None:
            reading, read = self._claim()
            if reading is None:
                read.wait()
            else:
                self._state = _state_from(reading)
                read.set()
        return cast("State[Any]", self._state)

    def _claim(self) -> tuple[Callable[[], State[Any]] | None, threading.Event]:
        """The decoder for the one thread that shall call it, None for others, and the event that it has been called."""
        has_been_called = threading.Event()
        with _lock:
            if isinstance(self._decoder, threading.Event):
                return None, self._decoder
            decoder, self._decoder = self._decoder, has_been_called
            return decoder, has_been_called


def _state_from(decoder: Callable[[], State[Any]]) -> State[Any]:
    try:
        return decoder()
    except Exception as error:
        return states.Failed(message=f"The outcome could not be read: {error!r}", data=error)


class FutureList(list[Future[T]]):
    """The futures of one `.map`, in the order of its elements. It is a list, and can be awaited."""

    def wait(self, timeout: float | None = None) -> None:
        """Block until all have ended, or `timeout` seconds (default: no limit) have passed."""
        waiting.wait(self, timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[T]:
        """All values, in list order.

        Raises the first failure to happen without waiting for the rest; with `raise_on_failure=False` exceptions stand
        in place of values. Raises TimeoutError when `timeout` seconds pass first, ValueError for a negative timeout.
        """
        for future in waiting.as_completed(self, timeout):
            future.result(raise_on_failure=raise_on_failure)
        return [future.result(raise_on_failure=raise_on_failure) for future in self]

    def __await__(self) -> Generator[Any, None, list[T]]:
        return self._values().__await__()

    async def _values(self) -> list[T]:
        async for future in waiting.as_completed(self):
            await future
        return [await future for future in self]


def future_of(run_id: uuid.UUID | str) -> Future[Any]:
    """The future of a submitted run of which no more is known than its id, in whatever process that is asked for.

    Its outcome is kept as long as the records of runs, by default a week; after that, as for an id that never was, the
    future ends as Crashed, with a RunLost. Raises ValueError for what is no id.
    """
    from millstream import sessions  # only who has such an id needs one here

    known = ids.digits_of(run_id)
    session = sessions.current()
    future: Future[Any] = Future(known, known, session.live_state, stored=True)
    session.follow(future)
    return future


PrefectFuture = Future
PrefectFutureList = FutureList


def resolve_futures_to_states(expression: Any) -> Any:
    """A copy of `expression` in which every future, at any depth, is replaced by its final state; waits for them.

    Without futures, the same object. A FutureList becomes a plain list; what stands inside `quote` is left alone.
    """
    return _replaced(expression, lambda future: future.state)


def resolve_futures_to_results(expression: Any) -> Any:
    """The same with values. Raises the exception of a run that did not complete."""
    return _replaced(expression, lambda future: future.result())


def _replaced(expression: Any, replacement: Callable[[Future[Any]], Any]) -> Any:
    from millstream import dependencies  # it imports this module

    return dependencies.replace_futures(expression, replacement)
