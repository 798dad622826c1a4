"""The demo's flow: five operations on every file, mapped inside of tasks, and their results added up in a tree."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from millstream import flow, task
from millstream.context import FlowRunContext
from millstream.demo import totals
from millstream.demo.operations import OPERATIONS
from millstream.demo.totals import Totals
from millstream.futures import wait

T = TypeVar("T")

_LARGEST_CHUNK = 40
_FEWEST_CHUNKS = 16
_FAN_IN = 8


@flow(name="demo", validate_parameters=False)
def analyze(paths: list[str], on_start: Callable[[str], object]) -> Totals:
    """The totals of all files; `on_start` is told the id of the flow run, so that somebody can watch it."""
    context = FlowRunContext.get()
    assert context is not None
    on_start(context.flow_run.run_id)
    parts = analyze_chunk.map(_chunks(paths, _chunk_size(len(paths))))
    while len(parts) > 1:
        # Futures as arguments: these runs wait in Redis for the parts, and no process waits with them.
        parts = combine.map(_chunks(parts, _FAN_IN))
    return parts[0].result()


@task
def analyze_chunk(paths: list[str]) -> Totals:
    """The totals of some files: a task that submits tasks, one for each operation and file, and waits for them."""
    mapped = {name: operation.map(paths) for name, operation in OPERATIONS.items()}
    wait([future for futures in mapped.values() for future in futures])
    return totals.add_up(
        totals.of_file(path, {name: futures[at].state for name, futures in mapped.items()})
        for at, path in enumerate(paths)
    )


@task
def combine(parts: list[Totals]) -> Totals:
    """The totals of all parts together."""
    return totals.add_up(parts)


def expected_runs(files: int) -> Counter[str]:
    """How many runs of each task the analysis of so many files takes, in the order in which they begin."""
    parts = _count(files, _chunk_size(files))
    runs = Counter({analyze_chunk.name: parts}) + Counter(dict.fromkeys(OPERATIONS, files))
    while parts > 1:
        parts = _count(parts, _FAN_IN)
        runs[combine.name] += parts
    return runs


def _chunk_size(files: int) -> int:
    """Files per chunk: small ones when there are few, so that several processes have something to do."""
    return min(_LARGEST_CHUNK, _count(files, _FEWEST_CHUNKS))


def _count(items: int, size: int) -> int:
    return -(-items // size)


def _chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[at : at + size] for at in range(0, len(items), size)]
