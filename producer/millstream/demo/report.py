"""The report of the demo: what was found in the files, and how the run went."""

from collections import Counter
from pathlib import Path

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from millstream.demo import figures, glyphs
from millstream.demo.figures import Figures
from millstream.demo.totals import Totals
from millstream_shared.states import StateType

_WIDEST = 100
_WORDS = 8
# Completed is always shown; the others where there are any.
_PROBLEMS = {
    StateType.FAILED: "Failed",
    StateType.CRASHED: "Crashed",
    StateType.CANCELLED: "Cancelled",
    StateType.PENDING: "Not begun",
}


def print_results(console: Console, found: Totals, root: Path) -> None:
    """What was found in the files below `root`, and which of them could not be analyzed."""
    if found.files:
        _print_totals(console, found, root)
        _print_words(console, found)
    if found.failures:
        _print_failures(console, found, root)


def print_run(console: Console, run: Figures) -> None:
    """How the run went: its tasks, its workers, and when what was in progress."""
    rate = f", {run.runs / run.seconds:,.0f} a second" if run.seconds else ""
    _heading(console, f"The run: {glyphs.counted(run.runs, 'task run')} in {glyphs.duration(run.seconds)}{rate}")
    _print(console, _tasks(run))
    if run.workers:
        _heading(console, "Who executed them")
        _print(console, _workers(run))
        _heading(console, "When: runs in progress, each row against its own peak")
        _print(console, _timeline(run, _width(console), console.encoding))


def _print_totals(console: Console, found: Totals, root: Path) -> None:
    _heading(console, "Found")
    table = _table("", ">", "~")
    longest = f"characters, in {glyphs.short_path(found.longest.path, root)}:{found.longest.number}"
    addresses = [f"most often {address}, in {glyphs.counted(n, 'file')}" for address, n in _most(found.emails, 1)]
    for label, number, detail in (
        ("files", found.files, ""),
        ("lines", found.lines, ""),
        ("words", found.words, ""),
        ("functions", found.functions, ""),
        ("classes", found.classes, ""),
        ("longest line", found.longest.length, longest if found.longest.path else ""),
        ("e-mails", len(found.emails), "".join(addresses)),
    ):
        table.add_row(label, f"{number:,}", _detail(detail))
    _print(console, table)


def _print_words(console: Console, found: Totals) -> None:
    if not found.common:
        return
    _heading(console, "Favourite words, and how many files have them among their ten commonest")
    table = _table("", ">", "")
    words = _most(found.common, _WORDS)
    widest = max(_width(console) - 50, 10)
    for word, files in words:
        length = max(round(files / words[0][1] * widest), 1)
        bar = glyphs.bars([1.0], console.encoding) * length
        # A "word" may be encoded data: thousands of letters without a space.
        table.add_row(glyphs.shortened(word, 24), glyphs.counted(files, "file"), Text(bar, "cyan"))
    _print(console, table)


def _print_failures(console: Console, found: Totals, root: Path) -> None:
    failed = found.failures.total()
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.failures.most_common())
    _heading(console, f"Not analyzed: {glyphs.counted(failed, 'file')} ({kinds})")
    table = _table("", "", "~")
    for failure in found.examples:
        name = glyphs.shortened(glyphs.short_path(failure.path, root), _width(console) // 2)
        table.add_row(Text(name), Text(failure.kind, "yellow"), _detail(glyphs.printable(failure.reason)))
    _print(console, table)
    if failed > len(found.examples):
        _print(console, Text(f"... and {failed - len(found.examples):,} more", "dim"))


def _tasks(run: Figures) -> Table:
    problems = [state for state in _PROBLEMS if any(task.states[state] for task in run.tasks)]
    headers = ["Task", ">Runs", ">Completed", *(f">{_PROBLEMS[state]}" for state in problems), ">Typical", ">Longest"]
    table = _table(*headers)
    for task in run.tasks:
        table.add_row(
            task.name,
            f"{task.runs:,}",
            f"{task.states[StateType.COMPLETED]:,}",
            *(Text(f"{task.states[state]:,}" if task.states[state] else "", "yellow") for state in problems),
            glyphs.duration(task.typical),
            glyphs.duration(task.longest),
        )
    return table


def _workers(run: Figures) -> Table:
    table = _table("Worker", ">Runs", ">A second", ">Active for")
    for worker in run.workers:
        rate = f"{worker.runs / worker.seconds:,.0f}" if worker.seconds else ""
        table.add_row(worker.name, f"{worker.runs:,}", rate, glyphs.duration(worker.seconds))
    return table


def _timeline(run: Figures, width: int, encoding: str) -> Table:
    by_task = figures.by_task(run.records)
    columns = max(width - max(map(len, by_task)) - 17, 10)
    table = _table("", "", ">")
    for name, records in by_task.items():
        filled = figures.in_progress(records, run.began, run.seconds, columns)
        table.add_row(name, Text(glyphs.bars(filled, encoding), "cyan"), Text(f"peak {figures.peak(records):,}", "dim"))
    end = glyphs.duration(run.seconds)
    table.add_row("", Text("0 s" + end.rjust(columns - 3), "dim"), "")
    return table


def _most(counter: Counter[str], number: int) -> list[tuple[str, int]]:
    """The commonest first; those equally common in the order of the alphabet, so that two runs show the same."""
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:number]


def _detail(text: str) -> Text:
    """Text of which the end may be left out."""
    return Text(text, "dim", no_wrap=True, overflow="ellipsis")


def _table(*headers: str) -> Table:
    """A table without lines. A header that begins with `>` is of a column of numbers, `~` of one that may shrink."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=any(len(h) > 1 for h in headers))
    for header in headers:
        justify = "right" if header.startswith(">") else "left"
        # What may not wrap is not made narrower either, as long as there is something else that may.
        no_wrap = not header.startswith("~")
        table.add_column(header.lstrip(">~"), justify=justify, no_wrap=no_wrap, header_style="dim")
    return table


def _heading(console: Console, text: str) -> None:
    console.print()
    _print(console, Text(text, "bold"), indent=0)


def _print(console: Console, what: RenderableType, indent: int = 2) -> None:
    padded = Padding(what, (0, 0, 0, indent), expand=False)
    if console.is_terminal:
        console.print(padded, width=_width(console))
        return
    # The blanks with which tables are filled up would disturb whoever reads this from a file.
    with console.capture() as captured:
        console.print(padded, width=_width(console))
    for line in captured.get().splitlines():
        console.print(Text(line.rstrip()), soft_wrap=True)


def _width(console: Console) -> int:
    return min(console.width, _WIDEST)
