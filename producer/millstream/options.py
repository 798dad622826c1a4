"""What can be set on a task and on a flow: one record each, used by the decorator and by `with_options`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self, TypedDict

from millstream import names
from millstream.runners.base import TaskRunner


class TaskKeywords(TypedDict, total=False):
    """The keywords of `@task` and `Task.with_options`."""

    name: str | None
    description: str | None
    tags: Iterable[str] | None
    version: str | None
    queue: str | None


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """The options of one task. `queue` names the queue for its runs under a queue runner (None: the runner's own)."""

    name: str
    description: str | None = None
    tags: frozenset[str] = frozenset()
    version: str | None = None
    queue: str | None = None

    def updated(self, **given: Any) -> Self:
        """A copy with `given` instead. Raises TypeError for an option that does not exist."""
        return replace(self, **_settled(given))

    @classmethod
    def for_function(cls, name: str, description: str | None, given: TaskKeywords) -> Self:
        """Options as `given`, with name and description of the function where they are not."""
        return replace(cls(name, description), **_settled(dict(given)))


class FlowKeywords(TypedDict, total=False):
    """The keywords of `@flow` and `Flow.with_options`."""

    name: str | None
    description: str | None
    version: str | None
    task_runner: TaskRunner[Any] | type[TaskRunner[Any]] | None
    validate_parameters: bool


@dataclass(frozen=True, slots=True)
class FlowOptions:
    """The options of one flow. Without a task runner, each run takes the default one of the settings."""

    name: str
    description: str | None = None
    version: str | None = None
    task_runner: TaskRunner[Any] | None = None
    validate_parameters: bool = True

    def updated(self, **given: Any) -> Self:
        """A copy with `given` instead. Raises TypeError for an option that does not exist."""
        return replace(self, **_settled(given))

    @classmethod
    def for_function(cls, name: str, description: str | None, given: FlowKeywords) -> Self:
        """Options as `given`, with name and description of the function where they are not."""
        return replace(cls(name, description), **_settled(dict(given)))

    def __post_init__(self) -> None:
        names.check(self.name)


def _settled(given: dict[str, Any]) -> dict[str, Any]:
    """`given` in the types of the record; a name of None keeps the one there is."""
    settled = dict(given)
    if settled.get("name", ...) is None:
        del settled["name"]
    if "tags" in settled:
        settled["tags"] = _tags(settled["tags"])
    if "task_runner" in settled:
        settled["task_runner"] = _task_runner(settled["task_runner"])
    return settled


def _tags(given: Iterable[str] | None) -> frozenset[str]:
    if isinstance(given, str):
        raise TypeError(f"tags takes several texts, such as [{given!r}], not one text.")
    return frozenset(given or ())


def _task_runner(given: Any) -> TaskRunner[Any] | None:
    runner = given() if isinstance(given, type) else given
    if runner is not None and not isinstance(runner, TaskRunner):
        raise TypeError(f"task_runner takes a task runner or a class of one, got {runner!r}.")
    return runner  # pyright: ignore[reportUnknownVariableType]
