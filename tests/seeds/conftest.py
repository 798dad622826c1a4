"""What the tests of programs start with."""

import pytest

from tests.harness.processes import Processes
from tests.seeds.programs import Programs


@pytest.fixture
def programs(running: Processes) -> Programs:
    """Runs programs in a home of their own; none of their processes may be left afterwards."""
    return Programs(running)
