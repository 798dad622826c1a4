"""Running the scripts of `scripts/` as real processes, and what is known of a program once it has ended."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from millstream.embedded import servers
from millstream_shared import settings
from millstream_shared.records import Record
from millstream_shared.states import StateType
from millstream_shared.store import Store
from tests.harness import keys
from tests.harness.processes import Process, Processes

SCRIPTS = Path(__file__).parent / "scripts"
PATIENCE = 50.0
"""Seconds that a program may take: generous, as the machine may have other things to do."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that has ended well: all that it wrote, and all that it left in the store of its home."""

    output: str
    records: Sequence[Record]

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    def said(self, label: str) -> str:
        """What stands behind `label: ` in the one line that begins so."""
        (found,) = [line for line in self.lines if line.startswith(f"{label}: ")]
        return found.partition(": ")[2]

    def seconds(self, label: str = "seconds") -> float:
        """A duration that the program measured and told."""
        return float(self.said(label))

    def seconds_at_work(self) -> float:
        """The same without the start: what passes before the first task run depends on how busy the machine is."""
        flows = [record.created for record in self.records if record.kind == "flow"]
        tasks = [record.started for record in self.records if record.kind == "task" and record.started]
        return self.seconds() - (min(tasks) - min(flows))

    def runs_of(self, *functions: str) -> list[Record]:
        """The records of all runs of these tasks and flows, by name, in the order in which they began."""
        found = [record for record in self.records if record.function_name in functions]
        return sorted(found, key=lambda record: record.started or record.created)

    def run_of(self, function: str) -> Record:
        """The record of the only run of a task or flow."""
        (found,) = self.runs_of(function)
        return found

    def states_of(self, *functions: str) -> list[StateType]:
        return [record.state_type for record in self.runs_of(*functions)]


class Programs:
    """Starts programs that share a home, so that what they did can be read there afterwards."""

    def __init__(self, running: Processes) -> None:
        self.running = running
        self.running.environment.setdefault("MILLSTREAM_LOGGING_LEVEL", "WARNING")
        # More take longer to start than all that these programs compute.
        self.running.environment.setdefault("MILLSTREAM_WORKER_PROCESSES", "1")

    def run(self, name: str, **environment: str) -> Ended:
        """Run `scripts/NAME.py` to its end. Fails if it does, or if a run of it has not ended then."""
        return self.ended(self.running.python(SCRIPTS / f"{name}.py", **environment))

    def run_python(self, *arguments: str, stdin: Path | None = None) -> Ended:
        """Run `python ARGUMENTS...`, reading standard input from a file (default: there is nothing to read)."""
        command = (sys.executable, *arguments)
        if stdin is not None:
            command = ("sh", "-c", 'from="$1"; shift; exec "$@" < "$from"', "sh", str(stdin), *command)
        return self.ended(self.running.start(*command))

    def ended(self, process: Process) -> Ended:
        """Wait for the end of a program. Fails if the program does, or leaves work or runs that have not ended."""
        output = process.succeed(PATIENCE)
        with _server(Path(self.running.environment["MILLSTREAM_HOME"])) as server:
            keys.audit(server)
            records = server.records()
        assert [record.name for record in records if record.ended is None] == []
        return Ended(output, records)


def most_at_once(records: Sequence[Record]) -> int:
    """How many of these runs were going on at the same moment, at most."""
    # An end sorts before a beginning at the same moment: one run after the other is one at a time.
    moments = [(record.started, 1) for record in records] + [(record.ended, -1) for record in records]
    going_on = most = 0
    for _, step in sorted(moments):
        going_on += step
        most = max(most, going_on)
    return most


def follows(later: Record, *earlier: Record) -> bool:
    """Whether a run began when all of `earlier` had ended."""
    return later.started is not None and all(run.ended is not None and run.ended <= later.started for run in earlier)


class _EmbeddedServer:
    """The server of a home, with what the audit of the keys asks of a server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self) -> Any:
        return redis.Redis.from_url(self.url)

    def records(self) -> list[Record]:
        store = Store(self.url, settings.get_settings())
        try:
            trees = [key.decode().rpartition(":")[2] for key in store.client.scan_iter("ms:runs:*", count=1000)]
            return [record for tree in trees for record in store.tree(tree)]
        finally:
            store.close()


@contextmanager
def _server(home: Path) -> Iterator[_EmbeddedServer]:
    url = servers.ensure_server(home)
    try:
        yield _EmbeddedServer(url)
    finally:
        servers.leave_server(home)
