"""A runner that executes runs in threads of this process."""

import contextvars
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millstream import dependencies, engine, outcomes, runs, waiting
from millstream.context import Submitted
from millstream.futures import Future
from millstream.runners.base import TaskRunner
from millstream.runners.pools import Pool
from millstream_shared import states

if TYPE_CHECKING:
    from millstream.runs import TaskRun
    from millstream.tasks import Task


class ThreadPoolTaskRunner(TaskRunner[Future[Any]]):
    """Runs in threads of this process, which share its memory; at most `max_workers` at once (default: no limit).

    A run whose inputs are not there yet takes no thread, and one that waits for others lends its place to them, so that
    runs which submit runs end even with one worker. Each async run has an event loop of its own.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        if max_workers is not None and max_workers < 1:
            raise ValueError(f"max_workers is a number of threads, one or more, or None; got {max_workers}.")
        self.max_workers = max_workers
        self._pool = Pool(max_workers)
        self._submitted = Submitted()

    def configuration(self) -> dict[str, Any]:
        """The keyword arguments that make an equal runner."""
        return {"max_workers": self.max_workers}

    def start(self) -> None:
        """Begin with a fresh pool, so that a runner can be used again."""
        self._pool = Pool(self.max_workers)

    def stop(self, abandon: bool) -> None:
        """End the threads: after all runs, or without those that have not begun."""
        while not abandon and (pending := self._submitted.pending()):
            waiting.wait_for_all(pending)
        self._pool.close(abandon)
        for future in self._submitted.pending():
            future.complete(states.Cancelled(message="The flow run ended before this run did."))

    def submit_batch(
        self, task: "Task[..., Any]", batch: Sequence[dict[str, Any]], wait_for: Sequence[Any]
    ) -> list[Future[Any]]:
        """Give the runs to the pool, each once its inputs are there."""
        work = [_Work.of(task, run, wait_for) for run in runs.new_task_runs(task, batch)]
        self._submitted.extend(item.future for item in work)
        for item in work:
            upstream = [
                future for future in dependencies.find_in_call(item.run.parameters, wait_for) if not future.done()
            ]
            waiting.call_after(upstream, item.begin_in(self._pool))
        return [item.future for item in work]


@dataclass(frozen=True, slots=True)
class _Work:
    task: "Task[..., Any]"
    run: "TaskRun"
    wait_for: Sequence[Any]
    future: Future[Any]
    context: contextvars.Context

    @classmethod
    def of(cls, task: "Task[..., Any]", run: "TaskRun", wait_for: Sequence[Any]) -> "_Work":
        future: Future[Any] = Future(run.run_id, run.name, live_state=lambda _: run.state)
        return cls(task, run, wait_for, future, contextvars.copy_context())

    def begin_in(self, pool: Pool) -> Any:
        return lambda: pool.put(self)

    def __call__(self) -> None:
        try:
            state = self.context.run(engine.execute, self.task, self.run, self.wait_for)
        except BaseException as failure:
            # Ours, or an interrupt sent to this very thread. Somebody may wait for the future in either case.
            state = outcomes.of_crash(failure, self.run.run_id)
        self.future.complete(state)
