"""What shows, on its own machine, that the loop of a worker goes round: a file that it touches, and systemd's watchdog.

Neither needs Redis: a worker that rides out an outage is well, and nobody should restart it.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from millstream_shared import ids
from millstream_shared.settings import Settings
from millstream_worker import worker_logging


@dataclass(frozen=True, slots=True)
class Sign:
    """What a worker on this machine says of itself: its name in Redis, its process, and how long ago it said so."""

    worker: str
    pid: int
    host: str
    silent_seconds: float

    @property
    def name(self) -> str:
        """The name that it was given, or `worker`."""
        return ids.label_of(self.worker)


def folder(settings: Settings) -> Path:
    """Where the files are."""
    return settings.home / "workers"


class Pulse:
    """The signs of life of one worker. A folder that cannot be written is told once, and then done without."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: Path | None = None

    def begin(self, worker: str) -> None:
        """The worker serves now, under this name."""
        self.end()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for path, sign in _signs(self._folder):
                if sign.host == socket.gethostname() and not ids.lives_beside(sign.worker):
                    path.unlink(missing_ok=True)
            self._file = self._folder / f"{worker}.json"
            sign = Sign(worker, os.getpid(), socket.gethostname(), 0.0)
            self._file.write_text(json.dumps(asdict(sign)))
        except OSError as refused:
            self._file = None
            worker_logging.warning("`millstream worker check` will not find this worker", reason=str(refused))
        notify_systemd("READY=1")

    def beat(self) -> None:
        """The loop has gone round."""
        if self._file is not None:
            with suppress(OSError):
                os.utime(self._file)
        notify_systemd("WATCHDOG=1")

    def end(self) -> None:
        """The worker serves no more."""
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
            self._file = None


def signs(folder: Path) -> list[Sign]:
    """Of all workers of this machine whose processes are there."""
    here = socket.gethostname()
    return [sign for _, sign in _signs(folder) if sign.host == here and ids.lives_here(sign.worker)]


def _signs(folder: Path) -> Iterator[tuple[Path, Sign]]:
    now = time.time()
    for path in folder.glob("*.json"):
        # One that is being written, or removed, is not there yet or any more.
        with suppress(OSError, ValueError, KeyError):
            said: dict[str, Any] = json.loads(path.read_text())
            silent = max(now - path.stat().st_mtime, 0.0)
            yield path, Sign(said["worker"], said["pid"], said["host"], silent)


def notify_systemd(state: str) -> None:
    """Tell the service manager that started this process, if it wants to be told: see sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        # An address that begins with @ is no file.
        manager.connect("\0" + address[1:] if address.startswith("@") else address)
        manager.sendall(state.encode())
