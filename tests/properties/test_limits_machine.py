"""Whatever happens to limits, in any order: none is exceeded, nobody waits in vain, and all come in turn."""

import itertools
from collections.abc import Iterable
from dataclasses import replace

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from millstream_shared import ids, keys
from millstream_shared.claims import Claim, Demand, Orphan, Postponed
from millstream_shared.limits import Inspection, Limits
from millstream_shared.settings import Settings
from millstream_shared.states import StateType
from millstream_shared.store import Store
from tests.harness.queued_runs import queued, record
from tests.harness.servers import RealServer

TAGS = ("a", "b")
NAMES = tuple(f"tag:{tag}" for tag in TAGS)

some_tags = st.sets(st.sampled_from(TAGS)).map(sorted)
names = st.sampled_from(NAMES)
number = st.integers(0, 100)
"""Chooses from what there is at the time."""


class LimitsMachine(RuleBasedStateMachine):
    """Two workers execute tagged runs, two processes run code that takes slots of the same limits.

    `held` has what each worker holds, `code` what each process holds or waits for. What is chosen from is in the order
    in which it came, as its names are never the same.
    """

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(self.url, Settings())
        self.store.client.flushdb()
        self.limits = Limits(self.store.script)
        self.held: dict[str, dict[str, int]] = {}
        self.code: dict[str, list[str]] = {}
        self.submitted: list[str] = []
        self.ended: set[str] = set()
        self.arrivals: dict[bytes, int] = {}
        self.most: dict[str, int] = {}

    @initialize(slots=st.tuples(st.integers(1, 3), st.integers(1, 3)))
    def begin(self, slots: tuple[int, int]) -> None:
        for name, limit in zip(NAMES, slots, strict=True):
            self.limits.write(name, "new", limit=limit)
        for kind, processes in (("worker", self.held), ("client", self.code)):
            for _ in range(2):
                self.start(kind, processes)

    def start(self, kind: str, processes: dict) -> None:
        name = ids.new_owner_id(kind)
        self.store.take_lease(name)
        processes[name] = {} if kind == "worker" else []

    @property
    def unfinished(self) -> list[str]:
        return [run_id for run_id in self.submitted if run_id not in self.ended]

    def look(self) -> dict[str, Inspection]:
        found = {name: self.limits.inspect(name) for name in NAMES}
        return {name: seen for name, seen in found.items() if seen is not None}

    # -- what happens to limits

    @rule(name=names, change=st.sampled_from(["write"] * 3 + ["off", "on", "reset", "delete"]), limit=st.integers(0, 3))
    def change(self, name: str, change: str, limit: int) -> None:
        if change == "write":
            self.limits.write(name, "any", limit=limit)
        elif change in ("on", "off"):
            self.limits.write(name, "old", active=change == "on")
        elif change == "reset":
            self.limits.reset(name)
        else:
            self.limits.delete(name)

    # -- what happens to runs

    @rule(tags=some_tags, count=st.integers(1, 3))
    def submit(self, tags: list[str], count: int) -> None:
        runs = [queued() for _ in range(count)]
        self.store.submit("q", runs, inbox="me", is_async=False, tags=tags)
        self.submitted += [run.run_id for run in runs]

    @rule(worker=number, count=st.integers(1, 4), tags=some_tags)
    def submit_and_claim(self, worker: int, count: int, tags: list[str]) -> None:
        self.submit(tags, count)
        self.claim(worker, count)

    @rule(worker=number, count=st.integers(1, 4))
    def claim(self, worker: int, count: int) -> None:
        owner = list(self.held)[worker % 2]
        before = self.look()
        had = {run_id for run_id in self.submitted if self.store.client.hexists(keys.job(run_id), "slots")}
        claims = self.store.claim(owner, Demand(["q"], sync_slots=count, async_slots=0)).runs
        self.check_nobody_was_overtaken({claim.run_id for claim in claims} - had, before)
        self.take(owner, claims)

    def take(self, owner: str, claims: Iterable[Claim]) -> None:
        for claim in claims:
            self.held[owner][claim.run_id] = claim.attempt
            if claim.refused_by:
                self.end(owner, claim.run_id)

    def held_one(self, at: int) -> tuple[str, str] | None:
        everything = [(owner, run_id) for owner, runs in self.held.items() for run_id in runs]
        return everything[at % len(everything)] if everything else None

    def end(self, owner: str, run_id: str) -> None:
        attempt = self.held[owner].pop(run_id)
        assert self.store.settle(owner, [(run_id, attempt, record(run_id).encode())]) == []
        self.ended.add(run_id)

    @precondition(lambda self: any(self.held.values()))
    @rule(at=number)
    def settle(self, at: int) -> None:
        self.end(*self.held_one(at))

    @precondition(lambda self: any(self.held.values()))
    @rule(at=number, worker=number)
    def settle_and_claim(self, at: int, worker: int) -> None:
        self.settle(at)
        self.claim(worker, 1)

    @precondition(lambda self: any(self.held.values()))
    @rule(at=number, count=st.integers(1, 4), search=st.booleans())
    def settle_and_claim_at_once(self, at: int, count: int, search: bool) -> None:
        owner, run_id = self.held_one(at)
        outcome = (run_id, self.held[owner].pop(run_id), record(run_id).encode())
        refused, claimed = self.store.settle_and_claim(owner, [outcome], Demand(["q"], count), search=search)
        assert refused == []
        self.ended.add(run_id)
        self.take(owner, claimed.runs)

    @precondition(lambda self: any(self.held.values()))
    @rule(at=number, how=st.sampled_from(["postponed", "given back", "crashed"]))
    def leave(self, at: int, how: str) -> None:
        owner, run_id = self.held_one(at)
        if how == "postponed":
            failed = replace(record(run_id, StateType.SCHEDULED), ended=None).encode()
            attempt = self.held[owner].pop(run_id)
            assert self.store.postpone(owner, [Postponed(run_id, attempt, failed, 0.0, 1)]) == []
        elif self.store.release(owner, [run_id], crashed=how == "crashed"):
            self.end(owner, run_id)
        else:
            del self.held[owner][run_id]

    @precondition(lambda self: self.unfinished)
    @rule(at=number)
    def withdraw(self, at: int) -> None:
        run_id = self.unfinished[at % len(self.unfinished)]
        self.ended.update(self.store.withdraw([record(run_id)]))

    # -- what happens to code

    @rule(client=number, wanted=st.sets(names, min_size=1).map(sorted), occupy=st.integers(1, 2))
    def acquire(self, client: int, wanted: list[str], occupy: int) -> None:
        owner = list(self.code)[client % 2]
        before = self.look()
        name = ids.new_background_run_id()
        answer = self.limits.acquire(owner, name, wanted, label="code", occupy=occupy)
        if answer.holds:
            self.check_nobody_was_overtaken({name}, before)
        if answer.holds or answer.verdict == "waits":
            self.code[owner].append(name)

    @precondition(lambda self: any(self.code.values()))
    @rule(at=number)
    def free(self, at: int) -> None:
        everything = [(owner, name) for owner, held in self.code.items() for name in held]
        owner, name = everything[at % len(everything)]
        self.code[owner].remove(name)
        self.limits.free(owner, [name])

    # -- what dies

    @rule(at=number, what=st.sampled_from(["worker", "client", "reservations"]))
    def die(self, at: int, what: str) -> None:
        if what == "reservations":
            for name in self.store.client.zrange(keys.SLOT_LEASES, 0, -1):
                self.store.client.zadd(keys.SLOT_LEASES, {name: 1})
        else:
            processes = self.held if what == "worker" else self.code
            dead = list(processes)[at % 2]
            self.store.client.zadd(keys.LEASES, {dead: 0})
            del processes[dead]
            self.start(what, processes)
        self.reap()

    def reap(self) -> None:
        caller = next(iter(self.held))
        while reaped := self.store.reap(caller):
            for orphan in reaped.orphans:
                self.bury(caller, orphan)

    def bury(self, caller: str, orphan: Orphan) -> None:
        self.held[caller][orphan.run_id] = orphan.attempt
        self.end(caller, orphan.run_id)

    # -- what must hold

    def check_nobody_was_overtaken(self, came: set[str], before: dict[str, Inspection]) -> None:
        """Who had no slot before got none of a limit in whose line somebody went on waiting."""
        for name, seen in self.look().items():
            first = [waiter.id for waiter in before[name].waiters[:1]] if name in before else []
            if first and first == [waiter.id for waiter in seen.waiters[:1]]:
                assert not came & {holder.id for holder in seen.holders}

    @invariant()
    def limits_hold(self) -> None:
        """Nobody gets a slot beyond a limit; those that had one when it was lowered keep it."""
        for name, seen in self.look().items():
            taken = sum(holder.occupy for holder in seen.holders)
            assert taken == seen.limit.taken
            counts = seen.limit.active
            assert not counts or taken <= max(seen.limit.limit, self.most.get(name, 0))
            self.most[name] = taken

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        """The first in each line needs more than is free; if more than there are, it is told when a slot is freed."""
        for seen in self.look().values():
            if seen.waiters:
                assert seen.limit.active
                assert seen.limit.limit - seen.limit.taken < seen.waiters[0].occupy

    @invariant()
    def all_come_in_turn(self) -> None:
        """Lines are in the order in which those that stand in them came first."""
        lines = [self.store.client.zrange(keys.waiters(name), 0, -1, withscores=True) for name in NAMES]
        # One claim may put several in line, of which only the store knows who was first.
        for member, _ in sorted(itertools.chain(*lines), key=lambda entry: entry[1]):
            self.arrivals.setdefault(member, len(self.arrivals))
        for line in lines:
            members = [member for member, _ in line]
            assert members == sorted(members, key=self.arrivals.__getitem__)

    @invariant()
    def what_runs_is_counted(self) -> None:
        """Whoever a limit lists holds it or has been called."""
        running = {run_id for runs in self.held.values() for run_id in runs}
        code = {name for held in self.code.values() for name in held}
        for seen in self.look().values():
            assert {holder.id for holder in seen.holders if holder.owner} <= running | code

    def teardown(self) -> None:
        """All runs come to their end, and nothing is left."""
        if not self.held:
            return
        for name in NAMES:
            self.limits.write(name, "any", limit=2, active=True)
        for owner, held in self.code.items():
            self.limits.free(owner, held)
        while self.unfinished:
            progress = len(self.ended)
            for owner, runs in self.held.items():
                self.take(owner, self.store.claim(owner, Demand(["q"], sync_slots=3, async_slots=0)).runs)
                for run_id in list(runs):
                    self.end(owner, run_id)
            assert len(self.ended) > progress, f"never begun: {self.unfinished}"
        for name in NAMES:
            self.limits.delete(name)
        for owner in (*self.held, *self.code):
            self.store.end_lease(owner)
        lasting = [key for key in self.store.client.scan_iter() if self.store.client.ttl(key) == -1]
        self.store.close()
        assert {key.decode() for key in lasting} <= {"rq:queues", keys.COUNTERS, "rq:failed:q"}


@pytest.mark.timeout(300)  # what fails is made shorter first
def test_limits_hold_whatever_happens(valkey: RealServer) -> None:
    """Over a thousand steps in random order; what fails is shown as a short program."""
    # A server in memory would take ten times as long for the scripts.
    run_state_machine_as_test(
        type("LimitsOnAServer", (LimitsMachine,), {"url": valkey.url}),
        settings=hypothesis.settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
