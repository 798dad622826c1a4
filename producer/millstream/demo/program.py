"""The demo from its first line to its last: what is shown, what is run, what is reported."""

import logging
import signal
import sys
from pathlib import Path

from rich.console import Console

from millstream import State, sessions
from millstream.demo import analysis, displays, figures, glyphs, report
from millstream.demo.operations import OPERATIONS
from millstream.demo.progress import Watch
from millstream.demo.totals import Totals
from millstream_shared.records import Record


def run(paths: list[str], root: Path, *, quiet: bool) -> int:
    """Analyze the files and report; gives the exit code: 0, or 1 if the flow failed.

    `quiet`: the log lines of this process are shown from WARNING on. Raises KeyboardInterrupt, after a line that says
    how far it was, and ServiceError when the server does not answer.
    """
    if quiet:
        # Less strict than the workers: that a queue has no worker must be seen. How the runs end is reported below.
        logging.getLogger("millstream").setLevel(logging.WARNING)
        for name in ("millstream.flow_runs", "millstream.task_runs"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    console = _console()
    expected = analysis.expected_runs(len(paths))
    _say_what(console, len(paths), expected.total(), root)
    watch = Watch(displays.display(console, expected), _records)
    try:
        with watch:
            state = analysis.analyze(paths, watch.begin, return_state=True)
    except KeyboardInterrupt:
        # A second Ctrl-C would only disturb the tidying up that is under way.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _say_interrupted(console, watch.run_id, expected.total())
        raise
    return _report(console, state, watch.run_id, root)


def _say_what(console: Console, files: int, runs: int, root: Path) -> None:
    where = f"{glyphs.counted(files, 'file')} in {glyphs.printable(str(root))}"
    what = f"{len(OPERATIONS)} operations on each: {glyphs.counted(runs, 'task run')}"
    console.print(f"{where}\n{what}", markup=False, soft_wrap=True)


def _report(console: Console, state: State[Totals], run_id: str, root: Path) -> int:
    if state.is_completed():
        report.print_results(console, state.data, root)
    if run_id:
        report.print_run(console, figures.read(_records(run_id)))
    if state.is_completed():
        return 0
    print(f"Error: The analysis did not complete: {state.message or state.name}", file=sys.stderr)
    return 1


def _say_interrupted(console: Console, run_id: str, expected: int) -> None:
    if not run_id:
        console.print("Interrupted before it began.")
        return
    try:
        # Whoever interrupts does not want to wait for a server that may be away.
        sessions.current().store.give_up_soon()
        # Those that were withdrawn from their queue have ended too, but never began.
        done = sum(run.kind == "task" and None not in (run.started, run.ended) for run in _records(run_id))
    except Exception as failure:
        # That the server is away may be the very reason for the interrupt.
        console.print(f"Interrupted. How far it was cannot be told: {failure}", markup=False)
        return
    console.print(f"Interrupted: {done:,} of {glyphs.counted(expected, 'task run')} were done.")


def _records(run_id: str) -> list[Record]:
    return list(sessions.current().store.tree(run_id))


def _console() -> Console:
    # Names of files may hold what the terminal's encoding does not: better a question mark than an error.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="replace")
    return Console(highlight=False)
