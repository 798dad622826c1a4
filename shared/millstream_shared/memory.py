"""Servers that are only objects of this process, for tests: each has a URL `memory://NAME`, of use nowhere else."""

import itertools
import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from millstream_shared import errors

SCHEME: Final = "memory://"
_ADVICE: Final = "Servers in memory need fakeredis with Lua: pip install 'millstream[testing]'."

_servers: dict[str, Any] = {}
_numbers = itertools.count(1)


@contextmanager
def server() -> Generator[str]:
    """A server that is empty, while the `with` lasts; gives its URL.

    Raises ConfigurationError where fakeredis is not installed.
    """
    try:
        import fakeredis  # noqa: F401  # pyright: ignore  # slow, and only for tests
        import lupa  # noqa: F401  # pyright: ignore  # without it fakeredis knows no scripts
    except ImportError as missing:
        raise errors.ConfigurationError(f"{_ADVICE} ({missing})") from missing
    url = f"{SCHEME}{os.getpid()}-{next(_numbers)}"
    _servers[url] = make()
    try:
        yield url
    finally:
        del _servers[url]


def make() -> Any:
    """A server for clients of fakeredis."""
    import fakeredis  # slow, and only for tests

    server = fakeredis.FakeServer(version=(7, 0))
    # Else the first to connect make the database: two of them if they do so at once, and what the one writes is lost.
    _ = server.dbs[0]
    return server


def is_in_memory(client: Any) -> bool:
    """Whether a client is one of such a server."""
    return type(client).__module__.startswith("fakeredis")


def connect(url: str) -> Any:
    """A client. Raises ConfigurationError for a server that is not there: it was closed, or is another process's."""
    server = _servers.get(url)
    if server is None:
        raise errors.ConfigurationError(
            f"{url} is a server in the memory of a test's process, and not there in this one: it is closed, or this is "
            f"a process that the test has started, which needs a real server."
        )
    import fakeredis  # slow, and only for tests

    client: Any = fakeredis.FakeRedis(server=server)
    return client
