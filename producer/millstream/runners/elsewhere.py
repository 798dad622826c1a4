"""What runners have in common that execute runs in other processes: the home side of each run."""

import contextvars
import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from millstream import (
    context,
    dependencies,
    log_shipping,
    outcomes,
    recording,
    run_logging,
    runs,
    sessions,
    surroundings,
    waiting,
)
from millstream.futures import Future
from millstream.runners import errands
from millstream.runners.base import TaskRunner
from millstream.runners.errands import Outcome, Scene
from millstream_shared import errors, records, states
from millstream_shared.records import Record
from millstream_shared.states import State

if TYPE_CHECKING:
    from millstream.runs import TaskRun
    from millstream.tasks import Task

_logger = logging.getLogger("millstream.runners")
_INTERRUPTED = "The flow run ended before this run did."


class Trip:
    """A run from its submission to its outcome, which is what was told first: it is recorded, then the future is done.

    `future` is the run's.
    """

    __slots__ = ("_context", "_definition", "_ended", "_lock", "_on_end", "_run", "_scene", "_wait_for", "future")

    def __init__(
        self,
        run: "TaskRun",
        scene: Scene,
        definition: Callable[[], bytes],
        wait_for: Sequence[Any],
        on_end: "Callable[[Trip], object]",
    ) -> None:
        self.future: Future[Any] = Future(run.run_id, run.name, live_state=lambda _: run.state)
        self._run = run
        self._scene = scene
        self._definition = definition
        self._wait_for = wait_for
        self._on_end = on_end
        self._context = contextvars.copy_context()
        self._lock = threading.RLock()
        self._ended = False

    @property
    def name(self) -> str:
        """The name of the run."""
        return self._run.name

    @property
    def depth(self) -> int:
        """How many task runs, this one included, it is nested in."""
        return self._scene.depth

    @property
    def has_ended(self) -> bool:
        """Whether there is an outcome."""
        return self._ended

    def upstream(self) -> list[Future[Any]]:
        """What must end before the run can be packed."""
        found = dependencies.find_in_call(self._run.parameters, self._wait_for)
        return [future for future in found if not future.done()]

    def pack(self) -> bytes | None:
        """The errand that another process is to perform; None if the run has ended, or does now for lack of inputs."""
        if self._ended:
            return None
        try:
            dependencies.check_upstream(self._wait_for)
            parameters = dependencies.resolve_parameters(self._run.parameters)
            return errands.pack(self._scene, self._run, self._definition(), parameters)
        except errors.UpstreamTaskError as upstream:
            self.end(states.NotReady(message=str(upstream)))
        except Exception as error:
            self.end(outcomes.of_exception(error, "Task run"))
        return None

    def begun(self) -> None:
        """The run is being executed."""
        if not self._ended:
            runs.enter(self._run, states.Running())

    def arrived(self, data: bytes) -> None:
        """An outcome came back."""
        try:
            outcome = Outcome.decode(data)
            record = records.decode(self._run.run_id, outcome.record)
            self._copy(record)
            self._run.persists = outcome.persists
            state = record.state
        except Exception as error:
            outcome = None
            state = states.Failed(message=f"The outcome could not be read: {error!r}", data=error)
        self._finish(state, outcome)

    def lost(self, cause: str) -> None:
        """What executed the run is gone."""
        failure = errors.CrashedRun(f"The process that executed the run was lost: {cause}.")
        self.end(states.Crashed(message=str(failure), data=failure))

    def end(self, state: State[Any]) -> None:
        """The run ends here, in `state`."""
        if self._finish(state, None):
            self._context.run(run_logging.task_run_ended, self._run, state)

    def _copy(self, record: Record) -> None:
        run = self._run
        run.name, run.started, run.ended = record.name, record.started, record.ended
        run.run_count = record.attempt

    def _finish(self, state: State[Any], outcome: Outcome | None) -> bool:
        with self._lock:
            if self._ended:
                return False
            self._ended = True
        runs.enter(self._run, state)
        try:
            self._context.run(self._record, state, outcome)
        except Exception:
            _logger.exception("The record of run %r could not be written", self._run.name)
        finally:
            self.future.complete(state)
            self._on_end(self)
        return True

    def _record(self, state: State[Any], outcome: Outcome | None) -> None:
        if outcome and outcome.within:
            recorder = sessions.current().recorder
            for run_id, record in outcome.within:
                recorder.add(run_id, record)
        if outcome and outcome.lines:
            log_shipping.add_ready(outcome.lines)
        if self._run.flow_run_id is not None:
            recording.run_finished(self._run, state)


class ElsewhereTaskRunner(TaskRunner[Future[Any]]):
    """A runner whose runs are executed in other processes, on copies of their arguments.

    A run whose inputs are not there yet takes no place there. What cannot be pickled ends its run as Failed. A subclass
    gives `send`, and where it needs them `get_ready`, `call_off` and `close`.
    """

    def __init__(self) -> None:
        self._trips: dict[Trip, None] = {}
        self._trips_lock = threading.RLock()
        self._shares: str | None = None

    @abstractmethod
    def send(self, trip: Trip) -> None:
        """Have a run executed whose inputs are there, and tell `trip` what became of it; returns at once.

        Called in the submitter's thread, or in that in which the last of the inputs came.
        """

    def get_ready(self) -> None:
        """Start what is needed to execute runs; called before runs are submitted, in the submitter's thread."""

    def call_off(self, trips: Sequence[Trip]) -> None:
        """Stop executing these: their outcome is not wanted any more."""

    def close(self) -> None:
        """Let go of what `get_ready` started; called when all runs have ended."""

    def cancel_all(self) -> None:
        """End all runs that have not ended as Cancelled, those that are being executed too. More can be submitted."""
        self._cancel("The run was cancelled with all others of its task runner.")

    def submit_batch(
        self, task: "Task[..., Any]", batch: Sequence[dict[str, Any]], wait_for: Sequence[Any]
    ) -> list[Future[Any]]:
        """Send the runs away, each once its inputs are there."""
        self.get_ready()
        self._share_parameters()
        scene = Scene.here(task.name)
        definition = _Definition(task)
        trips = [Trip(run, scene, definition, wait_for, self._forget) for run in runs.new_task_runs(task, batch)]
        with self._trips_lock:
            self._trips.update(dict.fromkeys(trips))
        _note_in_transaction(task, trips)
        for trip in trips:
            waiting.call_after(trip.upstream(), partial(self._set_out, trip))
        return [trip.future for trip in trips]

    def _share_parameters(self) -> None:
        """Have tasks that ask for the flow's parameters find them."""
        found = context.FlowRunContext.get()
        if found is not None and found.flow is not None and self._shares != found.flow_run.run_id:
            self._shares = found.flow_run.run_id
            surroundings.share_parameters(sessions.current(), found.flow_run)

    def _set_out(self, trip: Trip) -> None:
        try:
            self.send(trip)
        except Exception as failure:
            trip.lost(f"it was not reached: {type(failure).__name__}: {failure}")

    def stop(self, abandon: bool) -> None:
        """End after all runs, or without those that have not ended."""
        if abandon:
            self._cancel(_INTERRUPTED)
        try:
            while pending := self._open():
                waiting.wait_for_all([trip.future for trip in pending])
        except BaseException:
            self._cancel(_INTERRUPTED)
            raise
        finally:
            self.close()

    def _cancel(self, reason: str) -> None:
        # From the end, where those stand that wait for others: each is cancelled itself, and not for lack of inputs.
        trips = self._open()[::-1]
        for trip in trips:
            trip.end(states.Cancelled(message=reason))
        self.call_off(trips)

    def _open(self) -> list[Trip]:
        with self._trips_lock:
            return [trip for trip in self._trips if not trip.future.done()]

    def _forget(self, trip: Trip) -> None:
        with self._trips_lock:
            self._trips.pop(trip, None)


def _note_in_transaction(task: "Task[..., Any]", trips: Sequence[Trip]) -> None:
    """Have the runs begin to count when the transaction commits in which they are submitted, or be undone with it."""
    transaction = context.transaction.get()
    if transaction is not None:
        from millstream.transaction_runs import RemoteRun  # what it needs is slow to import

        for trip in trips:
            transaction.add_child(RemoteRun(task, trip.future))


class _Definition:
    """A task as bytes, made once for all runs of a batch, when the first of them is packed."""

    def __init__(self, task: "Task[..., Any]") -> None:
        self._task = task
        self._lock = threading.RLock()
        self._packed: bytes | None = None

    def __call__(self) -> bytes:
        with self._lock:
            if self._packed is None:
                self._packed = errands.pack_task(self._task)
            return self._packed
