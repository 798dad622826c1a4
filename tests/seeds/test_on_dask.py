"""Programs whose flows have their tasks executed on a Dask cluster."""

import pytest

from millstream_shared.states import StateType
from tests.seeds.programs import Programs

pytest.importorskip("distributed")


def test_a_sync_flow_walks_a_tree_from_the_bottom(programs: Programs):
    """Each of seven flow runs, one within the other, has a cluster of its own: seven lines, children first."""
    ended = programs.run("sync_tree_on_dask")
    assert ended.lines == [f"Processed node: {node}" for node in ["A1", "A2", "A", "B1", "B2", "B", "root"]]
    assert ended.states_of("process_node") == [StateType.COMPLETED] * 7
    assert ended.states_of("process-tree", "main-tree-processor") == [StateType.COMPLETED] * 8
