"""Servers, workers and counters for the benchmarks."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness import eventually
from tests.harness.processes import executing, family
from tests.harness.servers import RealServer, find_valkey

ROOT = Path(__file__).parents[2]


@contextmanager
def server() -> Iterator[RealServer]:
    """An empty Valkey, as the embedded one is configured."""
    started = RealServer(find_valkey()).start()
    try:
        yield started
    finally:
        started.discard()


@contextmanager
def process(command: list[str], url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process, whose log lines go to a file as a daemon's do; ended with SIGTERM."""
    environment = os.environ | {"MILLSTREAM_REDIS_URL": url, "PYTHONPATH": str(ROOT)}
    with (folder / "worker.log").open("ab") as log:
        started = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(30)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextmanager
def millstream_worker(over: RealServer, processes: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """Our worker, ready to execute."""
    command = [sys.executable, "-m", "millstream_worker", "--processes", str(processes)]
    with process(command, over.url, over.folder) as started:
        client = over.client()
        eventually(lambda: client.scard("rq:workers:default") == 1)
        eventually(lambda: len(executing(started.pid)) == processes, 30)
        yield started


@contextmanager
def rq_workers(over: RealServer, kind: str, count: int = 1) -> Iterator[None]:
    """`count` RQ workers of the class `kind`."""
    rq = str(Path(sys.executable).parent / "rq")
    command = [rq, "worker", "--quiet", "--url", over.url, "--worker-class", kind]
    if count == 0:
        yield
        return
    with process(command, over.url, over.folder), rq_workers(over, kind, count - 1):
        client = over.client()
        eventually(lambda: client.scard("rq:workers:default") >= 1)
        yield


def family_megabytes(pid: int) -> float:
    """The memory of a process and of all that it has started, and those have."""
    return sum(map(resident_megabytes, family(pid)))


def resident_megabytes(pid: int) -> float:
    """Private and shared memory of a process, the shared part divided among those that share it; 0 if it has ended."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    assert found
    return int(found[1]) / 1024


class Commands:
    """Counts the commands that clients send; what a Lua script calls inside the server is not counted."""

    def __init__(self, over: RealServer) -> None:
        self.count = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(over.socket))
        self._socket.sendall(b"MONITOR\r\n")
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> "Commands":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(0.5)
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        rest = b""
        while data := self._socket.recv(1 << 20):
            *lines, rest = (rest + data).split(b"\n")
            self.count += sum(b" lua]" not in line for line in lines)


def used_memory(client: Any) -> int:
    """Bytes that the server has allocated, once the buffers of its clients have shrunk again."""
    samples: list[int] = []
    for _ in range(8):
        time.sleep(0.25)
        samples.append(int(client.info("memory")["used_memory"]))
    return min(samples)
