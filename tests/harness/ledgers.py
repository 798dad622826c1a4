"""What tasks of real processes write down of their begins and ends, in a file that outlives them and every server."""

import json
from pathlib import Path
from typing import Any

PROGRAM = '''
import asyncio, json, os, sys, time
from millstream import flow, task
from millstream.context import TaskRunContext

def note(what):
    """Append a line to the ledger, in one write: it is never torn, whoever is killed."""
    context = TaskRunContext.get()
    run = context.task_run if context else None
    seen = {
        "run": run.run_id if run else "script", "attempt": run.run_count if run else 1,
        "pid": os.getpid(), "at": time.time(), "what": what,
    }
    file = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, json.dumps(seen).encode() + b"\\n")
    os.close(file)
'''
"""What scripts begin with that write to a ledger, by `note("start")`; its path is in their environment."""


class Ledger:
    """A file of lines, each with `run`, `attempt`, `pid`, `at` (a time) and `what`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self, what: str | None = None) -> list[dict[str, Any]]:
        """All lines so far, or those that say `what`."""
        if not self.path.exists():
            return []
        # Who reads while somebody writes may see half of the last line.
        whole, _, _ = self.path.read_text().rpartition("\n")
        seen = map(json.loads, whole.splitlines())
        return [line for line in seen if what in (None, line["what"])]
