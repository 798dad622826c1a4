"""What every task runner does: it is entered by a flow run, and turns submitted parameters into futures."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from millstream import context, dependencies, mapping
from millstream.futures import Future, FutureList

if TYPE_CHECKING:
    from millstream.tasks import Task

F = TypeVar("F", bound=Future[Any], covariant=True)


class TaskRunner(ABC, Generic[F]):
    """A way to execute submitted task runs.

    Runs can be submitted while it is entered with `with`. A subclass gives `submit_batch`, and where it needs them
    `start`, `stop` and `configuration`.
    """

    _started = False

    @abstractmethod
    def submit_batch(
        self, task: "Task[..., Any]", batch: Sequence[dict[str, Any]], wait_for: Sequence[Any]
    ) -> list[Future[Any]]:
        """Submit one run of `task` for each dictionary of parameters; gives their futures, in order, at once."""

    def start(self) -> None:
        """Get ready; called on entering."""

    def stop(self, abandon: bool) -> None:
        """Let go of what `start` took; with `abandon`, without waiting for runs that have not ended."""

    def configuration(self) -> dict[str, Any]:
        """The keyword arguments that make an equal runner."""
        return {}

    @property
    def name(self) -> str:
        """The kind of runner in one lower-case word, such as `threadpool`."""
        return type(self).__name__.lower().removesuffix("taskrunner")

    def duplicate(self) -> Self:
        """A fresh runner with the same configuration, not started."""
        return type(self)(**self.configuration())

    def submit(self, task: "Task[..., Any]", parameters: dict[str, Any], wait_for: Any = None) -> Future[Any]:
        """Submit one run of `task`. Raises RuntimeError when the runner is not started."""
        return self._submit(task, [parameters], wait_for)[0]

    def map(self, task: "Task[..., Any]", parameters: dict[str, Any], wait_for: Any = None) -> FutureList[Any]:
        """Submit one run of `task` per element of those `parameters` that are iterable; see `Task.map`."""
        takes = task.parameters
        return self._submit(task, mapping.expand(parameters, takes.defaults, takes.variadic_keyword), wait_for)

    def _submit(self, task: "Task[..., Any]", batch: list[dict[str, Any]], wait_for: Any) -> FutureList[Any]:
        if not self._started:
            raise RuntimeError(f"{type(self).__name__} is not started: enter it with `with` before submitting.")
        if not batch:
            return FutureList()
        futures = self.submit_batch(task, batch, dependencies.as_sequence(wait_for))
        context.note_submitted(task, futures)
        return FutureList(futures)

    def __enter__(self) -> Self:
        if self._started:
            raise RuntimeError(f"{type(self).__name__} is started already: use `duplicate()` for another run.")
        self.start()
        self._started = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        self._started = False
        self.stop(abandon=kind is not None and not issubclass(kind, Exception))

    def __reduce__(self) -> tuple[Any, ...]:
        # A runner travels as its configuration: pools and connections stay where they are.
        return _configured, (type(self), self.configuration())

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.configuration() == other.configuration()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        given = ", ".join(f"{key}={value!r}" for key, value in self.configuration().items())
        return f"{type(self).__name__}({given})"


def _configured(kind: type[TaskRunner[Any]], configuration: dict[str, Any]) -> TaskRunner[Any]:
    return kind(**configuration)
