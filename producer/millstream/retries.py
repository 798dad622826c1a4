"""When a run that failed is tried again, and after how long."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from millstream import drivers, run_logging
from millstream_shared import states
from millstream_shared.states import State, StateType

if TYPE_CHECKING:
    from millstream.runs import FlowRun, TaskRun

Delays = float | tuple[float, ...]
"""Seconds before each retry: the same for all, or one each, of which the last goes on being used."""
_MOST_DELAYS: Final = 50

delays_are_off = False
"""Set in tests of users' flows: what would wait is tried again at once."""


def exponential_backoff(backoff_factor: float) -> Callable[[int], list[float]]:
    """For `retry_delay_seconds`: `backoff_factor` seconds before the first retry, then twice as long each time.

    As in Prefect 3. At most 50 delays are made; further retries use the last one. Raises TypeError for what is no
    number, ValueError for a negative one.
    """
    if not _is_number(backoff_factor):
        raise TypeError(f"backoff_factor takes a number of seconds, got {backoff_factor!r}.")
    if backoff_factor < 0:
        raise ValueError(f"backoff_factor is a number of seconds, 0 or more; got {backoff_factor}.")

    def delays(retries: int) -> list[float]:
        return [backoff_factor * 2**i for i in range(min(retries, _MOST_DELAYS))]

    return delays


def checked_count(given: Any) -> int | None:
    """`retries` as an option takes it. Raises TypeError or ValueError."""
    if given is None:
        return None
    if not isinstance(given, int):
        raise TypeError(f"retries takes a whole number, got {given!r}.")
    if given < 0:
        raise ValueError(f"retries is 0 or more, got {given}.")
    return given


def checked_delays(given: Any, retries: int) -> Delays:
    """`retry_delay_seconds` as an option takes it: a number, several, or a function from `retries` to several.

    Raises TypeError for anything else, ValueError for a negative delay or more than 50 of them.
    """
    if callable(given):
        given = cast("Callable[[int], Any]", given)(retries)
    if given is None:
        return 0.0
    if _is_number(given):
        return float(_not_negative(given))
    if not isinstance(given, Sequence) or isinstance(given, str) or not all(map(_is_number, cast("Any", given))):
        raise TypeError(
            f"retry_delay_seconds takes a number of seconds, a list of them, or a function that gives one of these; "
            f"got {given!r}."
        )
    delays = cast("Sequence[float]", given)
    if len(delays) > _MOST_DELAYS:
        raise ValueError(f"retry_delay_seconds takes at most {_MOST_DELAYS} delays, got {len(delays)}.")
    return tuple(float(_not_negative(delay)) for delay in delays) or 0.0


def checked_delay(given: Any) -> float:
    """The same for a flow, which has one delay only."""
    if given is not None and not _is_number(given):
        raise TypeError(f"retry_delay_seconds of a flow takes a number of seconds, got {given!r}.")
    return float(_not_negative(given or 0))


def checked_jitter(given: Any) -> float | None:
    """`retry_jitter_factor` as an option takes it. Raises TypeError or ValueError."""
    if given is None:
        return None
    if not _is_number(given):
        raise TypeError(f"retry_jitter_factor takes a number, got {given!r}.")
    if given < 0:
        raise ValueError(f"retry_jitter_factor is 0 or more, got {given}.")
    return float(given)


def _is_number(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool)


def _not_negative(seconds: float) -> float:
    if seconds < 0:
        raise ValueError(f"retry_delay_seconds is 0 or more, got {seconds}.")
    return seconds


def seconds_before(delays: Delays, tries: int, jitter: float | None) -> float:
    """How long to wait after `tries` tries; with `jitter` f, spread evenly between delay / (1 + f) and delay * (1 + f).

    (Prefect draws from a Poisson distribution between the same bounds.)
    """
    if delays_are_off:
        return 0.0
    delay = delays[min(tries, len(delays)) - 1] if isinstance(delays, tuple) else delays
    return random.uniform(delay / (1 + jitter), delay * (1 + jitter)) if jitter else delay


def are_left(run: "TaskRun | FlowRun", state: State[Any], retries: int) -> bool:
    """Whether a run that has come to `state` may be tried again. Counts the try."""
    if state.type is not StateType.FAILED or run.is_left:
        return False
    run.tries += 1
    return run.tries <= retries


def is_wanted(
    condition: Callable[..., Any] | None, task: Any, run: "TaskRun", state: State[Any]
) -> drivers.Steps[bool]:
    """Whether the task's `retry_condition_fn` agrees; one that raises does not."""
    if condition is None:
        return True
    try:
        return bool((yield from drivers.returned(condition(task, run, state))))
    except Exception as error:
        run_logging.task_run_failed(run, error, "The retry condition raised %r: the run is not tried again")
        return False


def awaiting(seconds: float, failure: State[Any]) -> State[Any]:
    """The state of a run that waits for its next try."""
    due = datetime.now(UTC) + timedelta(seconds=seconds)
    return states.AwaitingRetry(scheduled_time=due, message=failure.message)
