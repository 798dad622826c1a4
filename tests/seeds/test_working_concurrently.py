"""Programs that run work concurrently: submit, wait, map in tasks, dependencies, failures."""

import re

from millstream_shared.states import StateType
from tests.seeds.programs import Programs, follows, most_at_once


def test_direct_calls_block(programs: Programs):
    """A task called outside of any flow runs at once, and the next call begins when it has ended."""
    ended = programs.run("direct_calls")
    told = [line for line in ended.lines if line.startswith("elevator")]
    assert told == [f"elevator {what} floor {floor}" for floor in (0.1, 0.2, 0.3) for what in ("moving to", "stops on")]


def test_an_elevator_moves_to_all_floors_at_once(programs: Programs):
    """Ten submitted tasks that sleep for 0.3 to 3 seconds, 16.5 in all, end after about the time of the longest."""
    ended = programs.run("elevator")
    assert 2.9 < ended.seconds_at_work() < 8
    for event in ("moving to", "stops on"):
        floors = re.findall(rf"elevator {event} floor (\d+)", ended.output)
        assert sorted(map(int, floors)) == list(range(1, 11))
    assert most_at_once(ended.runs_of("stop_at_floor")) == 10
    assert ended.states_of("elevator") == [StateType.COMPLETED]


def test_a_future_gives_the_result(programs: Programs):
    """`future.result()` is what the task returned."""
    assert programs.run("result_of_a_future").lines == ["sup"]


def test_wait_takes_many_futures(programs: Programs):
    """`wait` returns when all of ten runs have completed."""
    ended = programs.run("wait_for_many")
    assert ended.lines == ["Completed()"]
    assert ended.states_of("cool_task") == [StateType.COMPLETED] * 10


def test_a_direct_call_takes_a_future(programs: Programs):
    """A task that is called with a future gets the value, in a script that calls its flow while it is being read."""
    assert programs.run("future_as_argument").lines == ["cool task said sup"]


def test_plain_functions_are_mapped_within_a_task(programs: Programs):
    """A task makes tasks of plain functions, maps them over texts and combines the results; each run is logged."""
    ended = programs.run("text_analysis", MILLSTREAM_LOGGING_LEVEL="INFO")
    assert "  Word counts: [9, 11, 10]" in ended.output
    emails = [["visitor@example.com"], ["developer@example.com"], ["events@company.org"]]
    assert f"  Extracted emails: {emails}" in ended.output
    assert ended.states_of("count_words", "extract_emails") == [StateType.COMPLETED] * 6
    flow_run = re.search(r"INFO +\| Flow run '([a-z]+-[a-z]+)' - Beginning flow run '\1' for", ended.output)
    assert flow_run is not None
    assert f"Flow run '{flow_run[1]}' - Finished in state Completed()" in ended.output
    for name, count in (("count_words", 3), ("extract_emails", 3), ("analyze_texts", 1)):
        told = re.findall(rf"Task run '{name}-[0-9a-f]{{3}}' - Finished in state Completed\(\)", ended.output)
        assert len(told) == count


def test_wait_for_puts_runs_in_order(programs: Programs):
    """A submitted run begins after two others, and a direct call after that one."""
    ended = programs.run("wait_for_lists")
    a, b, c, d = map(ended.run_of, ("task_a", "task_b", "task_c", "task_d"))
    assert follows(c, a, b)
    assert follows(d, c)
    assert ended.states_of("my-flow") == [StateType.COMPLETED]


def test_a_batch_goes_on_when_some_of_it_fails(programs: Programs):
    """Two of five mapped runs fail; the flow looks at the states and completes with the other three results."""
    ended = programs.run("batch_processing")
    assert "Processed 3 items successfully" in ended.lines
    assert "Failed to process 2 items" in ended.lines
    assert "Completed() with ['Processed 1', 'Processed 3', 'Processed 5']" in ended.lines
    failed = [record for record in ended.runs_of("process_data") if record.state_type is StateType.FAILED]
    assert sorted(str(record.state.data) for record in failed) == [
        "Cannot process negative value: -2",
        "Cannot process negative value: -4",
    ]
