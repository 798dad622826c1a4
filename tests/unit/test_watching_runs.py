"""What is shown of a flow run that somebody watches."""

import io

from rich.console import Console

from millstream.cli import live
from millstream.recorded_runs import FlowRun
from millstream.run_progress import Count, Outlook
from millstream_shared.records import Record
from millstream_shared.states import StateType


def run_in(state: StateType, *, ended: bool = False) -> FlowRun:
    record = Record(
        run_id="ab" * 16,
        kind="flow",
        state_type=state,
        state_name=state.capitalize(),
        message="by someone" if ended else None,
        name="calm-otter",
        function_name="import-all",
        created=1.0,
        started=1.0,
        ended=4.0 if ended else None,
    )
    return FlowRun(record)


def test_a_terminal_shows_the_tree_of_tasks() -> None:
    """Collapsed by name, with counts, rate, and how long it may take if it goes on like this."""
    tasks = {"fetch": Count(1200, 3, 16, 1000, 100.0), "store\n": Count(waiting=2000)}
    flows = {"child": Count(completed=1, running=1)}
    out = io.StringIO()
    console = Console(file=out, width=120)
    console.print(live.picture(Outlook(run_in(StateType.RUNNING), tasks, flows)))
    head, fetch, store, child = (line.rstrip() for line in out.getvalue().splitlines())
    assert head.startswith("import-all 'calm-otter'  Running")
    assert head.endswith("about 30 s left")
    assert fetch.startswith("├─ fetch")
    assert "1,200 completed, 3 failed, 16 running, 1,000 waiting  100.0/s" in fetch
    assert store.startswith("├─ store ")
    assert child.startswith("└─ flow child")


def test_the_end_is_told_by_words_and_by_a_code() -> None:
    """Each kind of end has its own; one that has not come is none of them."""
    codes = {state: live.code_of(run_in(state, ended=True)) for state in (StateType.COMPLETED, StateType.FAILED)}
    assert codes == {StateType.COMPLETED: 0, StateType.FAILED: 1}
    assert live.code_of(run_in(StateType.CRASHED, ended=True)) == 1
    assert live.code_of(run_in(StateType.CANCELLED, ended=True)) == 3
    assert live.code_of(run_in(StateType.RUNNING)) == 4
    told = live.summary(run_in(StateType.CANCELLED, ended=True))
    assert told == f"Flow run 'calm-otter' ({'ab' * 16}) is Cancelled in 3 s: by someone"


def test_the_time_left_is_that_of_what_is_there() -> None:
    """None where nothing is left, or nothing has ended lately."""
    assert Count(completed=10, running=2, waiting=8, rate=5.0).seconds_left == 2.0
    assert Count(completed=10, rate=5.0).seconds_left is None
    assert Count(waiting=10).seconds_left is None
