"""What the tutorial's tests run on: each task runner in turn, over a real server and a real worker."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from millstream import sessions
from millstream.task_runners import QueueTaskRunner, SequentialTaskRunner, TaskRunner, ThreadPoolTaskRunner
from millstream_shared import settings
from tests.harness import eventually, keys
from tests.harness.servers import RealServer, find_valkey

RUNNERS = {"queue": QueueTaskRunner, "threads": ThreadPoolTaskRunner, "sequential": SequentialTaskRunner}


@pytest.fixture(scope="session")
def _served() -> Iterator[str]:
    """The URL of a server with a worker, for all tests of this process."""
    server = RealServer(find_valkey()).start()
    # The worker finds the functions of the test modules where pytest found them.
    environment = os.environ | {
        "MILLSTREAM_REDIS_URL": server.url,
        "MILLSTREAM_LOGGING_LEVEL": "CRITICAL",
        "MILLSTREAM_RESULT_STORAGE": str(server.folder / "results"),
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
    }
    worker = subprocess.Popen([sys.executable, "-m", "millstream_worker"], env=environment)
    yield server.url
    sessions.close_current()
    eventually(lambda: server.client().exists("rq:workers"))  # or the signal finds it on its way to a worker
    worker.send_signal(signal.SIGTERM)
    try:
        assert worker.wait(20) == 0
        keys.audit(server)
    finally:
        worker.kill()
        server.discard()


@pytest.fixture(autouse=True)
def _on_the_server(_served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows record on the server, and use threads unless they say otherwise."""
    monkeypatch.setenv("MILLSTREAM_REDIS_URL", _served)
    monkeypatch.setenv("MILLSTREAM_DEFAULT_TASK_RUNNER", "threads")
    settings.get_settings.cache_clear()


@pytest.fixture
def result_folder(_served: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where large results go, empty: the worker's storage, and in this test this process's too."""
    folder = Path(_served.removeprefix("unix://")).with_name("results")
    shutil.rmtree(folder, ignore_errors=True)
    monkeypatch.setenv("MILLSTREAM_RESULT_STORAGE", str(folder))
    settings.get_settings.cache_clear()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["queue", "threads", "sequential"])
def task_runner(request: pytest.FixtureRequest) -> TaskRunner:
    """Each task runner, for rules that hold under all of them."""
    return RUNNERS[request.param]()


@pytest.fixture(params=["queue", "threads"])
def concurrent_runner(request: pytest.FixtureRequest) -> TaskRunner:
    """Each task runner that executes several runs at once."""
    return RUNNERS[request.param]()
