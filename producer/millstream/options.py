"""What can be set on a task and on a flow: one record each, used by the decorator and by `with_options`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self, TypedDict

from millstream import hooks, names, timeouts
from millstream.retries import Delays, checked_count, checked_delay, checked_delays, checked_jitter
from millstream.runners.base import TaskRunner


class TaskKeywords(TypedDict, total=False):
    """The keywords of `@task` and `Task.with_options`."""

    name: str | None
    description: str | None
    tags: Iterable[str] | None
    version: str | None
    queue: str | None
    task_run_name: names.Template | None
    retries: int | None
    retry_delay_seconds: float | Sequence[float] | Callable[[int], Sequence[float]] | None
    retry_jitter_factor: float | None
    retry_condition_fn: Callable[..., Any] | None
    timeout_seconds: float | None
    log_prints: bool | None
    on_completion: Iterable[hooks.Hook] | None
    on_failure: Iterable[hooks.Hook] | None
    on_running: Iterable[hooks.Hook] | None


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """The options of one task. `queue` names the queue for its runs under a queue runner (None: the runner's own).

    `retries` None: as the settings say. `log_prints` None: as in the run around it.
    """

    name: str
    description: str | None = None
    tags: frozenset[str] = frozenset()
    version: str | None = None
    queue: str | None = None
    task_run_name: names.Template | None = None
    retries: int | None = None
    retry_delay_seconds: Delays = 0.0
    retry_jitter_factor: float | None = None
    retry_condition_fn: Callable[..., Any] | None = None
    timeout_seconds: float | None = None
    log_prints: bool | None = None
    on_completion: tuple[hooks.Hook, ...] = ()
    on_failure: tuple[hooks.Hook, ...] = ()
    on_running: tuple[hooks.Hook, ...] = ()

    def updated(self, **given: Any) -> Self:
        """A copy with `given` instead. Raises TypeError for an option that does not exist."""
        settled = _settled(given)
        if "retry_delay_seconds" in settled:
            count = settled.get("retries", self.retries) or 0
            settled["retry_delay_seconds"] = checked_delays(settled["retry_delay_seconds"], count)
        return replace(self, **settled)

    @classmethod
    def for_function(cls, name: str, description: str | None, given: TaskKeywords) -> Self:
        """Options as `given`, with name and description of the function where they are not."""
        return cls(name, description).updated(**given)


class FlowKeywords(TypedDict, total=False):
    """The keywords of `@flow` and `Flow.with_options`."""

    name: str | None
    description: str | None
    version: str | None
    task_runner: TaskRunner[Any] | type[TaskRunner[Any]] | None
    validate_parameters: bool
    flow_run_name: names.Template | None
    retries: int | None
    retry_delay_seconds: float | None
    timeout_seconds: float | None
    log_prints: bool | None
    on_completion: Iterable[hooks.Hook] | None
    on_failure: Iterable[hooks.Hook] | None
    on_running: Iterable[hooks.Hook] | None
    on_cancellation: Iterable[hooks.Hook] | None
    on_crashed: Iterable[hooks.Hook] | None


@dataclass(frozen=True, slots=True)
class FlowOptions:
    """The options of one flow. Without a task runner, each run takes the default one of the settings."""

    name: str
    description: str | None = None
    version: str | None = None
    task_runner: TaskRunner[Any] | None = None
    validate_parameters: bool = True
    flow_run_name: names.Template | None = None
    retries: int | None = None
    retry_delay_seconds: float = 0.0
    timeout_seconds: float | None = None
    log_prints: bool | None = None
    on_completion: tuple[hooks.Hook, ...] = ()
    on_failure: tuple[hooks.Hook, ...] = ()
    on_running: tuple[hooks.Hook, ...] = ()
    on_cancellation: tuple[hooks.Hook, ...] = ()
    on_crashed: tuple[hooks.Hook, ...] = ()

    def updated(self, **given: Any) -> Self:
        """A copy with `given` instead. Raises TypeError for an option that does not exist."""
        settled = _settled(given)
        if "retry_delay_seconds" in settled:
            settled["retry_delay_seconds"] = checked_delay(settled["retry_delay_seconds"])
        return replace(self, **settled)

    @classmethod
    def for_function(cls, name: str, description: str | None, given: FlowKeywords) -> Self:
        """Options as `given`, with name and description of the function where they are not."""
        return cls(name, description).updated(**given)

    def __post_init__(self) -> None:
        names.check(self.name)


def _settled(given: dict[str, Any]) -> dict[str, Any]:
    """`given` in the types of the record; a name of None keeps the one there is."""
    settled = dict(given)
    if settled.get("name", ...) is None:
        del settled["name"]
    for option in settled.keys() & _CHECKS.keys():
        settled[option] = _CHECKS[option](settled[option])
    for option in settled.keys() & _HOOKS:
        settled[option] = hooks.checked(settled[option], option)
    for option in settled.keys() & _NAMES:
        settled[option] = names.checked_template(settled[option], option)
    return settled


def _condition(given: Any) -> Callable[..., Any] | None:
    if given is not None and not callable(given):
        raise TypeError(f"retry_condition_fn takes a function of task, task run and state, got {given!r}.")
    return given


def _tags(given: Iterable[str] | None) -> frozenset[str]:
    if isinstance(given, str):
        raise TypeError(f"tags takes several texts, such as [{given!r}], not one text.")
    return frozenset(given or ())


def _task_runner(given: Any) -> TaskRunner[Any] | None:
    runner = given() if isinstance(given, type) else given
    if runner is not None and not isinstance(runner, TaskRunner):
        raise TypeError(f"task_runner takes a task runner or a class of one, got {runner!r}.")
    return runner  # pyright: ignore[reportUnknownVariableType]


def _print_choice(given: Any) -> bool | None:
    if given is not None and not isinstance(given, bool):
        raise TypeError(f"log_prints takes True, False or None, got {given!r}.")
    return given


_CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "tags": _tags,
    "task_runner": _task_runner,
    "retries": checked_count,
    "retry_jitter_factor": checked_jitter,
    "retry_condition_fn": _condition,
    "timeout_seconds": timeouts.checked,
    "log_prints": _print_choice,
}
_HOOKS: Final = frozenset({"on_completion", "on_failure", "on_running", "on_cancellation", "on_crashed"})
_NAMES: Final = frozenset({"task_run_name", "flow_run_name"})
