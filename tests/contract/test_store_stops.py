"""What the store promises about flow runs that are cancelled, paused, suspended or resumed, on each kind of server."""

from dataclasses import replace

import pytest

from millstream_shared import envelopes, ids, keys, orders
from millstream_shared.claims import HOLD, Demand, QueuedFlowRun, RecordedRun, claimed, flow_facets
from millstream_shared.flow_headers import FlowHeader
from millstream_shared.flow_runs import FlowRuns
from millstream_shared.orders import Orders
from millstream_shared.records import Record
from millstream_shared.states import StateType
from millstream_shared.store import Store


def record(run_id: str, state_type: StateType, *, ended: float | None = None, **details: object) -> Record:
    return Record(
        run_id=run_id,
        kind="flow",
        state_type=state_type,
        state_name=state_type.value.capitalize(),
        name="brave-owl",
        function_name="etl",
        created=1.0,
        started=2.0,
        ended=ended,
        details=dict(details) or None,
    )


def begun(store: Store, owner: str) -> Record:
    """A flow run that its caller executes."""
    found = record(ids.new_flow_run_id(), StateType.RUNNING)
    store.record(owner, [RecordedRun(found.run_id, found.encode(), flow_facets(1.0, "etl"), HOLD)])
    return found


def taken(store: Store, owner: str) -> Record:
    """A queued flow run that a worker executes."""
    run_id = ids.new_flow_run_id()
    queued = record(run_id, StateType.PENDING, queue="q")
    header = FlowHeader("m:etl", "etl", "brave-owl", queue="q").encoded
    payload = envelopes.seal(run_id, 1.0, header, b"", b"{}", None)
    store.submit_flows([QueuedFlowRun(run_id, "brave-owl", "q", payload, queued.encode(), 1.0, "etl")], inbox="me")
    assert claim(store, owner) == [run_id]
    found = replace(queued, state_type=StateType.RUNNING, state_name="Running")
    store.record(owner, [RecordedRun(run_id, found.encode(), hold=claimed(0))])
    return found


def claim(store: Store, owner: str) -> list[str]:
    return [run.run_id for run in store.claim(owner, Demand(["q"], sync_slots=1, async_slots=1, flow_slots=1)).runs]


def end(store: Store, owner: str, run: Record, state_type: StateType = StateType.CANCELLED) -> None:
    after = replace(run, state_type=state_type, state_name=state_type.value.capitalize(), ended=3.0)
    store.record(owner, [RecordedRun(run.run_id, after.encode())])


def told(store: Store, owner: str) -> list[bytes]:
    return store.next_news(owner, 0.1)[0]


def state_of(store: Store, run: Record) -> StateType:
    found = FlowRuns(store).read(run.run_id)
    assert found is not None
    return found.state_type


def test_who_executes_a_run_is_told_that_it_is_cancelled(store: Store, client: str, owner: str) -> None:
    """And workers, which may have tasks of it; not a process that has nothing to do with it."""
    other = ids.new_owner_id("client")
    store.take_lease(other)
    run = begun(store, client)
    assert FlowRuns(store).cancel([run]) == []
    assert state_of(store, run) is StateType.CANCELLING
    assert orders.stopped(told(store, client)) == orders.stopped(told(store, owner)) == [run.run_id]
    assert told(store, other) == []
    assert Orders(store).cancelled() == {ids.tree_of(run.run_id): run.run_id}
    assert Orders(store).are_cancelled([run.run_id, ids.new_flow_run_id()]) == [run.run_id]
    assert [found.run_id for found in FlowRuns(store).newest(state=StateType.CANCELLING)] == [run.run_id]
    end(store, client, run)
    store.end_lease(other)


def test_a_run_that_went_on_meanwhile_is_not_cancelled_by_an_old_record(store: Store, client: str) -> None:
    """Whoever cancels it looks again."""
    run = begun(store, client)
    old = replace(run, state_name="Retrying")
    assert FlowRuns(store).cancel([old]) == [run.run_id]
    assert state_of(store, run) is StateType.RUNNING
    assert told(store, client) == []
    end(store, client, run)


def test_a_run_that_is_being_cancelled_does_nothing_else(store: Store, client: str) -> None:
    """Its process may not record that it goes on, only how it ends."""
    run = begun(store, client)
    FlowRuns(store).cancel([run])
    again = replace(run, state_name="Retrying").encode()
    assert store.record(client, [RecordedRun(run.run_id, again)]) == [run.run_id]
    assert state_of(store, run) is StateType.CANCELLING
    end(store, client, run)
    assert state_of(store, run) is StateType.CANCELLED


def test_a_run_that_is_being_cancelled_is_not_executed_again(store: Store, owner: str) -> None:
    """Its worker, whose process for it has died, gets it back to settle it."""
    run = taken(store, owner)
    FlowRuns(store).cancel([run])
    [orphan] = store.release(owner, [run.run_id], crashed=True)
    assert orphan.run_id == run.run_id
    cancelled = replace(run, state_type=StateType.CANCELLED, state_name="Cancelled", ended=3.0)
    assert store.settle(owner, [(run.run_id, orphan.attempt, cancelled.encode())]) == []


def test_orders_come_before_what_has_ended(store: Store, client: str) -> None:
    """However much that is."""
    run = begun(store, client)
    store.command("RPUSH", keys.inbox(client), "0" * 32 + "slot")
    FlowRuns(store).cancel([run])
    assert orders.stopped(store.next_news(client, 0.1)[0]) == [run.run_id]
    assert store.next_news(client, 0.1) == ([], {"0" * 32: b"slot"})
    end(store, client, run)


def paused(run: Record, **pause: object) -> Record:
    return replace(run, state_type=StateType.PAUSED, state_name="Paused", details={"queue": "q", "pause": pause})


def test_a_paused_run_is_resumed_once(store: Store, client: str) -> None:
    """Its process is told, and finds what it is given; who comes second sees that it went on."""
    run = begun(store, client)
    before = paused(run, key="k", owner=client)
    store.record(client, [RecordedRun(run.run_id, before.encode())])
    flow_runs = FlowRuns(store)
    assert flow_runs.input(run.run_id, "k") == (None, None)
    assert flow_runs.unpause(before, run, "k", "[1]", client)
    assert orders.resumed(told(store, client)) == [run.run_id]
    assert flow_runs.input(run.run_id, "k") == ("[1]", None)
    assert not flow_runs.unpause(before, replace(run, state_name="other"), "k", "[2]", client)
    assert flow_runs.input(run.run_id, "k") == ("[1]", None)
    end(store, client, run, StateType.COMPLETED)


def test_a_suspended_run_is_claimed_when_it_is_resumed(store: Store, owner: str) -> None:
    """Not before."""
    run = taken(store, owner)
    before = paused(run, key="k")
    flow_runs = FlowRuns(store)
    assert flow_runs.suspend(owner, run.run_id, 1, before.encode(), "k", None)
    assert store.held(owner) == set()
    assert claim(store, owner) == []
    after = replace(run, state_type=StateType.SCHEDULED, state_name="Resuming")
    assert flow_runs.unpause(before, after, "k", "null", "")
    assert claim(store, owner) == [run.run_id]
    store.settle(owner, [(run.run_id, 2, replace(run, ended=3.0).encode())])


def test_a_suspended_run_is_claimed_when_its_time_is_over(store: Store, owner: str) -> None:
    """Unless it was resumed before."""
    run = taken(store, owner)
    before = paused(run, key="k", until=5.0)
    assert FlowRuns(store).suspend(owner, run.run_id, 1, before.encode(), "k", 5.0)
    assert claim(store, owner) == [run.run_id]
    assert FlowRuns(store).input(run.run_id, "k") == (None, 5.0)
    store.settle(owner, [(run.run_id, 2, replace(run, ended=3.0).encode())])


def test_a_run_that_is_being_cancelled_is_not_suspended(store: Store, owner: str) -> None:
    """It ends instead. Neither is one suspended that another worker has."""
    run = taken(store, owner)
    before = paused(run, key="k").encode()
    assert not FlowRuns(store).suspend(owner, run.run_id, 7, before, "k", None)
    FlowRuns(store).cancel([run])
    assert not FlowRuns(store).suspend(owner, run.run_id, 1, before, "k", None)
    cancelled = replace(run, state_type=StateType.CANCELLED, state_name="Cancelled", ended=3.0)
    store.settle(owner, [(run.run_id, 1, cancelled.encode())])


def test_a_resumed_run_is_none_that_is_to_stop(store: Store, owner: str) -> None:
    """Although it was cancelled before."""
    run = taken(store, owner)
    FlowRuns(store).cancel([run])
    ended = replace(run, state_type=StateType.CANCELLED, state_name="Cancelled", ended=3.0)
    store.settle(owner, [(run.run_id, 1, ended.encode())])
    assert FlowRuns(store).resume(run.run_id, "again", "q")
    assert Orders(store).cancelled() == {}
    assert claim(store, owner) == [run.run_id]
    store.settle(owner, [(run.run_id, 2, replace(run, ended=3.0).encode())])


@pytest.mark.parametrize("state_type", [StateType.COMPLETED, StateType.FAILED])
def test_a_run_that_was_told_to_stop_can_only_be_cancelled(
    store: Store, client: str, owner: str, state_type: StateType
) -> None:
    """Whatever its function did before it heard of that."""
    for holder, run in ((client, begun(store, client)), (owner, taken(store, owner))):
        FlowRuns(store).cancel([run])
        after = replace(run, state_type=state_type, state_name=state_type.value.capitalize(), ended=3.0)
        assert store.record(holder, [RecordedRun(run.run_id, after.encode())]) == [run.run_id]
        assert store.settle(holder, [(run.run_id, 1, after.encode())]) == [run.run_id]
        assert state_of(store, run) is StateType.CANCELLING
        after = replace(run, state_type=StateType.CANCELLED, state_name="Cancelled", ended=3.0)
        assert store.settle(holder, [(run.run_id, 1, after.encode())]) == []
        assert state_of(store, run) is StateType.CANCELLED
