"""Looking after an embedded server by hand: keeping it running, ending it, seeing how it does."""

import fcntl
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from millstream.embedded import homes, pings, servers, supervisor
from millstream_shared import errors

_LOOK_SECONDS = 0.01
_STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Status:
    """How the server of a home does. Of one that does not answer, only the first few fields and `data_bytes` count."""

    url: str
    running: bool
    answers: bool
    """Not so while it runs but is starting, or hangs."""
    kept: bool
    """It runs until it is stopped, with or without users."""
    pid: int | None
    version: str
    memory_bytes: int
    connections: int
    users: int | None
    """Processes that keep it running; None where the system does not tell."""
    data_bytes: int
    """Size of the history on disk."""


def start_server(home: Path) -> str:
    """Start the server of `home`, or keep the one that runs, until `stop_server`; returns its URL.

    Raises ConfigurationError as `ensure_server` does.
    """
    url = servers.ensure_server(home)
    # We are a user up to here, so its supervisor is not on its way out: it will find the marker when we leave.
    homes.describe_home(home).keep_marker.touch(mode=0o600)
    servers.leave_server(home)
    return url


def stop_server(home: Path, *, force: bool = False) -> bool:
    """End the server of `home` and return once it is gone; False if none ran.

    Raises ServiceError if other processes use it, with their number, unless `force`.
    """
    place = homes.describe_home(home)
    if not place.path.is_dir():
        return False
    # Held to the end, so that whoever comes now waits for a new server and does not join the one that goes.
    alone = _lock_out_users(place, force)
    try:
        place.keep_marker.unlink(missing_ok=True)
        return _end_supervisor(place)
    finally:
        if alone is not None:
            os.close(alone)


def read_status(home: Path) -> Status:
    """How the server of `home` does now; asking neither starts it nor keeps it."""
    place = homes.describe_home(home)
    info = pings.read_info(place.socket)
    return Status(
        url=place.url,
        running=bool(info) or _is_supervised(place),
        answers=bool(info),
        kept=place.keep_marker.exists(),
        pid=place.server_pid() if info else None,
        version=_name_version(info),
        memory_bytes=int(info.get("used_memory", 0)),
        connections=max(int(info.get("connected_clients", 0)) - 1, 0),  # one is this question's
        users=count_users(place),
        data_bytes=sum(_size(file) for file in place.path.glob("appendonlydir/*")),
    )


def count_users(home: homes.Home) -> int | None:
    """How many processes use the server of `home`; None where the system does not tell (it has no /proc/locks)."""
    try:
        inode = (home.path / supervisor.USERS_LOCK).stat().st_ino
        locks = Path("/proc/locks").read_text()
    except OSError:
        return None if home.socket.exists() else 0
    # A line: `1: FLOCK  ADVISORY  READ 4711 00:1f:815 0 EOF`, with `->` before FLOCK for one that still waits.
    held = (line.split() for line in locks.splitlines() if "->" not in line)
    return sum(1 for words in held if words[1:4:2] == ["FLOCK", "READ"] and words[5].endswith(f":{inode}"))


def _is_supervised(home: homes.Home) -> bool:
    if not (home.path / supervisor.SUPERVISOR_LOCK).exists():
        return False
    probe = home.lock(supervisor.SUPERVISOR_LOCK, fcntl.LOCK_SH | fcntl.LOCK_NB)
    if probe is not None:
        os.close(probe)
    return probe is None


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # The server has just replaced it.
        return 0


def _name_version(info: dict[str, str]) -> str:
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info['redis_version']}" if info else ""


def _lock_out_users(home: homes.Home, force: bool) -> int | None:
    while True:
        alone = home.lock(supervisor.USERS_LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if alone is not None or force:
            return alone
        shared = home.lock(supervisor.USERS_LOCK, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if shared is not None:
            os.close(shared)
            break
        # Somebody else has it alone: a supervisor that is ending, or looks whether it may.
        time.sleep(_LOOK_SECONDS)
    users = count_users(home)
    number = "other processes use" if users is None else f"{users} process{'es use' if users != 1 else ' uses'}"
    raise errors.ServiceError(f"{number} the server in {home.path}: wait for their end, or use --force.")


def _end_supervisor(home: homes.Home) -> bool:
    told: int | None = None
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        lock = home.lock(supervisor.SUPERVISOR_LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if lock is not None:
            os.close(lock)
            return told is not None
        pid = home.supervisor_pid()  # missing for a moment after its start
        if told is None and pid is not None:
            os.kill(pid, signal.SIGTERM)
            told = pid
        elif told is not None and pid not in (told, None):
            return True  # It is gone: a process that was still using it has already started another.
        time.sleep(_LOOK_SECONDS)
    raise errors.ServiceError(f"The server in {home.path} does not end; its supervisor is process {told}.")
