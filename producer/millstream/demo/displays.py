"""How progress is shown: bars that move on a terminal, a plain line now and then everywhere else."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from millstream.demo.progress import Count, Display

_SECONDS_BETWEEN_LINES = 2.0
_ALL = "all runs"


def display(console: Console, expected: Mapping[str, int]) -> Display:
    """What fits the console; `expected` are the runs to come, by the name of their task."""
    moves = console.is_terminal and not console.is_dumb_terminal
    return Bars(console, expected) if moves else Lines(console, expected)


class Bars(Display):
    """A bar for each task and one for all, gone when it is over: the table of the run then says the same."""

    def __init__(self, console: Console, expected: Mapping[str, int]) -> None:
        self._progress = _Bars(
            TextColumn("  {task.description}"),
            BarColumn(None),
            _Counts(_fixed(11)),
            _Failed(_fixed(9)),
            _Rate(_fixed(7)),
            _TimeLeft(_fixed(9)),
            console=console,
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        self._bars = {name: self._add(name, runs) for name, runs in expected.items()}
        self._bars[_ALL] = self._add(_ALL, sum(expected.values()))
        self._stopwatch = _Stopwatch()

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, counts: Mapping[str, Count]) -> None:
        """Move the bars."""
        together = _together(counts)
        seconds = self._stopwatch.seconds(together)
        for name, count in {**counts, _ALL: together}.items():
            if name in self._bars:
                self._move(self._bars[name], count, count.ended / seconds if seconds else 0.0)
        self._progress.refresh()

    def _add(self, name: str, runs: int) -> TaskID:
        return self._progress.add_task(name, total=runs, failed=0, rate=0.0)

    def _move(self, bar: TaskID, count: Count, rate: float) -> None:
        # A run whose worker died may have left children behind that are then run twice.
        total = max(self._progress.tasks[bar].total or 0, count.ended)
        self._progress.update(bar, completed=count.ended, total=total, failed=count.failed, rate=rate)


class _Bars(Progress):
    """Leaves the last columns free: a terminal writes `^C` there, which on a full line would begin another one."""

    def get_renderable(self) -> RenderableType:
        return _Narrow(super().get_renderable())


@dataclass(frozen=True, slots=True)
class _Narrow:
    """Something, in three columns less than there are."""

    content: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        return console.render(self.content, options.update_width(max(options.max_width - 3, 1)))


class _Counts(ProgressColumn):
    """`1,234/1,790`"""

    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:,.0f}/{task.total or 0:,.0f}")


class _Failed(ProgressColumn):
    """`3 failed`, where there are any."""

    def render(self, task: Task) -> Text:
        failed: int = task.fields["failed"]
        return Text(f"{failed:,} failed" if failed else "", "yellow")


class _Rate(ProgressColumn):
    """Runs a second, since the first one: what a moment brings jumps up and down too much to be read."""

    def render(self, task: Task) -> Text:
        rate: float = task.fields["rate"]
        return Text(f"{rate:,.0f}/s" if rate else "", "cyan")


class _TimeLeft(ProgressColumn):
    """`0:12 left`, if it goes on at this rate."""

    def render(self, task: Task) -> Text:
        rate: float = task.fields["rate"]
        if task.finished:
            return Text("done", "green")
        if not rate:
            return Text()
        minutes, seconds = divmod(round((task.remaining or 0) / rate), 60)
        return Text(f"{minutes}:{seconds:02} left")


def _fixed(width: int) -> Column:
    """A column that is as wide when there is nothing in it, so that the bars keep their length."""
    return Column(min_width=width, no_wrap=True, justify="right")


class Lines(Display):
    """A line every two seconds."""

    def __init__(self, console: Console, expected: Mapping[str, int]) -> None:
        self._console = console
        self._total = sum(expected.values())
        self._stopwatch = _Stopwatch()
        self._began = self._next = 0.0

    def __enter__(self) -> Display:
        self._began = time.monotonic()
        self._next = self._began + _SECONDS_BETWEEN_LINES
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was changed that has to be put back."""

    def show(self, counts: Mapping[str, Count]) -> None:
        """Write a line, if it is time for one."""
        now = time.monotonic()
        count = _together(counts)
        seconds = self._stopwatch.seconds(count)
        if now < self._next:
            return
        self._next = now + _SECONDS_BETWEEN_LINES
        line = f"{now - self._began:5.1f} s  {count.ended:,} of {self._total:,} runs"
        if count.failed:
            line += f", {count.failed:,} failed"
        if count.ended and seconds:
            rate = count.ended / seconds
            line += f", {rate:,.0f}/s, {max(self._total - count.ended, 0) / rate:,.0f} s left"
        self._console.print(line, markup=False)


class _Stopwatch:
    """Goes from the last time that nothing had ended: how long workers take to start says nothing about the runs."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def seconds(self, count: Count) -> float:
        """How long it has run by now."""
        now = time.monotonic()
        if not count.ended:
            self._since = now
        return now - self._since


def _together(counts: Mapping[str, Count]) -> Count:
    return Count(sum(count.ended for count in counts.values()), sum(count.failed for count in counts.values()))
