"""What the store promises about background runs and those who follow them, on every kind of server."""

from millstream_shared import envelopes, ids
from millstream_shared.claims import Demand
from millstream_shared.envelopes import Header
from millstream_shared.records import Record, decode
from millstream_shared.store import QueuedRun, Store
from tests.harness.queued_runs import record


def queued(name: str = "f", run_id: str | None = None, upstream: str = "") -> QueuedRun:
    run_id = run_id or ids.new_background_run_id()
    header = Header("m:f", name, "", "", "", "", None, (), (), 1).encoded
    return QueuedRun(run_id, name, envelopes.seal(run_id, 1.0, header, bytes.fromhex(upstream), b"", None), upstream)


def submit(store: Store, *runs: QueuedRun, is_async: bool = False) -> None:
    store.submit("q", runs, inbox="me", is_async=is_async)


def ended(run_id: str) -> Record:
    return record(run_id)


def finish_all(store: Store, owner: str) -> None:
    """Execute what is queued, and what that frees."""
    while claims := store.claim(owner, Demand(["q"], sync_slots=100, async_slots=100)).runs:
        store.settle(owner, [(each.run_id, each.attempt, ended(each.run_id).encode()) for each in claims])


def test_an_id_says_whether_it_is_that_of_a_background_run() -> None:
    """Both are ids by the rules for UUIDs."""
    background, other = ids.new_background_run_id(), ids.new_task_run_id(None)
    assert (ids.is_background(background), ids.is_background(other)) == (True, False)
    assert background[12] == other[12] == "4"
    assert background[16] in "89ab"


def test_background_runs_are_found_wherever_they_are(store: Store, owner: str) -> None:
    """Queued, or held by one of those that are asked about; other runs are left out."""
    held, waiting, other = queued("held"), queued("waiting"), queued("other", ids.new_task_run_id(None))
    submit(store, held, other)
    claims = store.claim(owner, Demand(["q"], sync_slots=2, async_slots=0)).runs
    submit(store, waiting, queued("another", ids.new_task_run_id(None)))
    assert store.background_runs("q", []) == {waiting.run_id: "waiting"}
    assert store.background_runs("q", [owner]) == {waiting.run_id: "waiting", held.run_id: "held"}
    assert store.background_runs("elsewhere", []) == {}
    store.release(owner, [each.run_id for each in claims])
    finish_all(store, owner)
    assert store.background_runs("q", [owner]) == {}


def test_a_claim_takes_no_more_than_it_says(store: Store, owner: str) -> None:
    """Sync and async runs together."""
    for number in range(4):
        submit(store, queued(), is_async=number % 2 == 0)

    def claimed(most: int | None) -> int:
        return len(store.claim(owner, Demand(["q"], sync_slots=10, async_slots=10, most=most)).runs)

    assert [claimed(0), claimed(1), claimed(2), claimed(None)] == [0, 1, 2, 1]
    store.release(owner, list(store.held(owner)))
    finish_all(store, owner)


def test_a_follower_is_told_beside_the_one_who_submitted(store: Store, owner: str) -> None:
    """And runs that wait for the same one are freed all the same."""
    first = queued()
    after = queued(upstream=first.run_id)
    submit(store, first, after)
    assert store.follow(first.run_id, "follower")
    assert store.follow(first.run_id, "follower")
    finish_all(store, owner)
    told = store.next_finished("follower", 0.5)
    assert list(told) == [first.run_id]
    assert decode(first.run_id, told[first.run_id]).state_name == "Completed"
    assert store.next_finished("me", 0.5).keys() == {first.run_id, after.run_id}


def test_what_is_not_to_be_executed_is_not_followed(store: Store, owner: str) -> None:
    """A run that has ended, or never was; no trace is left."""
    run = queued()
    submit(store, run)
    finish_all(store, owner)
    assert not store.follow(run.run_id, "follower")
    assert not store.follow(ids.new_background_run_id(), "follower")
