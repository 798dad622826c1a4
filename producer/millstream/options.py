"""What can be set on a task and on a flow: one record each, used by the decorator and by `with_options`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict

from millstream import hooks, names, result_options, timeouts
from millstream.result_options import Manner
from millstream.retries import Delays, checked_count, checked_delay, checked_delays, checked_jitter
from millstream.runners.base import TaskRunner

if TYPE_CHECKING:
    from millstream.cache_policies import CacheKeyFn, CachePolicy
    from millstream.transactions import TransactionHook


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
    on_commit: "Iterable[TransactionHook] | None"
    on_rollback: "Iterable[TransactionHook] | None"
    cache_policy: "CachePolicy | None"
    cache_key_fn: "CacheKeyFn | None"
    cache_expiration: timedelta | float | None
    refresh_cache: bool | None
    persist_result: bool | None
    result_storage: Any
    result_serializer: Any
    result_storage_key: str | None
    cache_result_in_memory: bool


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """The options of one task. `queue` names the queue for its runs under a queue runner (None: the runner's own).

    `retries` and `refresh_cache` None: as the settings say. `log_prints` and `results` None: as in the run around it.
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
    on_commit: "tuple[TransactionHook, ...]" = ()
    on_rollback: "tuple[TransactionHook, ...]" = ()
    cache_policy: "CachePolicy | None" = None
    cache_key_fn: "CacheKeyFn | None" = None
    cache_expiration: timedelta | float | None = None
    refresh_cache: bool | None = None
    persist_result: bool | None = None
    result_storage: Any = None
    result_serializer: Any = None
    result_storage_key: str | None = None
    cache_result_in_memory: bool = True
    results: Manner | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        has_key = (
            self.cache_key_fn is not None
            or self.result_storage_key is not None
            or (self.cache_policy is not None and result_options.caches(self.cache_policy))
        )
        manner = result_options.manner(
            self.persist_result, self.result_storage, self.result_serializer, has_key=has_key
        )
        object.__setattr__(self, "results", manner)

    def updated(self, **given: Any) -> Self:
        """A copy with `given` instead. Raises TypeError for an option that does not exist."""
        settled = _settled(given, TaskKeywords, "task")
        result_options.warn_of_contradictions(self.name, settled)
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
    queue: str | None
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
    persist_result: bool | None
    result_storage: Any
    result_serializer: Any
    cache_result_in_memory: bool


@dataclass(frozen=True, slots=True)
class FlowOptions:
    """The options of one flow. Without a task runner, each run takes the default one of the settings."""

    name: str
    description: str | None = None
    version: str | None = None
    queue: str | None = None
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
    persist_result: bool | None = None
    result_storage: Any = None
    result_serializer: Any = None
    cache_result_in_memory: bool = True
    results: Manner | None = field(init=False, default=None)

    def updated(self, **given: Any) -> Self:
        """A copy with `given` instead. Raises TypeError for an option that does not exist."""
        settled = _settled(given, FlowKeywords, "flow")
        if "retry_delay_seconds" in settled:
            settled["retry_delay_seconds"] = checked_delay(settled["retry_delay_seconds"])
        return replace(self, **settled)

    @classmethod
    def for_function(cls, name: str, description: str | None, given: FlowKeywords) -> Self:
        """Options as `given`, with name and description of the function where they are not."""
        return cls(name, description).updated(**given)

    def __post_init__(self) -> None:
        names.check(self.name)
        manner = result_options.manner(self.persist_result, self.result_storage, self.result_serializer)
        object.__setattr__(self, "results", manner)


def _settled(given: dict[str, Any], known: type[TaskKeywords | FlowKeywords], kind: str) -> dict[str, Any]:
    """`given` in the types of the record; a name of None keeps the one there is."""
    unknown = next(iter(given.keys() - known.__annotations__.keys()), None)
    if unknown is not None:
        raise TypeError(_unknown_option(unknown, list(known.__annotations__), kind))
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


def _unknown_option(name: str, known: list[str], kind: str) -> str:
    import difflib  # for this case alone

    close = difflib.get_close_matches(name, known, 1)
    advice = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}."
    return f"A {kind} has no option {name!r}: {advice}"


def _name(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError(f"A name is a str, got {type(given).__name__}: {given!r}.")
    return given


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
    "name": _name,
    "tags": _tags,
    "task_runner": _task_runner,
    "retries": checked_count,
    "retry_jitter_factor": checked_jitter,
    "retry_condition_fn": _condition,
    "timeout_seconds": timeouts.checked,
    "log_prints": _print_choice,
    **result_options.CHECKS,
}
_HOOKS: Final = frozenset(
    {"on_completion", "on_failure", "on_running", "on_cancellation", "on_crashed", "on_commit", "on_rollback"}
)
_NAMES: Final = frozenset({"task_run_name", "flow_run_name"})
