"""What the store promises about queued runs, on every kind of server."""

import uuid
from dataclasses import replace

import pytest

from millstream_shared import errors, ids, keys, records
from millstream_shared.claims import HOLD, Claimed, Demand, RecordedRun
from millstream_shared.states import StateType
from millstream_shared.store import Store
from tests.harness.queued_runs import FLOW, claim, queued, record, submit


def finish(store: Store, owner: str, *run_ids: str) -> None:
    """Claim and settle all that is left of these."""
    for taken in claim(store, owner):
        store.settle(owner, [(taken.run_id, taken.attempt, record(taken.run_id).encode())])
    assert set(store.records(run_ids)) == set(run_ids)


def test_a_submitted_run_is_claimed_with_its_payload_and_settled_once(store: Store, owner: str) -> None:
    """A run goes from submit over claim to settle, and its submitter is told."""
    run = queued()
    submit(store, run)
    assert store.look([run.run_id]) == {run.run_id: "queued"}
    [taken] = claim(store, owner)
    assert (taken.run_id, taken.attempt, taken.payload, taken.is_async) == (run.run_id, 1, run.payload, False)
    assert store.look([run.run_id]) == {run.run_id: "started"}
    assert store.settle(owner, [(run.run_id, 1, record(run.run_id).encode())]) == []
    assert store.next_finished("me", 1.0) == store.records([run.run_id]) == {run.run_id: record(run.run_id).encode()}


def test_who_settles_takes_what_was_waiting_for_that(store: Store, owner: str) -> None:
    """A dependent run comes with the answer, to who has room for it; it is put on no queue, and no bell rings."""
    first = queued()
    second = queued(upstream=first.run_id)
    submit(store, first, second)
    claim(store, owner)
    ended = [(first.run_id, 1, record(first.run_id).encode())]
    refused, claimed = store.settle_and_claim(owner, ended, Demand(["q"], sync_slots=1))
    assert refused == []
    assert [run.run_id for run in claimed.runs] == [second.run_id]
    assert store.command("EXISTS", keys.bell("q"), keys.queue("q")) == 0
    store.settle(owner, [(second.run_id, 1, record(second.run_id).encode())])


def test_what_was_waiting_does_not_overtake_a_queue_of_higher_priority(store: Store, owner: str) -> None:
    """With runs on a queue that comes first, a run that becomes ready goes to its own queue, behind those."""
    first = queued()
    second = queued(upstream=first.run_id)
    high = queued()
    submit(store, first, second, queue="low")
    claim(store, owner, queues=("high", "low"))
    submit(store, high, queue="high")
    room = Demand(("high", "low"), sync_slots=1)
    ended = [(first.run_id, 1, record(first.run_id).encode())]
    assert store.settle_and_claim(owner, ended, room)[1].runs == []
    taken = claim(store, owner, queues=("high", "low"))
    assert [run.run_id for run in taken] == [high.run_id, second.run_id]
    store.settle(owner, [(run.run_id, 1, record(run.run_id).encode()) for run in taken])


def test_what_was_waiting_is_for_any_worker_of_its_queue(store: Store, owner: str) -> None:
    """Where several serve the queue, the bell rings for whoever is idle."""
    first = queued()
    second = queued(upstream=first.run_id)
    submit(store, first, second)
    claim(store, owner)
    store.command("SADD", keys.workers_of_queue("q"), "one", "another")
    ended = [(first.run_id, 1, record(first.run_id).encode())]
    assert store.settle_and_claim(owner, ended, Demand(["q"], sync_slots=1))[1].runs == []
    assert store.command("EXISTS", keys.bell("q")) == 1
    store.command("DEL", keys.workers_of_queue("q"))
    [taken] = claim(store, owner)
    assert taken.run_id == second.run_id
    store.settle(owner, [(second.run_id, 1, record(second.run_id).encode())])


def test_what_was_waiting_stays_on_a_paused_queue(store: Store, owner: str) -> None:
    """It becomes ready, and is given to nobody before the queue is resumed."""
    first = queued()
    second = queued(upstream=first.run_id)
    submit(store, first, second)
    claim(store, owner)
    store.command("SADD", keys.PAUSED, "q")
    ended = [(first.run_id, 1, record(first.run_id).encode())]
    assert store.settle_and_claim(owner, ended, Demand(["q"], sync_slots=1))[1].runs == []
    assert claim(store, owner) == []
    store.command("SREM", keys.PAUSED, "q")
    [taken] = claim(store, owner)
    assert taken.run_id == second.run_id
    store.settle(owner, [(second.run_id, 1, record(second.run_id).encode())])


def test_who_settles_does_not_look_at_queues_for_nothing(store: Store, owner: str) -> None:
    """If nothing was waiting for what ends, other runs are taken only by who knows that there may be some."""
    first, second, third = queued(), queued(), queued()
    submit(store, first)
    claim(store, owner)
    submit(store, second, third)
    room = Demand(["q"], sync_slots=1)
    assert store.settle_and_claim(owner, [(first.run_id, 1, record(first.run_id).encode())], room) == ([], Claimed([]))
    [run] = claim(store, owner, sync=1)
    ended = [(run.run_id, 1, record(run.run_id).encode())]
    _, claimed = store.settle_and_claim(owner, ended, room, search=True)
    assert [run.run_id for run in claimed.runs] == [third.run_id]
    store.settle(owner, [(third.run_id, 1, record(third.run_id).encode())])


def test_who_has_lost_its_lease_settles_and_takes_nothing(store: Store, owner: str) -> None:
    """The outcome is refused, and the queue keeps its runs for others."""
    run = queued()
    submit(store, run)
    ended = [("0" * 32, 1, record("0" * 32).encode())]
    refused, claimed = store.settle_and_claim("dead", ended, Demand(["q"], sync_slots=1), search=True)
    assert (refused, claimed) == (["0" * 32], Claimed([]))
    assert [each.run_id for each in claim(store, owner)] == [run.run_id]
    store.settle(owner, [(run.run_id, 1, record(run.run_id).encode())])


def test_runs_are_claimed_in_the_order_of_submission(store: Store, owner: str) -> None:
    """A queue is first in, first out, and no run is given twice."""
    runs = [queued() for _ in range(1200)]
    submit(store, *runs)
    taken = [each.run_id for _ in range(12) for each in claim(store, owner)]
    assert taken == [run.run_id for run in runs]
    store.settle(owner, [(run.run_id, 1, record(run.run_id).encode()) for run in runs])


def test_runs_put_in_front_come_first_in_their_own_order(store: Store, owner: str) -> None:
    """What is submitted in front overtakes what is queued, without being reversed."""
    last, first, second = queued(), queued(), queued()
    submit(store, last)
    submit(store, first, second, in_front=True)
    assert [each.run_id for each in claim(store, owner)] == [first.run_id, second.run_id, last.run_id]
    for run in (last, first, second):
        store.settle(owner, [(run.run_id, 1, record(run.run_id).encode())])


def test_the_first_queue_is_emptied_first(store: Store, owner: str) -> None:
    """Queues are served in the order in which the worker names them."""
    low, high = queued(), queued()
    submit(store, low, queue="low")
    submit(store, high, queue="high")
    taken = claim(store, owner, queues=("high", "low"))
    assert [each.run_id for each in taken] == [high.run_id, low.run_id]
    store.settle(owner, [(run.run_id, 1, record(run.run_id).encode()) for run in (low, high)])


def test_a_claim_takes_no_more_than_there_are_slots_for(store: Store, owner: str) -> None:
    """Sync and async runs are counted apart, and what does not fit stays at the head of its queue."""
    sync = [queued() for _ in range(3)]
    submit(store, *sync)
    coroutine = queued()
    submit(store, coroutine, is_async=True)
    assert [each.run_id for each in claim(store, owner, sync=2)] == [run.run_id for run in sync[:2]]
    assert claim(store, owner, sync=0) == []
    rest = claim(store, owner, sync=1)
    assert [(each.run_id, each.is_async) for each in rest] == [(sync[2].run_id, False), (coroutine.run_id, True)]
    store.settle(owner, [(run.run_id, 1, record(run.run_id).encode()) for run in [*sync, coroutine]])


def test_a_run_waits_until_the_last_of_its_upstream_runs_has_ended(store: Store, owner: str) -> None:
    """Dependencies are held in Redis: the settle of the last upstream run queues the dependent."""
    first, second = queued(), queued()
    dependent = queued(first.run_id + second.run_id)
    submit(store, first, second)
    submit(store, dependent)
    assert store.look([dependent.run_id]) == {dependent.run_id: "deferred"}
    assert len(claim(store, owner)) == 2
    store.settle(owner, [(first.run_id, 1, record(first.run_id).encode())])
    assert claim(store, owner) == []
    store.settle(owner, [(second.run_id, 1, record(second.run_id, StateType.FAILED).encode())])
    [taken] = claim(store, owner)
    assert taken.run_id == dependent.run_id
    store.settle(owner, [(dependent.run_id, 1, record(dependent.run_id).encode())])


def test_a_run_whose_upstream_has_ended_does_not_wait(store: Store, owner: str) -> None:
    """A dependency that is already settled, even one that crashed, holds nothing back."""
    before = queued()
    submit(store, before)
    claim(store, owner)
    store.settle(owner, [(before.run_id, 1, record(before.run_id, StateType.CRASHED).encode())])
    after = queued(before.run_id)
    submit(store, after)
    assert [each.run_id for each in claim(store, owner)] == [after.run_id]
    store.settle(owner, [(after.run_id, 1, record(after.run_id).encode())])


def test_settling_with_another_token_is_refused_and_counted(store: Store, owner: str) -> None:
    """Only the attempt that holds the lease may record an outcome."""
    run = queued()
    submit(store, run)
    claim(store, owner)
    assert store.settle(owner, [(run.run_id, 2, record(run.run_id).encode())]) == [run.run_id]
    assert store.records([run.run_id]) == {}
    assert store.client.hget("ms:counters", "refused") == b"1"
    store.settle(owner, [(run.run_id, 1, record(run.run_id).encode())])


def test_settling_twice_with_the_same_outcome_is_the_same_as_once(store: Store, owner: str) -> None:
    """A settle whose answer was lost can be repeated."""
    run = queued()
    submit(store, run)
    claim(store, owner)
    outcome = (run.run_id, 1, record(run.run_id).encode())
    assert store.settle(owner, [outcome]) == []
    assert store.settle(owner, [outcome]) == []
    assert list(store.next_finished("me", 0.1)) == [run.run_id]
    assert store.next_finished("me", 0.1) == {}


def test_a_large_record_is_told_like_a_small_one(store: Store, owner: str) -> None:
    """Whether the record came with the notification or was fetched makes no difference to who is told."""
    small, large = queued(), queued()
    submit(store, small, large)
    ended = {run.run_id: record(run.run_id).encode() for run in (small, large)}
    ended[large.run_id] = replace(record(large.run_id), message="long " * 5000).encode()
    claim(store, owner)
    store.settle(owner, [(run_id, 1, stored) for run_id, stored in ended.items()])
    assert store.next_finished("me", 1.0) == ended


def test_a_final_record_never_changes(store: Store, owner: str) -> None:
    """Once a run has ended, no other outcome is written over the first."""
    run_id = ids.new_task_run_id(FLOW)
    assert store.record(owner, [RecordedRun(run_id, record(run_id).encode())]) == []
    assert store.record(owner, [RecordedRun(run_id, record(run_id, StateType.FAILED).encode())]) == [run_id]
    assert records.decode(run_id, store.records([run_id])[run_id]).state_type is StateType.COMPLETED


def test_a_released_run_is_queued_again_in_front(store: Store, owner: str) -> None:
    """What a worker hands back is the next to be claimed, as another attempt."""
    first, second = queued(), queued()
    submit(store, first, second)
    claim(store, owner, sync=1)
    assert store.release(owner, [first.run_id]) == []
    assert [(each.run_id, each.attempt) for each in claim(store, owner)] == [(first.run_id, 2), (second.run_id, 1)]
    store.settle(owner, [(first.run_id, 2, record(first.run_id).encode())])
    store.settle(owner, [(second.run_id, 1, record(second.run_id).encode())])


def test_a_run_that_crashes_too_often_stays_with_its_worker(store: Store, owner: str) -> None:
    """The third crash does not queue the run again: its worker ends it as Crashed, kept as a dead letter."""
    run = queued()
    submit(store, run)
    for crash in (1, 2):
        [taken] = claim(store, owner)
        assert taken.crashes == crash - 1
        assert store.release(owner, [run.run_id], crashed=True) == []
    [taken] = claim(store, owner)
    [stays] = store.release(owner, [run.run_id], crashed=True)
    assert (stays.run_id, stays.attempt, stays.content) == (run.run_id, 3, run.payload)
    store.settle(owner, [(run.run_id, 3, record(run.run_id, StateType.CRASHED).encode())])
    assert store.client.zscore("rq:failed:q", run.run_id)
    job = store.client.hgetall(f"rq:job:{run.run_id}")
    assert (job[b"status"], job[b"dead_letter"]) == (b"failed", run.payload)


def test_the_runs_of_a_dead_owner_go_back_to_their_queues(store: Store, owner: str) -> None:
    """Whoever finds that a lease has run out puts its runs back, and the dead owner can settle nothing any more."""
    run = queued()
    submit(store, run)
    store.take_lease("dead")
    [taken] = claim(store, "dead")
    store.client.zadd("ms:leases", {"dead": 1})
    reaped = store.reap(owner)
    assert reaped
    assert (reaped.owner, reaped.put_back, reaped.orphans) == ("dead", 1, [])
    assert store.reap(owner) is None
    assert store.renew_lease("dead") is False
    assert store.settle("dead", [(run.run_id, taken.attempt, record(run.run_id).encode())]) == [run.run_id]
    with pytest.raises(errors.LeaseLost):
        claim(store, "dead")
    [again] = claim(store, owner)
    assert (again.run_id, again.attempt, again.crashes) == (run.run_id, 2, 1)
    store.settle(owner, [(run.run_id, 2, record(run.run_id).encode())])


def test_a_flow_run_of_a_dead_owner_is_handed_to_the_one_who_finds_out(store: Store, owner: str) -> None:
    """A flow run cannot go back to a queue: it is given, with its record, to the reaper."""
    run_id = ids.new_flow_run_id()
    running = record(run_id, StateType.RUNNING).encode()
    store.take_lease("dead")
    store.record("dead", [RecordedRun(run_id, running, hold=HOLD)])
    store.client.zadd("ms:leases", {"dead": 1})
    reaped = store.reap(owner)
    assert reaped
    [orphan] = reaped.orphans
    assert (orphan.run_id, orphan.content, orphan.is_flow) == (run_id, running, True)
    assert store.settle(owner, [(run_id, orphan.attempt, record(run_id, StateType.CRASHED).encode())]) == []


def test_submitting_again_after_a_lost_answer_makes_no_second_run(store: Store, owner: str) -> None:
    """A retried submit knows its runs by their ids, queued or already ended."""
    run = queued()
    args = [run.run_id, run.description, run.payload, run.upstream]
    submit(store, run)
    store._run("submit", ["q", "", "me", "s", b"data", "1", "", *args])
    assert len(claim(store, owner)) == 1
    store.settle(owner, [(run.run_id, 1, record(run.run_id).encode())])
    store._run("submit", ["q", "", "me", "s", b"data", "1", "", *args])
    assert claim(store, owner) == []


def test_a_job_of_somebody_else_is_set_aside_where_rq_shows_it(store: Store, owner: str) -> None:
    """A plain RQ job in our queue is not executed, not lost, and does not stop what is behind it."""
    name = uuid.uuid4().hex
    store.client.hset(f"rq:job:{name}", mapping={"data": b"x", "origin": "q"})
    store.client.rpush("rq:queue:q", name)
    run = queued()
    submit(store, run)
    assert [each.run_id for each in claim(store, owner)] == [run.run_id]
    assert store.client.hget(f"rq:job:{name}", "status") == b"failed"
    assert store.client.zscore("rq:failed:q", name)
    store.settle(owner, [(run.run_id, 1, record(run.run_id).encode())])
    store.client.delete(f"rq:job:{name}")


def test_a_withdrawn_run_is_never_claimed(store: Store, owner: str) -> None:
    """What no worker has begun can be ended; what one has begun cannot."""
    begun, waiting = queued(), queued()
    submit(store, begun, waiting)
    claim(store, owner, sync=1)
    ended = [record(run.run_id, StateType.CANCELLED) for run in (begun, waiting)]
    assert store.withdraw(ended) == [waiting.run_id]
    assert claim(store, owner) == []
    store.settle(owner, [(begun.run_id, 1, record(begun.run_id).encode())])


def test_the_queued_runs_of_a_tree_are_found_in_all_queues(store: Store, owner: str) -> None:
    """By the beginning of their ids, with their payloads; runs of other trees and begun ones are left out."""
    begun, here, there = queued(), queued(), queued()
    other = queued(run_id=ids.new_task_run_id(ids.new_flow_run_id()))
    submit(store, begun, here, other)
    claim(store, owner, sync=1)
    submit(store, there, queue="elsewhere")
    found = store.queued_in_tree(FLOW)
    assert sorted(found) == sorted((run.run_id, run.payload) for run in (here, there))
    for run in claim(store, owner, queues=("q", "elsewhere")):
        store.settle(owner, [(run.run_id, 1, record(run.run_id).encode())])
    store.settle(owner, [(begun.run_id, 1, record(begun.run_id).encode())])


def test_a_run_of_which_nothing_is_known_looks_like_nothing(store: Store) -> None:
    """Looking at a run that never was, or whose record expired, says so."""
    run_id = ids.new_task_run_id(FLOW)
    assert store.look([run_id]) == {run_id: None}


def test_what_nobody_executed_has_not_been_attempted(store: Store, owner: str) -> None:
    """A run that is handed back unbegun comes with the attempt that it had; one that was executed with the next."""
    run = queued()
    submit(store, run)
    attempts = [claim(store, owner)[0].attempt]
    for unbegun in (True, True, False):
        store.release(owner, [run.run_id], unbegun=unbegun)
        attempts.append(claim(store, owner)[0].attempt)
    assert attempts == [1, 1, 1, 2]
    store.settle(owner, [(run.run_id, 2, record(run.run_id).encode())])


def test_a_run_that_is_held_anew_is_not_given_up_with_its_last_attempt(store: Store, owner: str) -> None:
    """Who says that an attempt has crashed says nothing of the next one, which it may not have heard of."""
    run = queued()
    submit(store, run)
    claim(store, owner)
    store.release(owner, [run.run_id])
    [again] = claim(store, owner)
    assert again.attempt == 2
    store.release(owner, [run.run_id], crashed=True, attempt=1)
    assert store.held(owner) == {run.run_id}
    assert store.settle(owner, [(run.run_id, 2, record(run.run_id).encode())]) == []
