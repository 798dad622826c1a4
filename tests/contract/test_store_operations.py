"""What the store tells of queues, workers and unfinished runs, on every kind of server."""

import pytest

from millstream_shared import ids
from millstream_shared.claims import Demand, Postponed
from millstream_shared.limits import Limits
from millstream_shared.queues import Queues
from millstream_shared.states import StateType
from millstream_shared.store import Store
from millstream_shared.unfinished import UnfinishedRuns
from millstream_shared.workers import Workers
from tests.harness.queued_runs import FLOW, claim, queued, record, submit


@pytest.fixture
def queues(store: Store) -> Queues:
    return Queues(store)


@pytest.fixture
def unfinished(store: Store) -> UnfinishedRuns:
    return UnfinishedRuns(store)


@pytest.mark.leaves_work("what is claimed from a queue is not the point")
def test_nothing_is_claimed_from_a_paused_queue(store: Store, owner: str, queues: Queues) -> None:
    """Others go on; when it is resumed, what it has is there."""
    held, free = queued(), queued()
    submit(store, held, queue="a")
    submit(store, free, queue="b")
    assert queues.pause("a")
    assert not queues.pause("a")
    assert [taken.run_id for taken in claim(store, owner, queues=("a", "b"))] == [free.run_id]
    assert queues.paused() == {"a"}
    assert queues.resume("a")
    assert not queues.resume("a")
    assert [taken.run_id for taken in claim(store, owner, queues=("a", "b"))] == [held.run_id]


@pytest.mark.leaves_work("a queue with work in it is looked at")
def test_who_resumes_a_queue_wakes_a_worker(store: Store, owner: str, queues: Queues) -> None:
    """A claim leaves no bell of a paused queue, which would wake workers for nothing."""
    submit(store, queued())
    queues.pause("q")
    assert claim(store, owner) == []
    assert not store.client.exists("ms:bell:q")
    queues.resume("q")
    assert store.client.llen("ms:bell:q") == 1


@pytest.mark.leaves_work("a queue with work in it is looked at")
def test_a_queue_is_listed_with_its_figures(store: Store, owner: str, queues: Queues) -> None:
    """Queued, postponed and failed runs, the workers that are alive, and since when the oldest run waits."""
    submit(store, queued(), queued(), queued())
    [first] = store.claim(owner, Demand(["q"], sync_slots=1, async_slots=0)).runs
    store.postpone(owner, [Postponed(first.run_id, 1, record(first.run_id, StateType.RUNNING).encode(), 60.0, 1)])
    store.client.sadd("rq:workers:q", "rq:worker:here", "rq:worker:gone")
    store.client.set("rq:worker:here", "", ex=100)
    queues.pause("other")
    assert queues.names() == ["other", "q"]
    [other, q] = queues.read(["other", "q"])
    assert (q.queued, q.postponed, q.failed, q.workers, q.oldest, q.paused) == (2, 1, 0, 1, 1.0, False)
    assert (other.queued, other.oldest, other.paused) == (0, None, True)


@pytest.mark.leaves_work("unfinished runs are looked at")
def test_an_unfinished_run_tells_where_it_is(store: Store, owner: str, unfinished: UnfinishedRuns) -> None:
    """Whether it is queued, executed, waits for another run or for a slot, and on which queue it belongs."""
    Limits(store.script).write("tag:db", "new", limit=1)
    first = queued()
    second = queued(upstream=first.run_id)
    store.submit("q", [first], inbox="me", is_async=False)
    store.submit("q", [second], inbox="me", is_async=False)
    tagged = [queued(), queued()]
    store.submit("q", tagged, inbox="me", is_async=False, tags=["db"])
    assert unfinished.look([first.run_id])[first.run_id].status == "queued"
    claim(store, owner)
    seen = unfinished.look([run.run_id for run in (first, second, *tagged)])
    executed, dependent, holder, waiter = seen.values()
    assert (executed.status, executed.worker, executed.is_held, executed.queue) == ("started", owner, True, "q")
    assert 0 < executed.lease_seconds <= store.settings.lease_seconds
    assert executed.started
    assert (dependent.status, dependent.waits, dependent.upstream) == ("deferred", 1, (first.run_id,))
    assert (dependent.function_name, dependent.flow_run_id, dependent.created) == ("f", FLOW, 1.0)
    assert (holder.status, waiter.status, waiter.awaits) == ("started", "deferred", "tag:db")
    assert set(unfinished.in_tree(FLOW)) == set(seen)
    assert Workers(store).holder(first.run_id) == owner


def test_a_run_that_has_ended_is_not_unfinished(store: Store, owner: str, unfinished: UnfinishedRuns) -> None:
    """Its record tells of it, and the tree has no such run any more."""
    run = queued()
    submit(store, run)
    claim(store, owner)
    store.settle(owner, [(run.run_id, 1, record(run.run_id).encode())])
    assert unfinished.look([run.run_id]) == {}
    assert unfinished.in_tree(FLOW) == []


def test_large_arguments_are_not_read_to_look_at_a_run(store: Store, unfinished: UnfinishedRuns) -> None:
    """What is sealed of it ends before them."""
    from millstream_shared import envelopes
    from millstream_shared.envelopes import Header
    from millstream_shared.store import QueuedRun

    run_id = ids.new_task_run_id(FLOW)
    header = Header("m:f", "f", "", FLOW, "flow", "flow", None, ("a",), (), 1).encoded
    payload = envelopes.seal(run_id, 1.0, header, b"", b"x" * 100_000, None)
    store.submit("q", [QueuedRun(run_id, "f-1", payload)], inbox="me", is_async=False)
    seen = unfinished.look([run_id])[run_id]
    assert len(seen.sealed) < 200
    assert (seen.name, seen.tags) == ("f-1", ("a",))
    store.withdraw([record(run_id, StateType.CANCELLED)])


def test_leases_of_processes_are_listed(store: Store, owner: str) -> None:
    """Each with the seconds that it lasts."""
    workers = Workers(store)
    assert 0 < workers.owners()[owner] <= store.settings.lease_seconds
    assert workers.lease_seconds("nobody") is None
