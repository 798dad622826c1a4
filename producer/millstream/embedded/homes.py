"""The folder of an embedded server: what lies in it, and whether it can be used."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from millstream.embedded import supervisor
from millstream_shared import errors

SOCKET_PATH_BYTES = 100
"""A little less than the shortest limit for the path of a unix socket (104 on macOS, 108 on Linux)."""


@dataclass(frozen=True, slots=True)
class Home:
    """The home at `path`, an absolute path."""

    path: Path

    @property
    def socket(self) -> Path:
        return self.path / supervisor.SOCKET

    @property
    def url(self) -> str:
        """What redis-py's `from_url` takes to connect to the server of this home."""
        return f"unix://{self.socket}"

    @property
    def keep_marker(self) -> Path:
        """Exists while the server is to run on without users."""
        return self.path / supervisor.KEEP

    def server_pid(self) -> int | None:
        return _read_pid(self.path / supervisor.SERVER_PID)

    def supervisor_pid(self) -> int | None:
        return _read_pid(self.path / supervisor.SUPERVISOR_PID)

    def lock(self, name: str, operation: int) -> int | None:
        """Lock the file `name` of this home by `operation`, as `fcntl.flock` takes it.

        Returns the open descriptor, or None if `operation` is non-blocking and the lock is taken. The lock lasts until
        the last process that holds the descriptor has closed it. Raises ConfigurationError where files have no locks.
        """
        descriptor = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, operation)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as failure:
            os.close(descriptor)
            raise errors.ConfigurationError(
                f"Files in {self.path}, the folder of the embedded server, cannot be locked: {failure.strerror}. "
                "Set MILLSTREAM_HOME to a folder on a local disk."
            ) from failure
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def last_words(self) -> str:
        """The last line that the server or its supervisor wrote, for an error message; empty if there is none."""
        for name in (supervisor.SERVER_LOG, supervisor.SUPERVISOR_LOG):
            try:
                lines = (self.path / name).read_text(errors="replace").split("\n")
            except OSError:
                continue
            # A warning, such as one about the kernel's settings, is not why it ended.
            if written := [line.strip() for line in lines if line.strip() and " WARNING " not in line]:
                return written[-1]
        return ""


def open_home(folder: Path) -> Home:
    """Make `folder` if it is not there, for its owner alone, and check that an embedded server can live in it.

    Raises ConfigurationError when its path is too long for a socket, when it cannot be made, or when other users could
    write to it (and so pass for the server).
    """
    home = describe_home(folder)
    try:
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = home.path.stat()
    except OSError as failure:
        raise errors.ConfigurationError(
            f"The folder of the embedded server, {home.path}, cannot be used: {failure.strerror}. "
            "Set MILLSTREAM_HOME to a folder that you can write to."
        ) from failure
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise errors.ConfigurationError(
            f"Other users can write to {home.path}, the folder of the embedded server. "
            f"Run `chmod 700` on it, if it is yours, or set MILLSTREAM_HOME to another folder."
        )
    return home


def describe_home(folder: Path) -> Home:
    """The home at `folder`, without touching the disk. Raises ConfigurationError when its path is too long."""
    home = Home(folder.expanduser().absolute())
    if len(os.fsencode(home.socket)) > SOCKET_PATH_BYTES:
        raise errors.ConfigurationError(
            f"The socket {home.socket} of the embedded server has a path of more than {SOCKET_PATH_BYTES} bytes, which "
            "the system does not allow. Set MILLSTREAM_HOME to a folder with a shorter path."
        )
    return home


def _read_pid(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
