"""Runs that are executed for another process: what travels, and where their records go."""

import pytest

from millstream import get_run_logger, log_shipping, sessions, task
from millstream.runners import errands, homebound
from millstream.runs import FlowRun, TaskRun
from millstream_shared import ids, logs, records


class Recorder:
    """Takes records in place of a session."""

    owner = "client-1-test"

    def __init__(self) -> None:
        self.recorder = self
        self.added: list[tuple[str, bytes]] = []

    def add(self, run_id: str, record: bytes) -> None:
        self.added.append((run_id, record))


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """The session of this process, until an errand replaces it."""
    made = Recorder()
    monkeypatch.setattr(sessions, "_current", made)
    monkeypatch.setattr(homebound, "_here", None)
    monkeypatch.setattr(log_shipping, "_shipper", None)
    return made


@task
def inner() -> int:
    get_run_logger().warning("inside")
    return 1


@task
def outer(x: int) -> int:
    return inner() + inner.submit().result() + x


def pack(home: str) -> tuple[TaskRun, bytes]:
    flow_run = FlowRun(ids.new_flow_run_id(), "a-flow", "flow")
    run = TaskRun(ids.new_task_run_id(flow_run.run_id), "outer-1", "outer", flow_run.run_id)
    scene = errands.Scene(flow_run, 1, home, 0)
    return run, errands.pack(scene, run, errands.pack_task(outer), {"x": 40})


def test_records_of_runs_within_travel_home(session: Recorder) -> None:
    """With the outcome, which holds the value."""
    run, errand = pack(home="elsewhere")
    outcome = errands.Outcome.decode(errands.perform(errand))
    assert records.decode(run.run_id, outcome.record).state.data == 42
    within = [records.decode(run_id, record) for run_id, record in outcome.within]
    assert [(record.function_name, record.parent_run_id) for record in within] == [("inner", run.run_id)] * 2
    assert session.added == []


def test_what_runs_log_travels_home(session: Recorder) -> None:
    """With the outcome: the process has no way of its own to the store. Nothing of it stays."""
    run, errand = pack(home="elsewhere")
    outcome = errands.Outcome.decode(errands.perform(errand))
    assert {batch.run_id for batch in outcome.lines} == {run_id for run_id, _ in outcome.within}
    assert [text for batch in outcome.lines for chunk in batch.chunks for _, _, text in logs.unpack(chunk)] == [
        "inside",
        "inside",
    ]
    assert log_shipping.take([run.run_id, *(run_id for run_id, _ in outcome.within)]) == []
    assert session.added == []


def test_at_home_they_are_written_as_always(session: Recorder) -> None:
    """Where the process that executes is the one that asked."""
    _, errand = pack(home=errands.Scene.here("outer").home)
    outcome = errands.Outcome.decode(errands.perform(errand))
    assert outcome.within == []
    assert len(session.added) == 3


def test_what_cannot_be_loaded_fails_the_run(session: Recorder) -> None:
    """With the reason, and no other."""
    run, _ = pack(home="elsewhere")
    scene = errands.Scene(None, 1, "elsewhere", 0)
    outcome = errands.Outcome.decode(errands.perform(errands.pack(scene, run, b"not a task", {})))
    state = records.decode(run.run_id, outcome.record).state
    assert state.is_failed()
    assert "UnpicklingError" in state.message
    assert session.added == []
