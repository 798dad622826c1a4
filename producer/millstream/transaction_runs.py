"""Task runs as parts of transactions: those of this process, and those that a worker executes."""

from typing import TYPE_CHECKING, Any, cast

from millstream import caching, context, drivers, recording, sessions
from millstream.futures import Future
from millstream.transactions import CommitMode, Transaction, TransactionState
from millstream_shared import values
from millstream_shared.settings import get_settings
from millstream_shared.states import State

if TYPE_CHECKING:
    from millstream.keeping import Keeping
    from millstream.runs import TaskRun
    from millstream.tasks import Task
    from millstream_shared.kept import Kept

_ROLLED_BACK = "The run was rolled back with its transaction."


class LocalRun(Transaction):
    """A run that is executed here. What it leaves is kept when it commits, if it stands within another transaction."""

    def __init__(self, task: "Task[..., Any]", run: "TaskRun", keeping: "Keeping | None") -> None:
        super().__init__()
        self._task = task
        self._run = run
        self._keeping = keeping
        self._ended: State[Any] | None = None

    def ended(self, state: State[Any]) -> drivers.Steps[None]:
        """The run has come to `state`: leave, with what is to be committed or with an error."""
        if not state.is_completed():
            yield from self.leaving(RuntimeError(str(state)))
            return
        self._ended = state
        if state.name != "Cached":
            self.stage(None, self._task.on_rollback_hooks, self._task.on_commit_hooks)
        yield from self.leaving(None)

    def write(self) -> None:
        """Keep the result."""
        if self._keeping is not None and self.parent is not None and self._is_new:
            self._keeping.keep(cast("State[Any]", self._ended))

    def let_go(self) -> None:
        """Let equal runs go on."""
        super().let_go()
        if self._keeping is not None and self.parent is not None:
            self._keeping.close()

    def undone(self) -> drivers.Steps[None]:
        """Say so in the state and in the record."""
        state = self._ended
        if state is not None:
            _mark(state)
            if self._run.state is state and self._run.flow_run_id is not None:
                yield drivers.Call(recording.run_rolled_back, (self._run.run_id, _ROLLED_BACK))

    def send_home(self) -> None:
        """Leave what is to be committed, and what was set, where the transaction finds it that the run stands in."""
        entry = self._keeping.staged(cast("State[Any]", self._ended)) if self._keeping and self._is_new else None
        data = _picklable(self._data)
        if entry is not None or data:
            _kept().put(_staged(self._run.run_id), values.dumps((entry, data)), get_settings().results_kept_seconds)

    @property
    def _is_new(self) -> bool:
        return self._ended is not None and self._ended.name != "Cached"


class Outpost(Transaction):
    """In a worker, the transaction in which a run was submitted; `data` is what was set there.

    Whether the run counts is decided where it was submitted. What the run itself has started is settled with it.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__(commit_mode=CommitMode.LAZY)
        self._data = data

    def taking_in(self, child: Transaction) -> drivers.Steps[None]:
        """Send home what the run leaves."""
        child.parent = self
        if child.is_rolled_back() or not isinstance(child, LocalRun):
            return
        for grandchild in child.children:
            yield from grandchild.committing()
        yield drivers.Call(child.send_home)
        yield drivers.Call(child.let_go)


class RemoteRun(Transaction):
    """A run that a worker executes: its hooks are called here, and what it left begins to count here."""

    def __init__(self, task: "Task[..., Any]", future: Future[Any]) -> None:
        super().__init__()
        self._task = task
        self._future = future
        self._manner = caching.manner_of(task.options)
        self._entry: bytes | None = None

    def committing(self) -> drivers.Steps[bool]:
        """The worker has done the rest."""
        yield from self._staging()
        return (yield from super().committing())

    def rolling_back(self) -> drivers.Steps[bool]:
        """Nothing is undone of a run that did not complete."""
        yield from self._staging()
        return (yield from super().rolling_back())

    def write(self) -> None:
        """Have the result count that the worker has staged."""
        if self._entry is not None:
            from millstream import keeping

            keeping.publish(self._task, self._manner, self._entry)

    def undone(self) -> drivers.Steps[None]:
        """Say so in the state and in the record."""
        if self._future.state.is_completed():
            _mark(self._future.state)
            yield drivers.Call(recording.run_rolled_back, (self._future.run_id, _ROLLED_BACK))

    def _staging(self) -> drivers.Steps[None]:
        if not self._future.done():
            yield drivers.WaitFor([self._future])
        state = self._future.state
        if self.state is TransactionState.PENDING and state.is_completed() and state.name != "Cached":
            yield drivers.Call(self._fetch)
            self.stage(None, self._task.on_rollback_hooks, self._task.on_commit_hooks)

    def _fetch(self) -> None:
        found = _kept().get(_staged(self._future.run_id))
        if found is not None:
            self._entry, data = values.loads(found)
            self._data.update(data)
            _kept().remove(_staged(self._future.run_id))


def visible_data() -> dict[str, Any] | None:
    """What is set in the transactions that are open here, as far as it can travel; None outside of transactions."""
    innermost = context.transaction.get()
    return None if innermost is None else _picklable(innermost.all_data())


def _picklable(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in data.items():
        try:
            values.dumps(value)
        except Exception:
            continue
        found[name] = value
    return found


def _kept() -> "Kept":
    from millstream_shared.kept import Kept  # brings the Redis client

    return Kept(sessions.current().store)


def _staged(run_id: str) -> str:
    return f"staged by {run_id}"


def _mark(state: State[Any]) -> None:
    state.name, state.message = "RolledBack", _ROLLED_BACK
