"""Ids that follow from the calls of a flow run, so that a second execution of it finds what the first has made."""

import time

from millstream.call_ids import CallIds
from millstream_shared import ids

FLOW = ids.new_flow_run_id()


def test_the_same_calls_have_the_same_ids() -> None:
    """Made in the same order by another execution, equal ones among them."""
    calls = [b"one", b"two", b"one", b"one"]
    first, second = (CallIds(FLOW, 0).of_tasks("add", calls) for _ in range(2))
    assert first == second
    assert len(set(first)) == len(calls)


def test_other_calls_have_other_ids() -> None:
    """Of another task or flow, of another flow run, or of one that is tried again because it failed."""
    seen = [
        *CallIds(FLOW, 0).of_tasks("add", [b"one"]),
        *CallIds(FLOW, 0).of_tasks("subtract", [b"one"]),
        *CallIds(FLOW, 1).of_tasks("add", [b"one"]),
        *CallIds(ids.new_flow_run_id(), 0).of_tasks("add", [b"one"]),
        CallIds(FLOW, 0).of_flow("add", b"one"),
    ]
    assert len(set(seen)) == len(seen)


def test_batches_make_no_difference() -> None:
    """What is submitted one by one has the ids of what is mapped."""
    one_by_one = CallIds(FLOW, 0)
    single = [one_by_one.of_tasks("add", [b"one"])[0] for _ in range(3)]
    assert single == CallIds(FLOW, 0).of_tasks("add", [b"one"] * 3)


def test_equal_calls_cost_what_others_cost() -> None:
    """However many there are: an id is not looked for among those of the calls before."""
    count = 20_000

    def seconds(calls: list[bytes]) -> float:
        began = time.process_time()
        assert len(set(CallIds(FLOW, 0).of_tasks("add", calls))) == count
        return time.process_time() - began

    assert seconds([b"one"] * count) < 5 * seconds([str(number).encode() for number in range(count)])
