"""What has been run in an environment of `workflows`, and assertions about it."""

import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast, overload

from millstream import log_reading, log_shipping, runs, sessions
from millstream.flows import Flow
from millstream.futures import Future
from millstream.runs import TaskRun
from millstream.tasks import Task
from millstream.testing import texts
from millstream_shared import errors, states
from millstream_shared.states import State, StateType

E = TypeVar("E", bound=BaseException)
Function = Task[..., Any] | Flow[..., Any]


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stood when it was asked for.

    `function` is the name of its task or flow, `parameters` are those with which the function was called, futures
    replaced by values. `run_count` says how often it was called.
    """

    id: uuid.UUID
    name: str
    function: str
    is_flow: bool
    parameters: dict[str, Any]
    state: State[Any]
    run_count: int
    tags: frozenset[str]
    parent_id: uuid.UUID | None

    def result(self) -> Any:
        """Its value. Raises the exception of a run that failed, UnfinishedRun for one that has not ended."""
        return states.value_of(self.state)


class Runs:
    """What `workflows()` gives: the runs of its flows and tasks, in the order in which they began."""

    def __init__(self, wait_until_done: Callable[[float], bool]) -> None:
        self._wait_until_done = wait_until_done
        self._seen: dict[str, runs.Run] = {}
        self._lock = threading.Lock()

    def note(self, run: runs.Run) -> None:
        """Take notice of a run that has come to another state."""
        with self._lock:
            self._seen[run.run_id] = run

    def all(self) -> list[Run]:
        """All of them, of flows and of tasks; not those that an own process of some task runner executed."""
        with self._lock:
            seen = list(self._seen.values())
        return [_described(run) for run in seen]

    def of(self, function: Function) -> list[Run]:
        """The runs of a task or flow, by its name."""
        is_flow = isinstance(function, Flow)
        return [run for run in self.all() if run.is_flow is is_flow and run.function == function.name]

    def unfinished(self) -> list[Run]:
        """Those that have begun and not ended."""
        return [run for run in self.all() if not run.state.is_final() and not _is_refused(run.state)]

    def lines(self, run: Run) -> list[str]:
        """The log of a run, oldest line first: what it has logged, and when it failed, why."""
        log_shipping.flush()
        sessions.current().recorder.flush()
        try:
            return [line.message for line in log_reading.read_logs(run.id, task=run.id.hex)]
        except errors.ObjectNotFound:
            # Nothing is kept of what is called outside of flows.
            return []

    def tree(self) -> str:
        """A text for people: what ran within what, how it ended, and what it logged if it did not complete."""
        return texts.tree(self.all(), self.lines)

    def finish(self, timeout: float = 10.0) -> None:
        """Wait for runs that nobody else waits for, such as those of `.delay`; also for all that they submit.

        Raises AssertionError, naming what is left, after `timeout` seconds.
        """
        if not self._wait_until_done(timeout):
            raise self._failure(f"There are unfinished runs after {timeout:g} seconds")

    # -- assertions: AssertionError, with what is known of the runs

    def assert_completed(self, what: Any) -> Any:
        """A future, state or run completed, or all runs of a task or flow did, of which there is one at least.

        Waits for a future. Gives the value, or, for a task or flow, the values.
        """
        __tracebackhide__ = True
        if isinstance(what, Task | Flow):
            return [self.assert_completed(run) for run in self._some(cast("Function", what))]
        state = _state_of(what)
        if state.type is not StateType.COMPLETED:
            raise self._failure(f"Expected {_name_of(what)} to be Completed, but it is {texts.told(state)}")
        return states.value_of(state)

    @overload
    def assert_failed(self, what: Any, *, match: str | None = None) -> Exception: ...
    @overload
    def assert_failed(self, what: Any, error: type[E], match: str | None = None) -> E: ...
    def assert_failed(self, what: Any, error: Any = Exception, match: str | None = None) -> Any:
        """A future, state or run failed with an `error` whose text the pattern `match` is found in; gives the error.

        Of a task or flow, the last run is meant.
        """
        __tracebackhide__ = True
        if isinstance(what, Task | Flow):
            what = self._some(cast("Function", what))[-1]
        state = _state_of(what)
        failure = _failure_of(state)
        if state.type is not StateType.FAILED or not isinstance(failure, error):
            raise self._failure(
                f"Expected {_name_of(what)} to have failed with {error.__name__}, but it is {texts.told(state)}"
            )
        if match is not None and not re.search(match, str(failure)):
            raise self._failure(f"{_name_of(what)} failed, but its error does not match {match!r}: {failure!r}")
        return failure

    def assert_called(self, function: Function, times: int | None = None) -> None:
        """There are runs of the task or flow, or so many. 0: none."""
        __tracebackhide__ = True
        count = len(self.of(function))
        if (times is None and not count) or (times is not None and times != count):
            wanted = "any runs" if times is None else f"{times} runs" if times != 1 else "1 run"
            raise self._failure(f"Expected {wanted} of {function.name!r}, found {count}")

    def assert_called_with(self, function: Function, /, *args: Any, **kwargs: Any) -> None:
        """One of the runs of the task or flow was called with equal arguments, defaults included."""
        __tracebackhide__ = True
        wanted = function.bind(args, kwargs)
        found = [run.parameters for run in self.of(function)]
        if wanted not in found:
            expected, *calls = (texts.call(function.name, each, function.parameters.names) for each in (wanted, *found))
            told = "\n".join(f"  {call}" for call in calls) or "  (no call)"
            raise self._failure(f"Expected {expected} among the calls:\n{told}")

    def _some(self, function: Function) -> list[Run]:
        __tracebackhide__ = True
        self.assert_called(function)
        return self.of(function)

    def _failure(self, message: str) -> AssertionError:
        return AssertionError(f"{message}\n\n{self.tree()}")


def _described(run: runs.Run) -> Run:
    parent = run.parent_task_run_id
    if isinstance(run, TaskRun):
        function, is_flow, around = run.task_name, False, run.flow_run_id
    else:
        function, is_flow, around = run.flow_name, True, run.parent_flow_run_id
    parent = parent or around
    return Run(
        run.id,
        run.name,
        function,
        is_flow,
        dict(run.parameters),
        run.state,
        run.run_count,
        run.tags,
        uuid.UUID(hex=parent) if parent else None,
    )


def _is_refused(state: State[Any]) -> bool:
    """Whether a run is in a state that is not final, and yet the last: something that it needed did not complete."""
    return state.is_pending() and state.name == "NotReady"


def _state_of(what: Any) -> State[Any]:
    if isinstance(what, Future):
        cast("Future[Any]", what).wait()
    if isinstance(what, Future | Run):
        return cast("Run", what).state
    if isinstance(what, State):
        return cast("State[Any]", what)
    raise TypeError(f"Takes a future, a state, a run, a task or a flow, got {what!r}.")


def _failure_of(state: State[Any]) -> BaseException | None:
    """What asking for the result raises."""
    try:
        states.value_of(state)
    except BaseException as failure:
        return failure
    return None


def _name_of(what: Any) -> str:
    name = getattr(what, "run_name" if isinstance(what, State) else "name", None)
    return f"run {name!r}" if name else "the state"
