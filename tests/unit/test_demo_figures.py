"""What the demo reads out of records, and how it looks."""

import io
import re
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from millstream.demo import displays, figures, glyphs, progress, report
from millstream.demo.progress import Count, Watch
from millstream.demo.totals import Failure, LongestLine, Totals
from millstream_shared import ids
from millstream_shared.records import Record
from millstream_shared.states import StateType

FLOW = ids.new_flow_run_id()
CONTROL = re.compile(r"\x1b\[[\d;?]*[A-Za-z]|\r")
EXPECTED = {"load": 1000, "save": 10}


def record(name: str, started: float | None, ended: float | None, **changed: Any) -> Record:
    fields: dict[str, Any] = {
        "run_id": ids.new_task_run_id(FLOW),
        "kind": "task",
        "state_type": StateType.COMPLETED,
        "state_name": "Completed",
        "name": name,
        "function_name": name,
        "flow_run_id": FLOW,
        "worker": "worker-1-a",
        "created": 99.0,
        "started": started,
        "ended": ended,
    }
    return Record(**fields | changed)


RECORDS = [
    record("demo", 100.0, 110.0, kind="flow", worker=None),
    record("save", 104.0, 108.0, worker="worker-2-b"),
    record("load", 101.0, 102.0),
    record("load", 101.5, 104.5),
    record("load", 103.0, 103.0, state_type=StateType.FAILED),
    record("last", None, 109.0, state_type=StateType.PENDING, worker=None, created=108.0),
]


def terminal(width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width, highlight=False)


def pipe(width: int = 80) -> Console:
    return Console(file=io.StringIO(), width=width, highlight=False)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_tasks_are_told_by_their_records():
    """In the order in which they began, with their states and times; a run that never began took no time."""
    run = figures.read(RECORDS)
    assert (run.seconds, run.runs) == (10.0, 5)
    load, save, last = run.tasks
    assert (load.name, load.runs, load.typical, load.longest) == ("load", 3, 1.0, 3.0)
    assert load.states == {StateType.COMPLETED: 2, StateType.FAILED: 1}
    assert (save.typical, last.longest, last.states) == (4.0, 0.0, {StateType.PENDING: 1})


def test_workers_are_told_by_their_records():
    """Those that executed something, from their first run's start to their last one's end."""
    first, second = figures.read(RECORDS).workers
    assert (first.name, first.runs, first.seconds) == ("worker-1-a", 3, 3.5)
    assert (second.name, second.runs, second.seconds) == ("worker-2-b", 1, 4.0)


def test_a_run_without_records_has_no_figures():
    """What expired cannot be told."""
    run = figures.read([])
    assert (run.seconds, run.tasks, run.workers) == (0.0, [], [])


def test_progress_is_averaged_over_each_column():
    """A run that fills half of a column counts half."""
    loads = [found for found in RECORDS if found.function_name == "load"]
    assert figures.in_progress(loads, began=100.0, seconds=10.0, columns=5) == pytest.approx(
        [0.75, 1.0, 0.25, 0.0, 0.0]
    )
    assert figures.in_progress([], began=100.0, seconds=0.0, columns=2) == [0.0, 0.0]


def test_the_peak_is_what_overlapped():
    """A run that begins when another one ends does not overlap it."""
    assert figures.peak([record("a", 1.0, 2.0), record("a", 2.0, 3.0)]) == 1
    assert figures.peak([record("a", 1.0, 3.0), record("a", 2.0, 4.0), record("a", 5.0, 6.0)]) == 2


def test_bars_show_any_value_above_zero():
    """The largest is full, the smallest can still be seen, nothing is blank; in ASCII where there is no more."""
    assert glyphs.bars([0.0, 0.001, 0.5, 1.0], "utf-8") == " ▁▄█"
    assert glyphs.bars([0.0, 0.001, 0.5, 1.0], "latin-1") == " .=@"
    assert glyphs.bars([0.0, 0.0], "utf-8") == "  "


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.0 ms"), (0.0042, "4.2 ms"), (0.42, "420 ms"), (4.2, "4.20 s"), (42.0, "42.0 s"), (125.0, "2 min 5 s")],
)
def test_durations_are_short(seconds, text):
    """In a unit that fits."""
    assert glyphs.duration(seconds) == text


def test_names_cannot_steer_the_terminal():
    """What is not printable is replaced, and a long path loses its beginning."""
    assert glyphs.printable("a\nb\x1b[31m\udce9") == "a?b?[31m?"
    assert glyphs.shortened("/a/long/path.py", 10) == "...path.py"
    assert glyphs.short_path("/a/b/c.py", Path("/a")) == "b/c.py"
    assert glyphs.short_path("/a/b/c.py", Path("/a/b/c.py")) == "c.py"


@pytest.mark.parametrize("width", [50, 80, 120])
def test_the_report_of_a_run_fits(width):
    """Every task, state and worker in lines that are not wider than the screen, or a hundred columns."""
    console = pipe(width)
    report.print_run(console, figures.read(RECORDS))
    lines = shown(console).splitlines()
    assert max(map(len, lines)) <= min(width, 100)
    assert all(line == line.rstrip() for line in lines)
    if width > 50:
        words = [line.split() for line in lines]
        assert ["The", "run:", "5", "task", "runs", "in", "10.0", "s,", "0", "a", "second"] in words
        assert ["Task", "Runs", "Completed", "Failed", "Not", "begun", "Typical", "Longest"] in words
        assert ["load", "3", "2", "1", "1.00", "s", "3.00", "s"] in words
        assert ["worker-2-b", "1", "0", "4.00", "s"] in words


def test_the_results_name_what_failed():
    """Ten by name, the rest as a number; brackets in names are no markup."""
    found = Totals(
        files=1200,
        words=5,
        longest=LongestLine(90, "/some/a/[red]b.py", 7),
        common=Counter(self=3),
        emails=Counter({"a@b.org": 2, "0@b.org": 2}),
        failures=Counter(NotText=12),
        examples=tuple(Failure(f"/some/{at}.bin", "NotText", "it holds zero bytes") for at in range(10)),
    )
    console = pipe()
    report.print_results(console, found, Path("/some"))
    text = shown(console)
    assert "files          1,200" in text
    assert "in a/[red]b.py:7" in text
    assert "most often 0@b.org, in 2 files" in text
    assert "Not analyzed: 12 files (12 NotText)" in text
    assert "  9.bin   NotText   it holds zero bytes\n  ... and 2 more\n" in text


def test_nothing_is_said_of_no_results():
    """Without a file that could be analyzed, only the failures are shown."""
    console = pipe()
    found = Totals(failures=Counter(NotText=1), examples=(Failure("/a", "NotText", "why"),))
    report.print_results(console, found, Path("/"))
    assert "Found" not in shown(console)


def test_records_are_counted_by_task():
    """Task runs that have ended; those that did not complete count as failed too."""
    counts = progress.count([*RECORDS, record("load", 105.0, None, state_type=StateType.RUNNING)])
    assert counts == {"load": Count(3, 1), "save": Count(1, 0), "last": Count(1, 1)}


def test_bars_show_counts_and_keep_off_the_edge():
    """On a terminal each task has its bar; nothing is left of them at the end."""
    console = terminal()
    with displays.display(console, EXPECTED) as display:
        display.show({"load": Count(500, 3), "unknown": Count(7)})
        frame = shown(console)
    assert "500/1,000" in frame
    assert "3 failed" in frame
    assert "507/1,010" in frame
    assert max(len(CONTROL.sub("", line)) for line in frame.splitlines()) == 77
    assert shown(console).count("\x1b[1A") > frame.count("\x1b[1A")


def test_bars_grow_with_runs_that_were_not_expected():
    """More runs than announced are no reason to show eleven of ten."""
    console = terminal()
    with displays.display(console, EXPECTED) as display:
        display.show({"save": Count(11)})
        assert "11/11" in shown(console)


def test_a_pipe_gets_a_line_now_and_then(monkeypatch):
    """Every two seconds, with what ended, at which rate since the first, and what is left."""
    now = [100.0]
    monkeypatch.setattr("millstream.demo.displays.time.monotonic", lambda: now[0])
    console = pipe()
    with displays.display(console, EXPECTED) as display:
        for now[0], ended in ((101.0, 0), (102.0, 200), (103.0, 300), (104.0, 1010)):
            display.show({"load": Count(ended, 2)})
    assert shown(console) == (
        "  2.0 s  200 of 1,010 runs, 2 failed, 200/s, 4 s left\n"
        "  4.0 s  1,010 of 1,010 runs, 2 failed, 337/s, 0 s left\n"
    )


class Shown(progress.Display):
    """Keeps what it is told to show."""

    def __init__(self) -> None:
        self.counts: list[Mapping[str, Count]] = []
        self.called = threading.Event()

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, counts: Mapping[str, Count]) -> None:
        self.counts.append(counts)
        self.called.set()


def test_a_watched_run_is_shown():
    """From when it begins; an error of the store is not one of the watcher."""
    display = Shown()
    answers = iter([ConnectionError("away"), RECORDS])

    def read(run_id: str) -> list[Record]:
        assert run_id == FLOW
        answer = next(answers, RECORDS)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with Watch(display, read) as watch:
        assert watch.run_id == ""
        watch.begin(FLOW)
        assert display.called.wait(10)
    assert display.counts[0]["load"] == Count(3, 1)


def test_a_watch_ends_when_nothing_began():
    """Nobody waits for a flow run that was never made."""
    display = Shown()
    with Watch(display, lambda _: RECORDS):
        pass
    assert display.counts == []
