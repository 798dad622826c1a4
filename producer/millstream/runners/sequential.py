"""A runner that executes each run when it is submitted, one after the other, in the submitter's thread."""

import contextvars
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from millstream import engine, runs
from millstream.futures import Future
from millstream.runners.base import TaskRunner

if TYPE_CHECKING:
    from millstream.runs import TaskRun
    from millstream.tasks import Task


class SequentialTaskRunner(TaskRunner[Future[Any]]):
    """One run at a time, in the order of submission: `submit` comes back when the run has ended."""

    def submit_batch(
        self, task: "Task[..., Any]", batch: Sequence[dict[str, Any]], wait_for: Sequence[Any]
    ) -> list[Future[Any]]:
        """Execute the runs; their futures are done."""
        return [_executed(task, run, wait_for) for run in runs.new_task_runs(task, batch)]


def _executed(task: "Task[..., Any]", run: "TaskRun", wait_for: Sequence[Any]) -> Future[Any]:
    future: Future[Any] = Future(run.run_id, run.name)
    future.complete(contextvars.copy_context().run(engine.execute, task, run, wait_for))
    return future
