"""Large results of a script that has a private server: next to it on disk, not in it."""

from tests.harness.processes import Processes

SCRIPT = """
from millstream import flow, task
from millstream.cache_policies import INPUTS

@task
def double(data: bytes) -> bytes:
    return data * 2

@task(cache_policy=INPUTS)
def count(data: bytes) -> int:
    print("counted")
    return len(data)

@flow
def main() -> int:
    return count.submit(double.submit(bytes(3_000_000))).result()

print(main())
"""


def test_large_arguments_and_results_lie_in_the_home(running: Processes) -> None:
    """A second run of the script finds what the first has cached, although its server was gone meanwhile."""
    first = running.python(SCRIPT).succeed()
    assert "6000000" in first
    assert "counted" in first
    sizes = [file.stat().st_size for file in (running.folder / "home" / "results").rglob("*") if file.is_file()]
    assert sorted(size // 1_000_000 for size in sizes) == [3, 6]
    again = running.python(SCRIPT).succeed()
    assert "6000000" in again
    assert "Cached" in again
    assert "counted" not in again
