"""Programs with hundreds of async tasks on the loop of one flow, most of which block that loop."""

from millstream_shared.states import StateType
from tests.seeds.programs import Programs, most_at_once


def test_five_hundred_tasks_block_the_loop_and_all_are_recorded(programs: Programs):
    """500 async tasks, called directly and gathered, end although they block the loop, and none is lost."""
    ended = programs.run("blocking_the_loop")
    assert ended.lines == ["500 results, of which 500 as expected"]
    assert ended.states_of("my_task") == [StateType.COMPLETED] * 500
    assert ended.states_of("my-flow") == [StateType.COMPLETED]


def test_what_blocks_is_run_in_threads(programs: Programs):
    """With the blocking calls in worker threads, fifty tasks go on at the same time."""
    ended = programs.run("blocking_in_threads")
    assert "50 results, of which 50 as expected" in ended.lines
    assert ended.seconds() < 10  # one after the other they would take 15 s and more
    assert most_at_once(ended.runs_of("my_task")) == 50
