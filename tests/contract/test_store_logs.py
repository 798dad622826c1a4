"""What the store promises about the lines that runs log, on every kind of server."""

import dataclasses
from collections.abc import Sequence

import pytest

from millstream_shared import ids, keys, logs
from millstream_shared.kept import Kept
from millstream_shared.logs import Batch, Line, Logs
from millstream_shared.store import Store

RUN = ids.new_task_run_id(None)


@pytest.fixture
def kept(store: Store) -> Logs:
    """The logs of a store that keeps 1,000 lines of a run."""
    return Logs(store)


def batch(lines: Sequence[Line], *, mark: str, run_id: str = RUN, dropped: int = 0, bound: int = 1000) -> Batch:
    first = round(lines[0][0] * 1e6)
    return Batch(run_id, "the name", first, len(lines) + dropped, mark, logs.pack(lines, bound))


def lines(first: int, number: int) -> list[Line]:
    return [(float(at), 20, f"line {at}") for at in range(first, first + number)]


def test_lines_are_kept_in_the_order_in_which_they_come(kept: Logs) -> None:
    """With their times and levels, and with what is known of the run."""
    kept.write([batch(lines(1, 250), mark="a"), batch(lines(0, 3), mark="b", run_id="ab" * 16)])
    kept.write([batch([(300.25, 40, "the last")], mark="c")])
    (found,) = kept.logged(RUN)
    assert (found.run_id, found.name, found.total, found.first, found.bound) == (RUN, "the name", 251, 1.0, 1000)
    assert kept.lines([RUN]) == [(found, [*lines(1, 250), (300.25, 40, "the last")])]
    assert [there for _, there in kept.lines(["ab" * 16, "cd" * 16, RUN])] == [lines(0, 3), kept.lines([RUN])[0][1]]


def test_the_newest_lines_are_kept_of_each_run(kept: Logs, store: Store) -> None:
    """Exactly as many as the settings say are shown, a chunk more may be there, and all are counted."""
    for start in range(0, 2500, 250):
        kept.write([batch(lines(start, 250), mark=str(start), dropped=1000)])
    (found,) = kept.logged(RUN)
    assert found.total == 12_500
    assert kept.lines([RUN]) == [(found, lines(1500, 1000))]
    assert store.command("LLEN", keys.logs(RUN)) <= 12


def test_a_bound_of_few_lines_holds_too(store: Store) -> None:
    """Chunks are then of one line."""
    store.settings = dataclasses.replace(store.settings, logs_lines_per_run=3)
    kept = Logs(store)
    kept.write([batch(lines(0, 50), mark="a", bound=3), batch(lines(50, 1), mark="b", bound=3)])
    assert kept.lines([RUN])[0][1] == lines(48, 3)


def test_what_is_written_twice_is_there_once(kept: Logs) -> None:
    """As when an answer was lost on its way. The same lines in another batch are other lines."""
    written = batch(lines(0, 5), mark="a")
    kept.write([written])
    kept.write([written])
    assert kept.lines([RUN])[0][1] == lines(0, 5)
    kept.write([written._replace(mark="b")])
    assert kept.lines([RUN])[0][1] == lines(0, 5) * 2


def test_lines_live_for_the_retention(kept: Logs, store: Store) -> None:
    """After that those of one run may be gone while others keep what is known of it."""
    kept.write([batch(lines(0, 1500), mark="a", bound=1000)])
    for key in (keys.logs(RUN), keys.logged(RUN)):
        assert 0 < store.command("TTL", key) <= store.settings.retention_seconds
    store.settings = dataclasses.replace(store.settings, logs_retention_seconds=60)
    kept.write([batch(lines(2, 1), mark="another")])
    assert 0 < store.command("TTL", keys.logs(RUN)) <= 60
    store.command("DEL", keys.logs(RUN))
    assert kept.lines([RUN])[0][1] == []
    kept.write([batch(lines(5, 1200), mark="b")])
    assert kept.lines([RUN])[0][1] == lines(205, 1000)
    assert kept.logged(RUN)[0].total == 2701


def test_many_runs_are_written_in_several_calls(kept: Logs, store: Store) -> None:
    """None of which is so large that others wait for it."""
    big = [(1.0, 20, "x" * 1000)] * 100
    runs = [f"{'ab' * 6}{number:020x}" for number in range(40)]
    kept.write([batch(big, mark=run_id, run_id=run_id) for run_id in runs])
    assert sorted(found.run_id for found in kept.logged(runs[0])) == runs
    assert all(store.command("EXISTS", keys.logs(run_id)) for run_id in runs)


def test_flow_runs_within_flow_runs_are_known(store: Store) -> None:
    """Each once, for the retention."""
    kept = Kept(store)
    assert kept.subflows("ab" * 16) == []
    for child in ("cd" * 16, "ef" * 16, "cd" * 16):
        kept.put_subflow("ab" * 16, child)
    assert sorted(kept.subflows("ab" * 16)) == ["cd" * 16, "ef" * 16]
    assert 0 < store.command("TTL", keys.subflows("ab" * 16)) <= store.settings.retention_seconds
