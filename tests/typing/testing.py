"""Tests of flows: what `workflows` gives, and what its assertions take and give."""

from collections.abc import Generator
from typing import Any, assert_type

from millstream import flow, task, testing
from millstream.testing import Run, Runs


@task
def double(x: int) -> int:
    return 2 * x


@flow
def doubled(xs: list[int]) -> list[int]:
    return double.map(xs).result()


def runs() -> Generator[Runs, None, None]:
    with testing.workflows(threads=2, timeout=1, crash_limit=1) as environment:
        assert_type(environment, Runs)
        yield environment


def test_doubled(runs: Runs) -> None:
    assert doubled([1]) == [2]
    assert_type(runs.of(double), list[Run])
    assert_type(runs.of(doubled)[0].parameters, dict[str, Any])
    runs.assert_called(double, times=1)
    runs.assert_called_with(double, 1)
    assert_type(runs.assert_failed(doubled, ValueError, match="no"), ValueError)
    assert_type(runs.assert_failed(doubled([1], return_state=True)), Exception)
    runs.assert_completed(runs.of(double)[0])
    runs.of(3)  # type: ignore[arg-type] # pyright: ignore
