"""Starting the server of a home, or joining the one that runs, and being counted among its users."""

import contextlib
import fcntl
import os
import sys
import threading
import time
from pathlib import Path

from millstream.embedded import homes, pings, supervisor
from millstream_shared import errors

START_SECONDS = 30.0
"""How long a server may take to answer; it first reads all the data that it had."""
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.001, 0.02
_SPAWNS = 2  # A supervisor may have been killed while we waited for it; the second one to end has a reason.

_used: dict[Path, int] = {}
_changing = threading.Lock()


def ensure_server(home: Path) -> str:
    """Make sure that the private server of the folder `home` runs, and return its URL once it answers.

    The server runs at least until this process has ended, in whatever way, or has called `leave_server`; processes
    forked from it count as it does. Cheap when the server runs (some 0.1 ms), so it is also the way to come back after
    a connection broke. Safe from any thread and any number of processes.

    Raises ConfigurationError when no server can be had on this machine, and says what to do.
    """
    place = homes.open_home(home)
    with _changing:
        _become_user(place)
        try:
            _wait_until_ready(place)
        except errors.ConfigurationError:
            os.close(_used.pop(place.path))
            raise
    return place.url


def leave_server(home: Path) -> None:
    """No longer be a user of the server of `home`; it ends if nobody else uses it. Does nothing if we were none."""
    with _changing:
        lock = _used.pop(homes.describe_home(home).path, None)
        if lock is not None:
            os.close(lock)


def _become_user(home: homes.Home) -> None:
    held = _used.get(home.path)
    if held is not None:
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(held), (home.path / supervisor.USERS_LOCK).stat()):
                return
        os.close(_used.pop(home.path))  # Somebody has deleted the folder: this lock keeps nothing running any more.
    lock = home.lock(supervisor.USERS_LOCK, fcntl.LOCK_SH)  # Waits here while an earlier server is ending.
    assert lock is not None
    _used[home.path] = lock


def _wait_until_ready(home: homes.Home) -> None:
    deadline, look, spawns = time.monotonic() + START_SECONDS, _FIRST_LOOK_SECONDS, 0
    while time.monotonic() < deadline:
        # First the lock, then the ping: a server whose supervisor was killed answers for another moment.
        lock = home.lock(supervisor.SUPERVISOR_LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if lock is not None:
            if spawns == _SPAWNS:
                os.close(lock)
                break
            _spawn_supervisor(home, lock)
            spawns += 1
        elif pings.ping(home.socket):
            return
        time.sleep(look)
        look = min(look * 1.2, _LONGEST_LOOK_SECONDS)
    raise errors.ConfigurationError(
        f"The embedded server in {home.path} does not start: {home.last_words() or 'it wrote no log'}. "
        "See server.log there, or set MILLSTREAM_REDIS_URL to a Redis that runs."
    )


def _spawn_supervisor(home: homes.Home, lock: int) -> None:
    """Start a supervisor and give it the `lock`, closing our copy."""
    import subprocess  # Only the process that starts the server pays for these two.

    from millstream.embedded import binaries

    try:
        # -W: a warning about fork and threads would only fill the log; our child does nothing but exec.
        python = [sys.executable, "-I", "-S", "-W", "ignore"]
        arguments = [str(home.path), str(binaries.find_binary()), str(lock)]
        # So that none but the new server can answer there, and none but the new supervisor is named. The process id of
        # the last server stays: if that one still runs, its id is needed to end it.
        for stale in (supervisor.SOCKET, supervisor.SUPERVISOR_PID):
            (home.path / stale).unlink(missing_ok=True)
        with (home.path / supervisor.SUPERVISOR_LOG).open("ab") as log:
            subprocess.run(
                [*python, supervisor.__file__, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                start_new_session=True,
                check=True,
            )
    finally:
        os.close(lock)


def _forget_lock_after_fork() -> None:
    global _changing
    _changing = threading.Lock()  # Another thread of the parent may have held it.


os.register_at_fork(after_in_child=_forget_lock_after_fork)
