"""Real processes for tests: started, watched, killed, and none of them or of their children left behind."""

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.harness import waiting

_MARK = "MILLSTREAM_TEST_PROCESS"


class Process:
    """A running program whose output goes to a file."""

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.command = " ".join(command)
        self.log = folder / f"{uuid.uuid4().hex[:8]}.log"
        with self.log.open("wb") as output:
            self._popen = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        self.pid = self._popen.pid

    @property
    def output(self) -> str:
        """What it has written so far, standard output and error together."""
        return self.log.read_text()

    @property
    def runs(self) -> bool:
        return self._popen.poll() is None

    def wait(self, timeout: float = 30.0) -> int:
        """Its exit code, once it has ended; minus the number of the signal that ended it."""
        return self._popen.wait(timeout)

    def succeed(self, timeout: float = 30.0) -> str:
        """Its output, once it has ended without error."""
        assert self.wait(timeout) == 0, self.output
        return self.output

    def says(self, text: str, timeout: float = 20.0) -> str:
        """Wait until `text` is in its output, and return the output. Fails at once if it ends without saying so."""
        return self.says_like(re.escape(text), timeout).string

    def says_like(self, pattern: str, timeout: float = 20.0) -> re.Match[str]:
        """The same for a pattern, which must match all that is then to be read: a line comes bit by bit."""

        def said() -> re.Match[str] | bool:
            ended = not self.runs
            return re.search(pattern, self.output) or ended

        found = waiting.eventually(said, timeout)
        assert not isinstance(found, bool), f"ended, exit code {self._popen.returncode}:\n{self.output}"
        return found

    def send(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def interrupt(self) -> None:
        """What Ctrl-C in a terminal does: the process gets the signal, and with it all children in its group."""
        os.killpg(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """`kill -9`, and wait for its end."""
        self._popen.kill()
        self._popen.wait(30)


class Processes:
    """Starts programs in `folder`, with an environment that holds nothing of the tester's own settings."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self._mark = uuid.uuid4().hex
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MILLSTREAM_")}
        self.environment = inherited | environment | {_MARK: self._mark, "PYTHONUNBUFFERED": "1"}
        self._started: list[Process] = []

    def start(self, *command: str, **environment: str) -> Process:
        """Start a program."""
        process = Process(list(command), self.folder, self.environment | environment)
        self._started.append(process)
        return process

    def python(self, script: str | Path, *arguments: str, **environment: str) -> Process:
        """Start a Python script: a path, or the text of one."""
        if isinstance(script, str):
            text, script = script, self.folder / f"script_{uuid.uuid4().hex[:8]}.py"
            script.write_text(text)
        return self.start(sys.executable, str(script), *arguments, **environment)

    def cli(self, *arguments: str, **environment: str) -> Process:
        """Start `millstream` with these arguments."""
        return self.start(sys.executable, "-m", "millstream.cli", *arguments, **environment)

    def alive(self) -> dict[int, str]:
        """All that runs because of us, by process id: what we started, what those started, and so on."""
        return {pid: _command(pid) for pid in _all_pids() if self._is_ours(pid)}

    def named(self, name: str) -> list[int]:
        """Those of them that have taken this name: see `millstream_worker.processes`."""
        return [pid for pid in _all_pids() if _name(pid) == name and self._is_ours(pid)]

    def programs(self, *words: str) -> list[int]:
        """Those with all these words in their command line; not what a worker has forked, which has the same."""
        alive = self.alive().items()
        return [pid for pid, line in alive if set(words) <= set(line.split()) and not _name(pid).startswith("ms-")]

    def end(self, timeout: float = 10.0) -> None:
        """Kill what we started, then fail if anything that those had started outlives them by `timeout` seconds.

        What each has written is printed: pytest shows it with a test that fails.
        """
        for process in self._started:
            process.kill()
            print(f"-- {process.command}\n{process.output}")
        try:
            waiting.eventually(lambda: not self.alive(), timeout)
        except AssertionError:
            left = self.alive()
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"left behind: {left}") from None

    def _is_ours(self, pid: int) -> bool:
        try:
            # A server overwrites its environment to show a title, but it works in our folder.
            place = Path(os.readlink(f"/proc/{pid}/cwd"))
            if place == self.folder or self.folder in place.parents:
                return True
            return f"{_MARK}={self._mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False  # It has ended, or is another user's.


def children(pid: int) -> list[int]:
    """The child processes of a process; none if it has ended."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def family(pid: int) -> list[int]:
    """A process and all that it has started, and those have."""
    return [pid, *(member for child in children(pid) for member in family(child))]


def executing(worker: int) -> list[int]:
    """The processes in which a worker has tasks executed."""
    return [pid for pid in family(worker) if _name(pid) == "ms-tasks"]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _all_pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
