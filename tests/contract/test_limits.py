"""What the store promises about concurrency limits, on every kind of server."""

import itertools
import uuid
from collections.abc import Callable

import pytest

from millstream_shared import errors, keys
from millstream_shared.claims import Demand
from millstream_shared.limits import Answer, Limits
from millstream_shared.states import StateType
from millstream_shared.store import QueuedRun, Store
from tests.harness.queued_runs import FLOW, queued, record


@pytest.fixture
def limits(store: Store) -> Limits:
    return Limits(store.script)


@pytest.fixture
def make(limits: Limits) -> Callable[..., str]:
    """Makes a limit: of 1 slot, called `l`, unless told otherwise."""

    def make(name: str = "l", limit: int = 1, **fields: float | bool) -> str:
        assert limits.write(name, "new", limit=limit, **fields)
        return name

    return make


def new_id() -> str:
    return uuid.uuid4().hex


def tagged(store: Store, *tags: str, count: int = 1, queue: str = "q", is_async: bool = False) -> list[QueuedRun]:
    runs = [queued() for _ in range(count)]
    store.submit(queue, runs, inbox="me", is_async=is_async, tags=tags)
    return runs


def claim(store: Store, owner: str, *queues: str) -> list[str]:
    claimed = store.claim(owner, Demand(queues or ("q",), sync_slots=100, async_slots=100))
    return [taken.run_id for taken in claimed.runs]


def settle(store: Store, owner: str, *runs: str, attempt: int = 1) -> None:
    assert store.settle(owner, [(run_id, attempt, record(run_id).encode()) for run_id in runs]) == []


def names(runs: list[QueuedRun]) -> list[str]:
    return [run.run_id for run in runs]


def holders(limits: Limits, name: str) -> list[str]:
    seen = limits.inspect(name)
    assert seen
    return [holder.id for holder in seen.holders]


def waiters(limits: Limits, name: str) -> list[str]:
    seen = limits.inspect(name)
    assert seen
    return [waiter.id for waiter in seen.waiters]


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_limit_is_made_once_changed_and_deleted(limits: Limits) -> None:
    """It is known by its name; what must not exist, or must, is refused."""
    assert limits.write("l", "new", limit=3)
    assert not limits.write("l", "new", limit=4)
    assert limits.write("l", "old", active=False, decay=0.5)
    [seen] = limits.read("l")
    assert (seen.limit, seen.active, seen.slot_decay_per_second, seen.taken, seen.waiting) == (3, False, 0.5, 0, 0)
    assert limits.write("a", "any", limit=1)
    assert [each.name for each in limits.read()] == ["a", "l"]
    assert limits.delete("l")
    assert not limits.delete("l")
    assert not limits.write("l", "old", limit=4)
    assert limits.read("l") == []
    assert limits.inspect("l") is None


# --- runs with tags ---------------------------------------------------------------------------------------------------


def test_runs_over_the_limit_of_their_tag_stand_in_line(
    store: Store, owner: str, limits: Limits, make: Callable[..., str]
) -> None:
    """A claim takes as many as there are slots; the others are in no queue, and say what they wait for."""
    make("tag:db", 2)
    runs = names(tagged(store, "db", "other", count=5))
    assert claim(store, owner) == runs[:2]
    assert holders(limits, "tag:db") == runs[:2]
    assert waiters(limits, "tag:db") == runs[2:]
    assert store.client.llen("rq:queue:q") == 0
    assert store.look(runs[1:3]) == {runs[1]: "started", runs[2]: "awaits tag:db"}
    settle(store, owner, runs[0])
    assert store.look([runs[2]]) == {runs[2]: "queued"}
    assert claim(store, owner) == [runs[2]]
    settle(store, owner, *runs[1:3])
    assert claim(store, owner) == runs[3:]
    settle(store, owner, *runs[3:])
    assert holders(limits, "tag:db") == waiters(limits, "tag:db") == []


def test_a_slot_goes_to_the_next_run_and_this_to_who_made_it_free(
    store: Store, owner: str, limits: Limits, make: Callable[..., str]
) -> None:
    """Settling frees the slot, gives it to the first in line, and the run to the worker that settles, all at once."""
    make("tag:db")
    runs = names(tagged(store, "db", count=3))
    assert claim(store, owner) == runs[:1]
    for ended, following in itertools.pairwise(runs):
        outcome = (ended, 1, record(ended).encode())
        _, claimed = store.settle_and_claim(owner, [outcome], Demand(["q"], sync_slots=1))
        assert [run.run_id for run in claimed.runs] == [following]
        assert holders(limits, "tag:db") == [following]
    settle(store, owner, runs[2])


def test_a_long_queue_of_runs_that_have_to_wait_is_parked_bit_by_bit(
    store: Store, owner: str, limits: Limits, make: Callable[..., str]
) -> None:
    """Each claim parks some and says that there are more, and what lies behind them is found."""
    make("tag:db")
    waiting = names(tagged(store, "db", count=250))
    [last] = names(tagged(store, "other"))
    room = Demand(["q"], sync_slots=300)
    taken, next_due = [], 0.0
    for _ in range(3):
        assert next_due == 0
        claimed = store.claim(owner, room)
        taken += [run.run_id for run in claimed.runs]
        next_due = claimed.next_due
    assert next_due is None
    assert taken == [waiting[0], last]
    assert waiters(limits, "tag:db") == waiting[1:]
    assert store.client.llen(keys.queue("q")) == 0
    settle(store, owner, *taken)
    limits.delete("tag:db")
    while called := claim(store, owner):
        settle(store, owner, *called)


def test_without_a_limit_a_tag_means_nothing(store: Store, owner: str, make: Callable[..., str]) -> None:
    """No limit, an inactive one, or one on another tag: all runs are claimed."""
    make("tag:off", 1, active=False)
    make("tag:other", 1)
    runs = names(tagged(store, "off", "free", count=5))
    assert claim(store, owner) == runs
    settle(store, owner, *runs)


def test_a_slot_kept_for_a_called_run_is_not_taken_by_a_newcomer(
    store: Store, owner: str, limits: Limits, make: Callable[..., str]
) -> None:
    """Between the call and the claim the slot is the called run's, whatever else is claimed."""
    make("tag:db", 1)
    first, second = names(tagged(store, "db", count=2))
    assert claim(store, owner) == [first]
    settle(store, owner, first)
    [newcomer] = names(tagged(store, "db", queue="urgent"))
    assert claim(store, owner, "urgent") == []
    assert holders(limits, "tag:db") == [second]
    assert claim(store, owner) == [second]
    settle(store, owner, second)
    assert claim(store, owner, "urgent") == [newcomer]
    settle(store, owner, newcomer)


def test_slots_kept_for_a_run_that_nobody_claims_go_to_the_next(
    store: Store, owner: str, limits: Limits, make: Callable[..., str]
) -> None:
    """After a lease's time without a worker, the next in line is called; the first can still be claimed later."""
    make("tag:db", 1)
    [first] = names(tagged(store, "db"))
    assert claim(store, owner) == [first]
    [unserved] = names(tagged(store, "db", queue="unserved"))
    assert claim(store, owner, "unserved") == []
    [served] = names(tagged(store, "db"))
    assert claim(store, owner) == []
    settle(store, owner, first)
    assert holders(limits, "tag:db") == [unserved]
    store.client.zadd(keys.SLOT_LEASES, {unserved: 1}, xx=True)
    store.reap(owner)
    assert holders(limits, "tag:db") == [served]
    assert claim(store, owner) == [served]
    assert claim(store, owner, "unserved") == []
    settle(store, owner, served)
    assert claim(store, owner, "unserved") == [unserved]
    settle(store, owner, unserved)


def test_a_run_with_several_tags_takes_a_slot_of_each_or_of_none(
    store: Store, owner: str, limits: Limits, make: Callable[..., str]
) -> None:
    """While one of its limits is reached, it keeps nobody from the others."""
    make("tag:a", 1)
    make("tag:b", 1)
    [only_b] = names(tagged(store, "b"))
    assert claim(store, owner) == [only_b]
    [both] = names(tagged(store, "a", "b"))
    [only_a] = names(tagged(store, "a"))
    assert claim(store, owner) == [only_a]
    assert store.look([both]) == {both: "awaits tag:b"}
    settle(store, owner, only_b)
    assert store.look([both]) == {both: "awaits tag:a"}
    settle(store, owner, only_a)
    assert claim(store, owner) == [both]
    assert holders(limits, "tag:a") == holders(limits, "tag:b") == [both]
    settle(store, owner, both)
    assert holders(limits, "tag:a") == holders(limits, "tag:b") == []


def test_a_limit_of_zero_lets_no_run_begin(store: Store, owner: str, make: Callable[..., str], limits: Limits) -> None:
    """The run is given to the worker with the name of the limit, to be ended; so are those that wait already."""
    make("tag:db", 1)
    first, second = names(tagged(store, "db", count=2))
    assert claim(store, owner) == [first]
    limits.write("tag:db", "old", limit=0)
    [refused] = store.claim(owner, Demand(["q"], sync_slots=9, async_slots=9)).runs
    assert (refused.run_id, refused.refused_by) == (second, "tag:db")
    store.settle(owner, [(second, 1, record(second, StateType.CANCELLED).encode())])
    settle(store, owner, first)


@pytest.mark.parametrize("how", ["raise", "switch off", "delete"])
def test_a_limit_that_is_relaxed_lets_waiting_runs_in(
    store: Store, owner: str, limits: Limits, make: Callable[..., str], how: str
) -> None:
    """As many as there is room for now."""
    make("tag:db", 1)
    runs = names(tagged(store, "db", count=4))
    assert claim(store, owner) == runs[:1]
    if how == "raise":
        limits.write("tag:db", "old", limit=3)
    elif how == "switch off":
        limits.write("tag:db", "old", active=False)
    else:
        limits.delete("tag:db")
    more = 2 if how == "raise" else 3
    assert claim(store, owner) == runs[1 : 1 + more]
    settle(store, owner, *runs[: 1 + more])
    settle(store, owner, *claim(store, owner))


def test_long_lines_are_called_in_parts(store: Store, owner: str, limits: Limits, make: Callable[..., str]) -> None:
    """When a limit with more than a thousand in line is deleted, all of them are let in, in their order."""
    make("tag:db", 1)
    runs = names(tagged(store, "db", count=1200))
    assert claim(store, owner) == runs[:1]
    while store.client.llen("rq:queue:q"):
        assert claim(store, owner) == []
    assert waiters(limits, "tag:db") == runs[1:1001]
    limits.delete("tag:db")
    assert store.client.llen("rq:queue:q") == 1199
    assert store.client.exists(keys.LINES_TO_CALL) == 0
    while taken := claim(store, owner):
        settle(store, owner, *taken)
    settle(store, owner, runs[0])


def test_a_run_that_is_handed_back_gives_up_its_slot(
    store: Store, owner: str, limits: Limits, make: Callable[..., str]
) -> None:
    """Released, postponed or reaped: the next in line has the slot, and the run takes one anew."""
    make("tag:db", 1)
    first, second = names(tagged(store, "db", count=2))
    claim(store, owner)
    store.release(owner, [first])
    assert holders(limits, "tag:db") == [second]
    assert claim(store, owner) == [second]
    assert waiters(limits, "tag:db") == [first]
    store.take_lease("dead")
    store.client.rename(keys.held(owner), keys.held("dead"))
    store.client.zadd(keys.LEASES, {"dead": 1})
    assert store.reap(owner)
    assert holders(limits, "tag:db") == [first]
    assert claim(store, owner) == [first]
    settle(store, owner, first, attempt=2)
    assert claim(store, owner) == [second]
    settle(store, owner, second, attempt=2)


def test_a_run_that_comes_back_before_others_in_line_begins_if_there_is_room(
    store: Store, owner: str, client: str, limits: Limits, make: Callable[..., str]
) -> None:
    """It was there first; who stands in line behind it, and needs more than is free, does not hold it up."""
    make("tag:db", 2)
    first, second, third = names(tagged(store, "db", count=3))
    assert claim(store, owner) == [first, second]
    settle(store, owner, first)
    assert claim(store, owner) == [third]
    limits.acquire(client, new_id(), ["tag:db"], label="code", occupy=2)
    store.release(owner, [third])
    assert claim(store, owner) == []
    assert claim(store, owner) == [third]
    settle(store, owner, second)
    settle(store, owner, third, attempt=2)


def test_a_run_in_line_can_be_withdrawn(store: Store, owner: str, limits: Limits, make: Callable[..., str]) -> None:
    """It is found with the queued runs of its tree, and whoever stood behind it moves up."""
    make("tag:db", 1)
    runs = names(tagged(store, "db", count=3))
    claim(store, owner)
    assert sorted(name for name, _ in store.queued_in_tree(FLOW)) == sorted(runs[1:])
    assert store.withdraw([record(runs[1], StateType.CANCELLED)]) == [runs[1]]
    assert waiters(limits, "tag:db") == [runs[2]]
    settle(store, owner, runs[0])
    assert store.withdraw([record(runs[2], StateType.CANCELLED)]) == [runs[2]]
    assert holders(limits, "tag:db") == []


# --- code that takes slots --------------------------------------------------------------------------------------------


def test_code_takes_slots_and_gives_them_back(
    limits: Limits, client: str, make: Callable[..., str], store: Store
) -> None:
    """All of its limits, or none; the next in line is told by its inbox the moment a slot is free."""
    make("l", 3)
    make("other", 1)
    first, second, third = new_id(), new_id(), new_id()
    assert limits.acquire(client, first, ["l", "other"], label="first", occupy=1, lease_seconds=60).verdict == "taken"
    assert limits.acquire(client, second, ["l"], label="second", occupy=3, lease_seconds=60).verdict == "waits"
    assert limits.acquire(client, third, ["l"], label="third").verdict == "waits"
    assert limits.stand(client, [first, second, third, "?"]) == {first: "h", second: "w", third: "w", "?": ""}
    seen = limits.inspect("l")
    assert seen
    assert [(each.label, each.owner, each.occupy) for each in seen.holders] == [("first", client, 1)]
    assert 10 < seen.holders[0].lease_seconds <= 15
    assert [(each.label, each.owner, each.occupy) for each in seen.waiters] == [
        ("second", client, 3),
        ("third", client, 1),
    ]
    limits.free(client, [first])
    assert store.next_finished(client, 0.1) == {second: b"slot"}
    [now] = limits.read("l")
    assert (now.taken, now.waiting) == (3, 1)
    limits.free(client, [second])
    assert store.next_finished(client, 0.1) == {third: b"slot"}
    limits.free(client, [third])
    assert [each.taken for each in limits.read()] == [0, 0]


def test_asking_again_after_a_lost_answer_takes_nothing_twice(
    limits: Limits, client: str, make: Callable[..., str]
) -> None:
    """A request is known by its id, whether it was answered with slots or put in line."""
    make("l", 2)
    first, second = new_id(), new_id()
    for _ in range(2):
        assert limits.acquire(client, first, ["l"], label="first", occupy=2).verdict == "taken"
        assert limits.acquire(client, second, ["l"], label="second").verdict == "waits"
    [seen] = limits.read("l")
    assert (seen.taken, seen.waiting) == (2, 1)
    limits.free(client, [first, second, first])


def test_what_cannot_be_had_is_refused(limits: Limits, client: str, make: Callable[..., str]) -> None:
    """More than there are slots, a limit that has to exist and does not, or no slot for one who will not wait."""
    make("l", 2)
    make("off", 1, active=False)
    make("rate", 5, decay=1.0)
    assert limits.acquire(client, new_id(), ["l"], label="c", occupy=3) == Answer("never", "l")
    assert limits.acquire(client, new_id(), ["l", "no"], label="c", strict=True) == Answer(
        "missing", "no", 0.0, ("no",)
    )
    assert limits.acquire(client, new_id(), ["off", "no", "rate"], label="c", occupy=2) == Answer(
        "taken", "", 0.0, ("no",), ("rate",)
    )
    held = new_id()
    assert limits.acquire(client, held, ["l"], label="c", occupy=2).verdict == "taken"
    assert limits.acquire(client, new_id(), ["l"], label="c", may_wait=False) == Answer("full", "l")
    limits.free(client, [held])
    with pytest.raises(errors.LeaseLost):
        limits.acquire("nobody", new_id(), ["l"], label="c")


def test_nobody_overtakes_one_who_needs_more_than_is_free(
    limits: Limits, client: str, make: Callable[..., str], store: Store
) -> None:
    """A newcomer that would fit stands behind the first in line, and both are let in when that one leaves."""
    make("l", 3)
    holder, big, small = new_id(), new_id(), new_id()
    limits.acquire(client, holder, ["l"], label="c")
    assert limits.acquire(client, big, ["l"], label="c", occupy=3).verdict == "waits"
    assert limits.acquire(client, small, ["l"], label="c").verdict == "waits"
    limits.free(client, [big])
    assert store.next_finished(client, 0.1) == {small: b"slot"}
    limits.free(client, [holder, small])


def test_the_slots_of_a_dead_process_go_to_the_next(
    limits: Limits, client: str, make: Callable[..., str], store: Store
) -> None:
    """By a worker's reap; where there is none, by the next who asks, a little later."""
    make("l", 2)
    for name in ("dead", "gone"):
        store.take_lease(name)
        limits.acquire(name, new_id(), ["l"], label="c")
        limits.acquire(name, new_id(), ["l"], label="waits")
    store.client.zadd(keys.LEASES, {"dead": 1, "gone": 2})
    mine = new_id()
    assert limits.acquire(client, mine, ["l"], label="mine", occupy=2).verdict == "taken"
    assert (store.client.exists(keys.holds("dead")), store.client.exists(keys.holds("gone"))) == (0, 0)
    limits.free(client, [mine])
    store.take_lease("dead")
    limits.acquire("dead", new_id(), ["l"], label="c", occupy=2)
    assert limits.acquire(client, mine, ["l"], label="mine").verdict == "waits"
    store.client.zadd(keys.LEASES, {"dead": 1})
    assert store.reap("somebody")
    assert store.next_finished(client, 0.1) == {mine: b"slot"}
    limits.free(client, [mine])
    store.reap("somebody")


def test_slots_whose_lease_is_not_renewed_are_free(
    limits: Limits, client: str, make: Callable[..., str], store: Store
) -> None:
    """Extended leases last; one that ran out is lost, and its holder is told so when it tries to extend it."""
    make("l", 2)
    kept, lost, next_one = new_id(), new_id(), new_id()
    for each in (kept, lost):
        limits.acquire(client, each, ["l"], label="c", lease_seconds=60)
    assert limits.acquire(client, next_one, ["l"], label="c", lease_seconds=60).verdict == "waits"
    store.client.zadd(keys.SLOT_LEASES, {f"{each} {client}": 1 for each in (kept, lost)})
    assert limits.extend(client, [(kept, 60.0)]) == []
    assert limits.stand(client, [next_one]) == {next_one: "h"}
    assert limits.extend(client, [(kept, 60.0), (lost, 60.0), (next_one, 60.0)]) == [lost]
    limits.reset("l")
    assert limits.extend(client, [(kept, 60.0)]) == [kept]
    limits.free(client, [kept, lost, next_one])


def test_who_gives_back_is_told_whether_it_still_held_its_slots(
    limits: Limits, client: str, make: Callable[..., str], store: Store
) -> None:
    """Not so if its lease ran out or the limit was made anew; one that is deleted or switched off asks for nothing."""
    make("l", 9)
    make("off", 9)
    make("gone", 9)
    kept, late, waits = new_id(), new_id(), new_id()
    for each in (kept, late):
        limits.acquire(client, each, ["l", "off", "gone"], label="c", lease_seconds=60)
    limits.acquire(client, waits, ["l"], label="c", occupy=9, lease_seconds=60)
    store.client.zadd(keys.SLOT_LEASES, {f"{late} {client}": 1})
    limits.write("off", "old", active=False)
    limits.delete("gone")
    store.reap(client)
    assert limits.free(client, [kept, late, waits]) == [late]
    assert limits.free(client, [kept]) == [kept]
    both = new_id()
    limits.acquire(client, both, ["l", "off"], label="c", lease_seconds=60)
    limits.delete("l")
    make("l", 9)
    assert limits.free(client, [both]) == [both]
    assert [each.taken for each in limits.read()] == [0, 0]


def test_a_process_that_ends_gives_back_its_slots(limits: Limits, store: Store, make: Callable[..., str]) -> None:
    """Also those that its code still holds, or waits for."""
    make("l", 1)
    store.take_lease("ends")
    limits.acquire("ends", new_id(), ["l"], label="c", lease_seconds=60)
    limits.acquire("ends", new_id(), ["l"], label="c", lease_seconds=60)
    store.end_lease("ends")
    [seen] = limits.read("l")
    assert (seen.taken, seen.waiting) == (0, 0)


def test_runs_and_code_share_a_line(
    limits: Limits, store: Store, owner: str, client: str, make: Callable[..., str]
) -> None:
    """They are let in in the order in which they came."""
    make("tag:db", 1)
    first, third = names(tagged(store, "db"))[0], None
    assert claim(store, owner) == [first]
    second = new_id()
    assert limits.acquire(client, second, ["tag:db"], label="c").verdict == "waits"
    [third] = names(tagged(store, "db"))
    assert claim(store, owner) == []
    assert waiters(limits, "tag:db") == [second, third]
    settle(store, owner, first)
    assert holders(limits, "tag:db") == [second]
    limits.free(client, [second])
    assert claim(store, owner) == [third]
    settle(store, owner, third)


# --- slots that come back with time -----------------------------------------------------------------------------------


def test_slots_that_come_back_with_time_are_reserved_in_turn(limits: Limits, make: Callable[..., str]) -> None:
    """The first ones at once, then each later than the one before by the time in which one slot comes back."""
    make("l", 2, decay=0.5)
    waits = [limits.reserve(["l"], 1).seconds for _ in range(5)]
    assert waits == pytest.approx([0, 0, 2, 4, 6], abs=0.5)
    assert limits.reserve(["l"], 1, longest=3.0).verdict == "late"
    limits.reserve(["l"], -1)
    assert limits.reserve(["l"], 1).seconds == pytest.approx(6, abs=0.5)
    assert [each.taken for each in limits.read("l")] == [2]
    limits.reset("l")
    assert limits.reserve(["l"], 2).seconds == 0


def test_what_has_no_slots_that_come_back_says_so(limits: Limits, make: Callable[..., str]) -> None:
    """A limit without decay, one that does not exist, and more than there are slots."""
    make("l", 2)
    make("rate", 2, decay=1.0)
    make("off", 2, decay=1.0, active=False)
    assert limits.reserve(["rate", "l"], 1) == Answer("steady", "l")
    assert limits.reserve(["rate"], 3) == Answer("never", "rate")
    assert limits.reserve(["rate", "no"], 1, strict=True) == Answer("missing", "no", 0.0, ("no",))
    assert limits.reserve(["off", "no"], 9) == Answer("taken", "", 0.0, ("no",))
    assert limits.reserve(["rate"], 2).seconds == 0


def test_a_changed_decay_keeps_what_is_taken(limits: Limits, make: Callable[..., str]) -> None:
    """Slots that are out come back at the new pace."""
    make("l", 1, decay=1.0)
    limits.reserve(["l"], 1)
    limits.write("l", "old", decay=0.1)
    assert limits.reserve(["l"], 1).seconds == pytest.approx(10, abs=1)
