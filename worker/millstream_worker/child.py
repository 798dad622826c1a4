"""The main of a child process: it executes what its worker sends, and touches Redis only for what user code asks."""

import asyncio
import io
import os
import signal
import sys
from functools import partial
from typing import Any, cast

from millstream import futures, log_shipping, sessions, stops
from millstream.runs import TaskRun
from millstream_shared.claims import Postponed
from millstream_worker import channels, processes
from millstream_worker.executing import Executing
from millstream_worker.execution import Assignment, Executor
from millstream_worker.lines import LinesMail
from millstream_worker.loops import Loops
from millstream_worker.outcomes import Outbox, Outcome
from millstream_worker.slots import Slots

_FEW = 50


def main(end: channels.ChildEnd, threads: int, worker: str) -> None:
    """Execute runs for `worker`, at most so many sync ones at once, until the worker closes its end."""
    processes.die_with_parent(os.getppid())
    processes.set_name("ms-tasks")
    # A signal from the terminal is for the worker, which lets its children finish.
    processes.ignore(signal.SIGINT, signal.SIGTERM)
    # A thread that becomes ready should not wait 5 ms, Python's default, for one that computes.
    sys.setswitchinterval(0.001)
    # What a task prints is to be seen while it runs, also where the output is no terminal.
    cast("io.TextIOWrapper", sys.stdout).reconfigure(line_buffering=True)
    Child(end, threads, worker).serve()


class Child:
    """Executes sync runs in threads and async runs on event loops, and sends back how they ended.

    It is the supervisor of these runs: what it cannot do itself it asks of its worker.
    """

    postpones = True

    def __init__(self, channel: channels.ChildEnd, threads: int, worker: str) -> None:
        self._channel = channel
        self._mail = LinesMail(channel)
        log_shipping.begin(self._mail)
        self._outbox = Outbox(partial(channel.send, channels.DONE))
        self._executor = Executor(worker, self)
        self._slots: Slots[Assignment] = Slots(threads, self._execute, partial(channel.send, channels.LENT))
        self._loops = Loops()
        self._executing = Executing()
        self._coroutines: dict[str, asyncio.Task[None] | None] = {}
        futures.set_blocking_hook(self._slots.lend)

    def serve(self) -> None:
        self._channel.send(channels.READY, None)
        for kind, content in self._channel.messages():
            if kind == channels.RUN:
                self._begin(content)
            elif kind == channels.GIVE_BACK:
                returned = [assignment.run_id for assignment in self._slots.take_back()]
                self._channel.send(channels.RETURNED, returned)
            elif kind == channels.STOP:
                self._stop(content)
            elif kind == channels.TAKEN:
                self._mail.was_taken()
        # The worker has let go of this process: nobody would hear how a run that still goes on has ended.
        sessions.close_current()

    def _begin(self, content: list[list[Any]]) -> None:
        sync: list[Assignment] = []
        stops.forget(fields[0] for fields in content)
        for fields in content:
            assignment = Assignment(*fields)
            if assignment.is_async:
                self._coroutines[assignment.run_id] = None
                self._loops.start(self._executor.depth_of(assignment), partial(self._execute_async, assignment))
            else:
                sync.append(assignment)
        if sync:
            self._slots.add(sync)

    def _execute(self, assignment: Assignment) -> None:
        executor = self._executor
        outcome = self._executing.call(assignment.run_id, assignment, executor.execute, executor.stopped)
        self._send(outcome, more_to_come=self._slots.has_waiting_work)

    async def _execute_async(self, assignment: Assignment) -> None:
        self._coroutines[assignment.run_id] = asyncio.current_task()
        try:
            outcome = await self._executor.execute_async(assignment)
        except asyncio.CancelledError:
            outcome = self._executor.stopped(assignment)
        self._coroutines.pop(assignment.run_id, None)
        # Few may be all that a limit allows, and others wait for their slots.
        self._send(outcome, more_to_come=len(self._coroutines) > _FEW)

    def _stop(self, run_ids: list[str]) -> None:
        """End these as Cancelled: they are not begun, or interrupted. One that does not end is the worker's affair."""
        unbegun = self._slots.take_back(lambda assignment: assignment.run_id in run_ids)
        self._channel.send(channels.RETURNED, [assignment.run_id for assignment in unbegun])
        for run_id in run_ids:
            stops.note(run_id)
            if run_id in self._coroutines:
                self._loops.call_soon(partial(self._cancel, run_id))
            else:
                self._executing.stop(run_id)

    def _cancel(self, run_id: str) -> None:
        """Called on each loop."""
        here = asyncio.get_running_loop()
        task = self._coroutines.get(run_id)
        if task is not None and task.get_loop() is here:
            task.cancel()
        elif task is None and run_id in self._coroutines:
            here.call_soon(self._cancel, run_id)  # it begins within this turn of its loop

    def expect_end(self, run: TaskRun, seconds: float, retry_after: float | None) -> None:
        """Have the worker kill this process if the run outlasts its time limit and the grace that follows."""
        self._channel.send(channels.LIMITED, [run.run_id, seconds, run.tries, retry_after])

    def _send(self, outcome: Outcome | Postponed, *, more_to_come: bool) -> None:
        if isinstance(outcome, Postponed):
            log_shipping.flush([outcome.run_id])
            self._channel.send(channels.FAILED, [outcome])
        else:
            self._outbox.put(outcome, more_to_come=more_to_come)
