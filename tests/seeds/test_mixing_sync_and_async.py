"""Programs that mix sync and async tasks, and await, gather or map them in sync and async flows."""

from millstream_shared.states import StateType
from tests.seeds.programs import Programs, most_at_once


def test_futures_are_gathered(programs: Programs):
    """`asyncio.gather` over five futures gives their values in order, after the time of one."""
    ended = programs.run("gather_of_futures")
    assert "Results: [2, 4, 6, 8, 10]" in ended.lines
    assert ended.said("returned") == "[2, 4, 6, 8, 10]"
    assert ended.seconds_at_work() < 5
    assert most_at_once(ended.runs_of("async_task")) == 5


def test_futures_are_awaited_in_a_task_group(programs: Programs):
    """Futures can be awaited by the tasks of an AnyIO group, which get their values at the same time."""
    ended = programs.run("task_group")
    assert "Results: [2, 4, 6, 8, 10]" in ended.lines
    assert ended.said("returned") == "[2, 4, 6, 8, 10]"
    assert ended.seconds_at_work() < 5
    assert most_at_once(ended.runs_of("async_task")) == 5


def test_sync_and_async_tasks_are_gathered_together(programs: Programs):
    """One gather takes futures of sync and of async tasks; a sync flow may return both, and its caller gets states."""
    ended = programs.run("mixed_flow")
    assert ended.said("Sync results") == "[2, 4, 6]"
    assert ended.said("Async results") == "[3, 6, 9]"
    assert ended.said("returned") == "[2, 4, 6, 3, 6, 9]"
    assert ended.seconds_at_work() < 6
    assert ended.said("states") == str(["Completed()"] * 6)
    assert ended.said("results of the states") == "[2, 4, 6, 3, 6, 9]"
    assert ended.seconds("seconds of the sync flow") < 6
    assert ended.states_of("mixed-flow", "sync-mixed-flow") == [StateType.COMPLETED] * 2
    assert most_at_once(ended.runs_of("sync_task", "async_task")) == 6


def test_a_task_group_fills_a_dictionary(programs: Programs):
    """A flow whose task group fills lists in a dictionary returns them as plain data."""
    ended = programs.run("complex_mixed_flow")
    assert ended.said("Sync results") == "[2, 4, 6]"
    assert ended.said("Async results") == "[3, 6, 9]"
    assert ended.said("returned") == "{'sync': [2, 4, 6], 'async': [3, 6, 9]}"
    assert ended.seconds_at_work() < 6
    assert most_at_once(ended.runs_of("sync_task", "async_task")) == 6


def test_two_maps_are_returned(programs: Programs):
    """A flow that returns the futures of two maps gives two lists of states, whose print shows the values."""
    ended = programs.run("mixed_concurrent_flow")
    for label, factor in (("Sync results", 2), ("Async results", 3)):
        shown = ended.said(label)
        assert shown.count("Completed(") == 5
        assert [f"result={factor * number})" in shown for number in range(1, 6)] == [True] * 5
    assert ended.said("values") == "[[2, 4, 6, 8, 10], [3, 6, 9, 12, 15]]"
    assert ended.seconds_at_work() < 10
    assert most_at_once(ended.runs_of("sync_task", "async_task")) == 10
