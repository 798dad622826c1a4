"""Following a flow run from a shell: a picture that moves on a terminal, a line for each change in a pipe."""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import click

from millstream.cli import tables
from millstream_shared.states import StateType

if TYPE_CHECKING:
    from rich.console import RenderableType

    from millstream.recorded_runs import FlowRun
    from millstream.run_progress import Count, Outlook

COMPLETED, FAILED, CANCELLED, NOT_ENDED = 0, 1, 3, 4
"""Exit codes of commands that wait for a run: how it ended, or that it has not ended in time."""

CODES: Final = (
    "Exit codes: 0 Completed, 1 Failed or Crashed (or it could not be done), 3 Cancelled, 4 not ended in time."
)

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0
_PAUSE_PER_SECOND_OF_CPU: Final = 10.0
"""So that watching a large run takes a tenth of a CPU at most: of 10,000 runs, one look takes some 20 ms."""


def watch(run_id: str, timeout: float | None = None) -> "FlowRun":
    """Show how a run goes on until it has ended, or `timeout` seconds have passed; the run as it stands then.

    Raises ObjectNotFound if there is no such run (any more).
    """
    from millstream import futures, run_progress, sessions  # what only those commands need that wait

    future = futures.future_of(run_id)
    progress = run_progress.Progress(sessions.store(), run_id)
    deadline = None if timeout is None else time.monotonic() + timeout
    with _display() as show:
        while True:
            began = time.thread_time()
            outlook = progress.look()
            show(outlook)
            now = time.monotonic()
            if outlook.run.record.ended is not None or (deadline is not None and now >= deadline):
                return outlook.run
            pause = (time.thread_time() - began) * _PAUSE_PER_SECOND_OF_CPU
            pause = min(max(pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)
            # A run that ends wakes us.
            future.wait(pause if deadline is None else min(pause, max(deadline - now, 0)))


def waited(run_id: str, timeout: float | None = None) -> "FlowRun":
    """The same without showing anything."""
    from millstream import run_history
    from millstream_shared import errors

    try:
        return run_history.wait_for(run_id, timeout)
    except errors.FlowRunWaitTimeout:
        return run_history.read_flow_run(run_id)


def code_of(run: "FlowRun") -> int:
    """The exit code that tells how a run stands."""
    if run.record.ended is None:
        return NOT_ENDED
    if run.state_type is StateType.COMPLETED:
        return COMPLETED
    return CANCELLED if run.state_type is StateType.CANCELLED else FAILED


def summary(run: "FlowRun") -> str:
    """How a run stands, in a line."""
    took = f" in {tables.duration(run.total_run_time.total_seconds())}" if run.record.ended and run.start_time else ""
    why = f": {run.record.message}" if run.record.message and run.state_type is not StateType.COMPLETED else ""
    return tables.one_line(f"Flow run {run.name!r} ({run.id.hex}) is {run.state_name}{took}{why}")


def _display() -> "AbstractContextManager[Callable[[Outlook], None]]":
    return _Picture() if sys.stdout.isatty() else nullcontext(_Lines().show)


class _Lines:
    """A line whenever something is another than it was."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, outlook: "Outlook") -> None:
        parts = [outlook.run.state_name]
        parts += [f"{name}: {_words(count)}" for name, count in outlook.tasks.items()]
        parts += [f"flow {name}: {_words(count)}" for name, count in outlook.flows.items()]
        line = tables.one_line("  ".join(parts))
        if line != self._last:
            self._last = line
            click.echo(f"{tables.moment(time.time())}  {line}")


class _Picture:
    """The tree of what a run has started, collapsed by name, each with a bar; it stays when the run has ended."""

    def __enter__(self) -> "Callable[[Outlook], None]":
        from rich.live import Live  # slow to import, and only for a terminal

        self._live = Live(auto_refresh=False)
        self._live.__enter__()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def _show(self, outlook: "Outlook") -> None:
        self._live.update(picture(outlook), refresh=True)


def picture(outlook: "Outlook") -> "RenderableType":
    """What is shown of a look on a terminal."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    rows = [*outlook.tasks.items(), *((f"flow {name}", count) for name, count in outlook.flows.items())]
    for at, (name, count) in enumerate(rows, 1):
        branch = "└─ " if at == len(rows) else "├─ "
        cells: list[Any] = [
            Text(branch + tables.one_line(name)),
            ProgressBar(total=max(count.total, 1), completed=count.ended, width=24),
            Text(_words(count)),
            Text(f"{count.rate:,.1f}/s" if count.rate and count.ended < count.total else "", "cyan"),
        ]
        grid.add_row(*cells)
    run = outlook.run
    took = tables.duration(run.total_run_time.total_seconds()) if run.start_time else ""
    left = outlook.together.seconds_left
    rest = f"about {tables.duration(left)} left" if left is not None and run.record.ended is None else ""
    told = [f"{run.flow_name} {run.name!r}", run.state_name, took, rest]
    return Group(Text(tables.one_line("  ".join(filter(None, told))), "bold"), grid)


def _words(count: "Count") -> str:
    words = (
        (count.completed, "completed"),
        (count.failed, "failed"),
        (count.running, "running"),
        (count.waiting, "waiting"),
    )
    return ", ".join(f"{number:,} {word}" for number, word in words if number) or "none"
