"""Programs in which flows call themselves and each other, tasks call flows, and flows choose their task runner."""

from millstream_shared.states import StateType
from tests.seeds.programs import Programs, most_at_once

_BOTTOM_UP = ["A1", "A2", "A", "B1", "B2", "B", "root"]


def test_an_async_flow_walks_a_tree(programs: Programs):
    """An async flow calls itself for each child, siblings at the same time, and gives parents before children."""
    ended = programs.run("async_tree")
    printed = [line.removeprefix("Processed node: ") for line in ended.lines if line.startswith("Processed node: ")]
    assert sorted(printed) == sorted(_BOTTOM_UP)
    for parent, children in (("root", "AB"), ("A", ("A1", "A2")), ("B", ("B1", "B2"))):
        assert all(printed.index(parent) < printed.index(child) for child in children)
    assert ended.seconds() >= 1.5  # half a second for each of three levels
    assert most_at_once(ended.runs_of("process-single-node")) == 4
    assert ended.states_of("process-tree", "process-single-node", "main-tree-processor") == [StateType.COMPLETED] * 15


def test_a_sync_flow_walks_a_tree_from_the_bottom(programs: Programs):
    """A sync flow calls itself for each child before it submits the node: seven lines, children first."""
    ended = programs.run("sync_tree")
    assert ended.lines == [f"Processed node: {node}" for node in _BOTTOM_UP]
    assert ended.states_of("process_node") == [StateType.COMPLETED] * 7


def test_a_task_of_a_tree_logs(programs: Programs):
    """Siblings are collected in order, and what a task in a worker logs is told under the name of its run."""
    ended = programs.run("sync_tree_of_siblings", MILLSTREAM_LOGGING_LEVEL="INFO")
    assert str([f"Processed node: {node}" for node in ("A1", "A2", "A", "B", "root")]) in ended.output
    names = {
        record.state.data.removeprefix("Processed node: "): record.name for record in ended.runs_of("process_node")
    }
    for node in ("A1", "A2", "A", "B", "root"):
        assert f"Task run '{names[node]}' - Starting to process node: {node}\n" in ended.output
        assert f"Task run '{names[node]}' - Finished processing node: {node}\n" in ended.output


def test_a_flow_uses_threads(programs: Programs):
    """With the concurrent task runner, ten submitted tasks give their results in order."""
    ended = programs.run("concurrent_task_runner")
    assert ended.lines == ["[0, 2, 4, 6, 8, 10, 12, 14, 16, 18]"]
    assert ended.states_of("my_task") == [StateType.COMPLETED] * 10


def test_each_task_runner_works_as_its_name_says(programs: Programs):
    """Threads run all at once or as many as they may, the sequential runner one, the queue in other processes."""
    ended = programs.run("each_task_runner")
    assert ended.lines == [
        "threads: ['a', 'b', 'c'], at once: 3",
        "two: ['a', 'b', 'c'], at once: 2",
        "sequential: ['a', 'b', 'c'], at once: 1",
        "queue: [499500, 1999000, 4498500], in this process: False",
    ]


def test_a_task_calls_a_flow(programs: Programs):
    """A flow called in a task gives its value to the task, and its run is recorded."""
    ended = programs.run("flow_in_a_task")
    assert ended.said("returned") == "10"
    assert ended.states_of("subflow", "my_task", "main-flow") == [StateType.COMPLETED] * 3


def test_a_queued_task_calls_a_flow(programs: Programs):
    """A flow called in a task runs in the worker that has the task, and what it raises can be caught there."""
    ended = programs.run("flow_in_a_queued_task")
    assert ended.said("prepared") == "43, in this process: False"
    assert ended.said("good") == "42, bad: RuntimeError('Flow run failed: negative'), unsafe: ValueError('negative')"
    assert ended.states_of("processing-flow", "main-flow") == [StateType.COMPLETED] * 2
    assert sorted(ended.states_of("subflow")) == [StateType.COMPLETED, StateType.FAILED, StateType.FAILED]


def test_an_async_task_calls_an_async_flow(programs: Programs):
    """An async flow awaited in an async task gives its value through, also when the task was submitted."""
    ended = programs.run("async_flow_in_an_async_task")
    assert ended.said("returned") == "async result"
    assert ended.said("returned through a queue") == "async result"
    assert ended.states_of("async-subflow") == [StateType.COMPLETED] * 2
