"""What takes long to load is loaded by those programs alone that need it."""

import subprocess
import sys

import pytest

from tests.harness.servers import RealServer

FLOW = """
import sys
from millstream import flow, task
from millstream.task_runners import ThreadPoolTaskRunner

@task
def double(x: int) -> int:
    return 2 * x

@flow(task_runner=ThreadPoolTaskRunner)
def doubling(x: int, name: str = "x") -> list[int]:
    return double.map(range(x)).result()

doubling(3)
"""
COMMAND = """
import sys
from millstream.cli import main
main(["worker", "ls"], standalone_mode=False)
"""


@pytest.mark.parametrize("program", [FLOW, COMMAND])
def test_plain_programs_do_not_load_pydantic(program: str, valkey: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor for settings of any kind: it would make most of the time in which they start."""
    given = {"REDIS_URL": valkey.url, "LEASE_SECONDS": "20", "LOGS_TO_REDIS": "no", "LOGGING_LEVEL": "error"}
    for name, value in given.items():
        monkeypatch.setenv(f"MILLSTREAM_{name}", value)
    loaded = "print('loaded', *{'pydantic', 'redis'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program + loaded], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("loaded redis\n")
