"""The rules of other files hold under `testing.workflows` too: a test of a flow sees what a worker would do."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from millstream import testing
from millstream.task_runners import QueueTaskRunner, TaskRunner
from tests.fundamentals import test_final_states, test_flows, test_futures, test_inputs, test_mapping, test_submitting


@pytest.fixture
def task_runner() -> Iterator[TaskRunner]:
    """The queue, in this process."""
    with testing.workflows():
        yield QueueTaskRunner()


@pytest.fixture
def concurrent_runner() -> Iterator[TaskRunner]:
    """The queue, in this process, where several runs are executed at once."""
    with testing.workflows(threads=8):
        yield QueueTaskRunner()


def _rules(module: Any) -> dict[str, Any]:
    """The tests of a file that are about task runners."""
    return {
        name: test
        for name, test in vars(module).items()
        if name.startswith("test_") and {"task_runner", "concurrent_runner"} & inspect.signature(test).parameters.keys()
    }


for module in (test_final_states, test_flows, test_futures, test_inputs, test_mapping, test_submitting):
    for name, test in _rules(module).items():
        assert name not in globals(), f"two tests are called {name}"
        globals()[name] = test
