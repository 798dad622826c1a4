"""Fixtures of tests with real workers."""

import sys
from pathlib import Path

import pytest

from millstream_shared import settings
from tests.harness.ledgers import Ledger
from tests.harness.processes import Processes
from tests.harness.servers import RealServer


@pytest.fixture
def ledger(folder: Path, running: Processes, valkey: RealServer) -> Ledger:
    """What programs and tasks write down; the processes of the test have one server."""
    running.environment |= {"LEDGER": str(folder / "ledger"), "MILLSTREAM_REDIS_URL": valkey.url}
    return Ledger(folder / "ledger")


@pytest.fixture
def program_ledger(
    request: pytest.FixtureRequest,
    folder: Path,
    ledger: Ledger,
    valkey: RealServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Ledger:
    """What the module of the test has as PROGRAM writes down, wherever it is executed.

    It can be imported as MODULE, by the test and by workers, which all have one server.
    """
    name: str = request.module.MODULE
    (folder / f"{name}.py").write_text(request.module.PROGRAM)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setenv("MILLSTREAM_REDIS_URL", valkey.url)
    settings.get_settings.cache_clear()
    return ledger
