"""Fixtures for all tests: servers with an audit of what is left in them, processes, and a home of the session's own."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from millstream import embedded, sessions
from millstream.embedded import homes
from millstream_shared import settings
from millstream_shared.store import Store
from tests.harness import eventually, keys, processes, servers

_FOLDER = pytest.StashKey[Path]()

# How fast the machine is, and what else it does, is not what the properties are about.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Forget the tester's own settings and home before anything reads them."""
    # A shell's background jobs ignore these, and so would every process that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Hundreds of processes are started: none should compile what another one has compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    folder = Path(tempfile.mkdtemp(prefix="ms-"))
    config.stash[_FOLDER] = folder
    for name in list(os.environ):
        if name.startswith("MILLSTREAM_") and not name.startswith("MILLSTREAM_TEST_"):
            del os.environ[name]
    os.environ["HOME"] = str(folder)
    os.environ["MILLSTREAM_HOME"] = str(folder / "home")


def pytest_unconfigure(config: pytest.Config) -> None:
    home = homes.describe_home(Path(os.environ["MILLSTREAM_HOME"]))
    embedded.leave_server(home.path)
    with contextlib.suppress(AssertionError):  # What still uses it ends later in this process.
        eventually(lambda: not home.socket.exists(), timeout=2)
    shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marker = item.get_closest_marker("leaves_work")
        if marker is not None and not (marker.args or marker.kwargs.get("reason")):
            raise pytest.UsageError(f"{item.nodeid}: leaves_work needs a reason")


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    """Each test reads the settings from the environment as it finds or makes it."""
    settings.get_settings.cache_clear()
    yield
    settings.get_settings.cache_clear()


@pytest.fixture(autouse=True)
def _own_session(request: pytest.FixtureRequest) -> Iterator[None]:
    """No session of another test, with another server; but those of the manual share theirs, as they share a server."""
    if "fundamentals" in request.path.parts:
        yield
        return
    sessions.close_current()
    yield
    sessions.close_current()


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a path short enough for sockets."""
    made = Path(tempfile.mkdtemp(prefix="ms-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def valkey(request: pytest.FixtureRequest) -> Iterator[servers.RealServer]:
    """A running Valkey, the one that users have who install nothing."""
    yield from _serve(servers.RealServer(servers.find_valkey()).start(), request)


@pytest.fixture
def redis_server(request: pytest.FixtureRequest) -> Iterator[servers.RealServer]:
    """A running Redis, the one that the machine has."""
    yield from _serve(servers.RealServer(servers.find_redis()).start(), request)


@pytest.fixture
def fakeredis(request: pytest.FixtureRequest) -> Iterator[servers.MemoryServer]:
    """A server in memory."""
    yield from _serve(servers.MemoryServer(), request)


@pytest.fixture(params=["valkey", "redis_server", "fakeredis"])
def server(request: pytest.FixtureRequest) -> servers.Server:
    """Each kind of server in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def store(server: servers.Server) -> Iterator[Store]:
    """The store, over each kind of server in turn."""
    client = None if isinstance(server, servers.RealServer) else server.client()
    opened = Store(server.url, settings.get_settings(), client)
    yield opened
    opened.close()


@pytest.fixture
def running(folder: Path) -> Iterator[processes.Processes]:
    """Starts real processes, whose embedded server, if they use one, has its home in `folder / "home"`."""
    started = processes.Processes(folder, MILLSTREAM_HOME=str(folder / "home"))
    yield started
    started.end()


def _serve(server: servers.Server, request: pytest.FixtureRequest) -> Iterator[Any]:
    try:
        yield server
        if isinstance(server, servers.RealServer) and not server.runs:
            server.start()
        keys.audit(server, work_may_be_left=request.node.get_closest_marker("leaves_work") is not None)
    finally:
        server.discard()
