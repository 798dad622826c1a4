"""The program that keeps one embedded server alive exactly as long as somebody uses it.

It runs by its path under `python -I -S`, with nothing but the standard library, so that it is up in some 20 ms. Three
locks in the home say all there is to know; the kernel drops them however a process dies, `kill -9` included:

- `users.lock`, shared: held by every process that uses the server. Who gets it exclusively knows that nobody is left.
- `supervisor.lock`: held by the supervisor. Who gets it may, and must, start a supervisor; it is handed over open, so
  there is no moment at which two could be started.
- `server.lock`: held by the server itself (it inherits the descriptor), so two servers never write to the same data.

All paths are relative to the home, which is the working folder: a home that was deleted and made anew is another home,
and this supervisor must not touch it.
"""

import _thread
import contextlib
import fcntl
import os
import signal
import sys
import time

USERS_LOCK = "users.lock"
SUPERVISOR_LOCK = "supervisor.lock"
SERVER_LOCK = "server.lock"
SOCKET = "server.sock"
SERVER_PID = "server.pid"
SUPERVISOR_PID = "supervisor.pid"
SERVER_LOG = "server.log"
SUPERVISOR_LOG = "supervisor.log"
KEEP = "keep"

OPTIONS = {
    "dir": ".",
    "port": "0",
    "unixsocket": SOCKET,
    "unixsocketperm": "700",
    "databases": "1",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    # Plain commands instead of a binary dump: whichever server is found next time, another make or an older one, can
    # read the history.
    "aof-use-rdb-preamble": "no",
    "auto-aof-rewrite-min-size": "8mb",
    "maxmemory-policy": "noeviction",
    "logfile": SERVER_LOG,
    "loglevel": "warning",
    "daemonize": "no",
}

_END = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1}  # USR1: nobody uses the server any more
_WATCHED = _END | {signal.SIGCHLD, signal.SIGALRM}
_STOP_SECONDS = 5.0
_HASTY_SECONDS = 1.0  # a server that ends sooner than this after its start counts as failed
_MAX_FAILURES = 5
_LOG_BYTES = 1_000_000
_COMPACT_BYTES = 8_000_000
_COMPACT_SECONDS = 10.0


def main(home: str, binary: str, supervisor_lock: str) -> None:
    """Start the server of `home` and stay until nobody uses it; the open descriptor of the lock came with us."""
    if os.fork():
        os._exit(0)  # Leaves us to init: no client has to reap us.
    os.set_inheritable(int(supervisor_lock), False)
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    for number in _WATCHED:
        # A signal that is ignored, which the program that started us may have passed on to us, never arrives.
        signal.signal(number, _note)
    os.umask(0o077)
    os.chdir(home)
    _write(SUPERVISOR_PID, os.getpid())
    _shorten(SERVER_LOG)
    server_lock = _lock_out_orphans()
    server = _start(binary, server_lock)
    _thread.start_new_thread(_tell_when_unused, ())
    server = _run_until_ended(binary, server, server_lock)
    if server:
        _compact()
    _stop(server)
    for left in (SOCKET, SERVER_PID, SUPERVISOR_PID):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(left)


def _note(number: int, frame: object) -> None:
    """Never called: signals are blocked, and taken by `sigwait`."""


def _run_until_ended(binary: str, server: int, server_lock: int) -> int:
    """Restart the server whenever it ends by itself; returns its process id, 0 if it is not running."""
    started, failures = time.monotonic(), 0
    while (event := signal.sigwait(_WATCHED)) not in _END:
        if event == signal.SIGALRM:
            server, started = _start(binary, server_lock), time.monotonic()
        elif server and _ended(server):
            server = 0
            failures = failures + 1 if time.monotonic() - started < _HASTY_SECONDS else 0
            if failures == _MAX_FAILURES:
                _log("the server ends as soon as it has started: giving up")
                break
            signal.setitimer(signal.ITIMER_REAL, 0.01 * 3**failures)
    return server


def _tell_when_unused() -> None:
    """Wait in a thread until nobody holds the users' lock, then say so to the main thread."""
    try:
        lock = os.open(USERS_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(KEEP):
            # Runs until it is told to stop. Users go on coming and going: they must not find the lock taken.
            os.close(lock)
            return
    except OSError as failure:
        # The home was deleted: nobody can find the server any more.
        _log(f"ending, as {USERS_LOCK} cannot be locked: {failure}")
    # Kept to the end of this process: who comes now waits until we are gone, then starts a new server.
    os.kill(os.getpid(), signal.SIGUSR1)


def _start(binary: str, server_lock: int) -> int:
    supervisor = os.getpid()
    prctl = _find_prctl()
    server = os.fork()
    if server:
        return server
    try:
        # Before it can answer anybody, so that who reaches the server finds its number.
        _write(SERVER_PID, os.getpid())
        if prctl is not None:
            prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: the kernel ends the server when the supervisor is killed
            if os.getppid() != supervisor:
                os._exit(1)
        os.set_inheritable(server_lock, True)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execv(binary, [binary, *(word for name, value in OPTIONS.items() for word in ("--" + name, value))])
    except OSError as failure:
        _log(f"cannot run {binary}: {failure}")
    finally:
        os._exit(127)


def _find_prctl():
    if not sys.platform.startswith("linux"):
        return None
    import ctypes  # Elsewhere not needed, and slow to load.

    return ctypes.CDLL(None).prctl


def _ended(server: int) -> bool:
    pid, status = os.waitpid(server, os.WNOHANG)
    if pid:
        _log(f"server {server} ended, exit code {os.waitstatus_to_exitcode(status)}")
    return bool(pid)


def _compact() -> None:
    """Have the server write its history anew when most of it is over.

    It would do so by itself, but counts from its own start: one that lives as long as a script never comes to it, and
    the next would read more and more.
    """
    import glob  # Not needed to start, which is to take 20 ms.
    import socket

    base, added = (sum(map(os.path.getsize, glob.glob(f"appendonlydir/*.{part}.aof"))) for part in ("base", "incr"))
    if added < max(_COMPACT_BYTES, base):
        return
    deadline = time.monotonic() + _COMPACT_SECONDS
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_COMPACT_SECONDS)
        connection.connect(SOCKET)
        connection.sendall(b"BGREWRITEAOF\r\n")
        while time.monotonic() < deadline:
            time.sleep(0.02)
            connection.sendall(b"INFO persistence\r\n")
            if b"aof_rewrite_in_progress:0" in connection.recv(1 << 16):
                return


def _stop(server: int) -> None:
    """End the server gently: it writes its data out first. Kill it if it does not come to an end."""
    if not server:
        return
    os.kill(server, signal.SIGTERM)
    signal.setitimer(signal.ITIMER_REAL, _STOP_SECONDS)
    while not _ended(server):
        if signal.sigwait({signal.SIGCHLD, signal.SIGALRM}) == signal.SIGALRM:
            os.kill(server, signal.SIGKILL)


def _lock_out_orphans() -> int:
    """Take the server's lock; a server that has outlived its supervisor is ended first."""
    lock = os.open(SERVER_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    _signal_orphan(signal.SIGTERM)
    _thread.start_new_thread(_kill_orphan_later, (lock,))
    _log("waiting for the server of an earlier supervisor to end")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _kill_orphan_later(lock: int) -> None:
    time.sleep(_STOP_SECONDS)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # Ours by now: taking it again changes nothing.
    except BlockingIOError:
        _signal_orphan(signal.SIGKILL)


def _signal_orphan(number: int) -> None:
    # Its lock is taken, so the server that wrote this number still lives: the number is not somebody else's.
    with contextlib.suppress(OSError, ValueError), open(SERVER_PID) as file:
        os.kill(int(file.read()), number)


def _write(name: str, pid: int) -> None:
    with open(name + ".new", "w") as file:
        file.write(f"{pid}\n")
    os.replace(name + ".new", name)


def _shorten(name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if os.path.getsize(name) > _LOG_BYTES:
            os.replace(name, name + ".1")


def _log(message: str) -> None:
    print(time.strftime("%Y-%m-%d %H:%M:%S"), message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
