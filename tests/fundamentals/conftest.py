"""What the tutorial's tests run on: each task runner in turn, and a process that records nothing."""

import pytest

from millstream import recording
from millstream.task_runners import SequentialTaskRunner, TaskRunner, ThreadPoolTaskRunner


@pytest.fixture(autouse=True)
def _in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows use threads unless they say otherwise, and no server is needed."""
    monkeypatch.setenv("MILLSTREAM_DEFAULT_TASK_RUNNER", "threads")
    for name in ("flow_run_started", "flow_run_finished", "run_finished"):
        monkeypatch.setattr(recording, name, lambda *_: None)


@pytest.fixture(params=["threads", "sequential"])
def task_runner(request: pytest.FixtureRequest) -> TaskRunner:
    """Each task runner, for rules that hold under all of them."""
    return {"threads": ThreadPoolTaskRunner, "sequential": SequentialTaskRunner}[request.param]()


@pytest.fixture(params=["threads"])
def concurrent_runner(request: pytest.FixtureRequest) -> TaskRunner:
    """Each task runner that executes several runs at once."""
    return {"threads": ThreadPoolTaskRunner}[request.param]()
