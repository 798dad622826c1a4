"""The store: everything that is kept in Redis, each atomic step one method."""

from collections.abc import Iterable, Sequence
from typing import Any

from millstream_shared import connections, ids, keys, limits, records, rq_queue
from millstream_shared.claims import (
    Claim,
    Claimed,
    Demand,
    Orphan,
    Postponed,
    QueuedFlowRun,
    QueuedRun,
    Reaped,
    RecordedRun,
)
from millstream_shared.links import Link
from millstream_shared.records import Record

_LARGEST_CALL = 500
"""Runs in one script call: about 2 ms during which the server does nothing else."""
_LARGEST_CLAIM = 1 << 30
"""No limit beside those of a worker's slots and of the size of an answer."""


class Store(Link):
    """What is kept in the Redis that it links to. Safe to use from several threads."""

    # -- asking for work

    def submit(
        self,
        queue: str,
        batch: Sequence[QueuedRun],
        *,
        inbox: str,
        is_async: bool,
        in_front: bool = False,
        tags: Sequence[str] = (),
        again: bool = False,
    ) -> None:
        """Queue the runs, whose tags are the same; those with unfinished upstream runs follow when these have ended.

        With `again` those that exist already, as they may in the second execution of a flow run, are followed instead.
        """
        front, mode = "1" if in_front else "", "a" if is_async else "s"
        fixed = (queue, front, inbox, mode, rq_queue.JOB_DATA)
        tag_lines = limits.join_tags(tags)
        for some in _chunks(batch, _LARGEST_CALL):
            args: list[Any] = [tag_lines]
            for run in some:
                args += (run.run_id, run.description, run.payload, run.upstream)
            self._persist(
                lambda repeated, args=args: self._send("submit", [*fixed, "1" if repeated or again else "", *args])
            )

    def submit_flows(self, batch: Sequence[QueuedFlowRun], *, inbox: str, again: bool = False) -> list[str]:
        """Queue flow runs, each on its queue when it is due; the id of each, or of that which had its key before.

        With `again` those that exist already, as they may in the second execution of a flow run, are followed instead.
        """
        given: list[str] = []
        for some in _chunks(batch, _LARGEST_CALL):
            args: list[Any] = []
            for run in some:
                args += (keys.flow_queue(run.queue), run.run_id, run.name, run.payload, run.upstream, run.record)
                due = "" if run.due is None else round(run.due * 1000)
                args += (run.facets, due, run.parent_flow_run_id, "resume" if run.resumes else "", run.limit)
                args += ("cancel" if run.is_cancelled_when_full else "", run.key)

            def send(repeated: bool, args: list[Any] = args) -> Any:
                known, keep = "1" if repeated or again else "", self.settings.retention_seconds
                return self._send("submit_flows", [inbox, rq_queue.JOB_DATA, known, keep, *args])

            given += [name.decode() for name in self._persist(send)]
        return given

    def queued_in_tree(self, run_id: str) -> list[tuple[str, bytes]]:
        """The runs in the tree of `run_id` that nobody executes now, queued, postponed or held back: id and payload.

        Reads all queues: for rare use.
        """
        tree = ids.tree_of(run_id).encode()
        waiting: list[bytes] = []
        for queue in self._persist(lambda _: self.client.smembers(keys.QUEUES)):
            postponed = keys.scheduled(queue.decode().removeprefix(keys.queue("")))
            found = self._persist(lambda _, queue=queue: self.client.lrange(queue, 0, -1))
            found += self._persist(lambda _, postponed=postponed: self.client.zrange(postponed, 0, -1))
            waiting += [name for name in found if name.startswith(tree)]
        for name in self._persist(lambda _: self.client.smembers(keys.LIMITS)):
            line = self._persist(lambda _, name=name: self.client.zrange(keys.waiters(name.decode()), 0, -1))
            # Code that waits for a slot has its process in its name; runs have not.
            waiting += [entry for entry in line if entry.startswith(tree) and len(entry) == 32]

        def payloads(_: bool) -> Any:
            with self.client.pipeline(transaction=False) as pipeline:
                for name in waiting:
                    pipeline.hget(keys.job(name.decode()), "payload")
                return pipeline.execute()

        stored: list[bytes | None] = self._persist(payloads) if waiting else []
        return [(name.decode(), payload) for name, payload in zip(waiting, stored, strict=True) if payload]

    def background_runs(self, queue: str, owners: Sequence[str]) -> dict[str, str]:
        """The background runs that are queued or postponed on `queue`, or held by `owners`: id and name."""
        found = self._persist(lambda _: self.client.lrange(keys.queue(queue), 0, -1))
        found += self._persist(lambda _: self.client.zrange(keys.scheduled(queue), 0, -1))
        for owner in owners:
            found += self._persist(lambda _, owner=owner: self.client.hkeys(keys.held(owner)))
        background = [run_id for name in found if ids.is_background(run_id := name.decode())]
        return {run_id: self._description(run_id) for run_id in background}

    def _description(self, run_id: str) -> str:
        found: bytes | None = self._persist(lambda _: self.client.hget(keys.job(run_id), "description"))
        return found.decode() if found else run_id

    def withdraw(self, ended: Sequence[Record]) -> list[str]:
        """End queued runs that no worker has begun, with these records; the ids of those that were still there."""
        args: list[Any] = [self.settings.retention_seconds]
        for record in ended:
            args += (record.run_id, record.encode())
        return [name.decode() for name in self._run("withdraw", args)] if ended else []

    def put_definition(self, digest: str, definition: bytes) -> None:
        """Keep a function that travels by value, under the hash of its content."""
        self._persist(
            lambda _: self.client.set(keys.definition(digest), definition, ex=self.settings.retention_seconds)
        )

    def definition(self, digest: str) -> bytes | None:
        return self._persist(lambda _: self.client.get(keys.definition(digest)))

    # -- doing work

    def claim(self, owner: str, demand: Demand) -> Claimed:
        """Take runs from the queues. Raises LeaseLost if `owner` was given up for dead."""
        next_due, taken = self._run("claim", [owner, *_wishes(demand)])
        return _claimed(taken, next_due)

    def claim_one(self, owner: str, run_id: str) -> Claim | None:
        """Take a run that is in no queue any more: one that a stock `rq worker` has popped."""
        taken = self._run("claim_one", [owner, run_id, rq_queue.timestamp()])
        if not taken:
            return None
        attempt, mode, tries, payload = taken
        return Claim(run_id, attempt, mode == b"a", 0, tries, payload, is_flow=mode == b"f")

    def leave_to_rq(self, run_id: str) -> None:
        """After a settle, leave as much of the job as a stock RQ worker needs to take it away itself."""

        def leave(_: bool) -> None:
            with self.client.pipeline() as pipeline:
                pipeline.hset(keys.job(run_id), "status", "finished")
                pipeline.expire(keys.job(run_id), 3600)
                pipeline.execute()

        self._persist(leave)

    def settle(self, owner: str, ended: Sequence[tuple[str, int, bytes]]) -> list[str]:
        """Record how runs ended: (run id, attempt, record). The ids whose lease had passed to another worker."""
        return self.settle_and_claim(owner, ended, None)[0]

    def settle_and_claim(
        self, owner: str, ended: Sequence[tuple[str, int, bytes]], demand: Demand | None, *, search: bool = False
    ) -> tuple[list[str], Claimed]:
        """The same, and take what was waiting for these runs; with `search`, from the queues too.

        What a worker lets begin it so begins itself, without being told of it.
        """
        refused: list[str] = []
        claimed = Claimed([])
        for at in range(0, len(ended), _LARGEST_CALL):
            wishes = _wishes(demand) if demand and at + _LARGEST_CALL >= len(ended) else []
            args: list[Any] = [owner, self.settings.retention_seconds, "1" if search else "", len(wishes), *wishes]
            for outcome in ended[at : at + _LARGEST_CALL]:
                args += outcome
            names, taken, *next_due = self._run("settle", args)
            refused += [name.decode() for name in names]
            claimed = _claimed(taken, *next_due)
        return refused, claimed

    def postpone(self, owner: str, failed: Sequence[Postponed]) -> list[str]:
        """Have runs executed again later. The ids of those whose lease had passed to another worker."""
        refused: list[str] = []
        for some in _chunks(failed, _LARGEST_CALL):
            args: list[Any] = [owner, self.settings.retention_seconds]
            for run in some:
                args += (run.run_id, run.attempt, run.record, round(run.seconds * 1000), run.tries)
            refused += [name.decode() for name in self._run("postpone", args)]
        return refused

    def release(
        self,
        owner: str,
        run_ids: Sequence[str],
        *,
        crashed: bool = False,
        unbegun: bool = False,
        attempt: int | None = None,
    ) -> list[Orphan]:
        """Hand runs back to their queues. Those that crashed too often stay held, for the caller to settle.

        What nobody executed is `unbegun`: it has not been attempted. With `attempt`, what `owner` holds by another one,
        which it may not know of yet, stays.
        """
        how = "crashed" if crashed else "unbegun" if unbegun else ""
        over: list[Orphan] = []
        for some in _chunks(run_ids, _LARGEST_CALL):
            limit = self.settings.crash_limit
            stay = self._run(
                "release", [owner, how, limit if crashed else 1 << 30, "" if attempt is None else attempt, *some]
            )
            over += [Orphan(name.decode(), int(token), content, kind == b"flow") for name, token, content, kind in stay]
        return over

    def held(self, owner: str) -> set[str]:
        """The runs that `owner` holds."""
        return {name.decode() for name in self._persist(lambda _: self.client.hkeys(keys.held(owner)))}

    # -- leases

    def take_lease(self, owner: str) -> None:
        """Begin to hold runs: the lease must be renewed before `lease_seconds` have passed."""
        self._run("renew", [owner, int(self.settings.lease_seconds * 1000), "1"])

    def renew_lease(self, owner: str) -> bool:
        """False if the lease had run out and another process has taken the runs over."""
        return bool(self._run("renew", [owner, int(self.settings.lease_seconds * 1000), ""]))

    def end_lease(self, owner: str) -> None:
        """Give the lease up. If something is still held under it, it runs out instead, and whoever sees that acts."""
        self._run("end_lease", [owner])

    def expire_leases_of_the_dead(self) -> None:
        """On a private server, whose users are all on this machine: do not wait for the leases of dead processes."""
        for name in self._persist(lambda _: self.client.zrange(keys.LEASES, 0, -1)):
            if not ids.lives_here(name.decode()):
                self._persist(lambda _, name=name: self.client.zadd(keys.LEASES, {name: 0}, xx=True))

    def reap(self, caller: str) -> Reaped | None:
        """Take over the runs of one owner whose lease has run out; None if there is no such owner."""
        found = self._run("reap", [caller, self.settings.crash_limit])
        if not found:
            return None
        owner, put_back, over = found
        return Reaped(owner.decode(), put_back, [_reaped(*fields) for fields in over])

    # -- records

    def record(self, owner: str, runs: Iterable[RecordedRun]) -> list[str]:
        """Write the records of runs that `owner` executes itself; the ids of those that had ended, or were not held."""
        refused: list[str] = []
        for some in _chunks(list(runs), _LARGEST_CALL):
            args: list[Any] = [owner, self.settings.retention_seconds]
            for run in some:
                args += run
            refused += [name.decode() for name in self._run("record", args)]
        return refused

    def amend(self, run_id: str, before: bytes, after: bytes) -> bool:
        """Replace the record of a run that has completed by one that says more of it; False if it is not `before`."""
        return bool(self._run("amend", [run_id, before, after]))

    def records(self, run_ids: Sequence[str]) -> dict[str, bytes]:
        """The stored records of those runs that have one, by run id."""
        by_tree: dict[str, list[str]] = {}
        for run_id in run_ids:
            by_tree.setdefault(keys.runs(run_id), []).append(run_id)
        found: dict[str, bytes] = {}
        if len(by_tree) > 1:
            for some in _chunks(run_ids, _LARGEST_CALL):
                stored = self._run("records", list(some))
                found.update({name: record for name, record in zip(some, stored, strict=True) if record})
            return found
        for key, names in by_tree.items():
            for some in _chunks(names, 1000):
                stored = self._persist(lambda _, key=key, some=some: self.client.hmget(key, some))
                found.update({name: record for name, record in zip(some, stored, strict=True) if record})
        return found

    def look(self, run_ids: Sequence[str]) -> dict[str, bytes | str | None]:
        """For each run its record (bytes); or `queued`, `started`, `deferred`, or `awaits` and a limit; or None."""
        seen: dict[str, bytes | str | None] = {}
        for some in _chunks(run_ids, _LARGEST_CALL):
            for name, found in zip(some, self._run("look", list(some)), strict=True):
                is_record = found[:1] == bytes((records.VERSION,))
                seen[name] = found if is_record else (found.decode() or None)
        return seen

    def tree(self, run_id: str) -> Iterable[Record]:
        """All records in the tree of a run, in no order, read bit by bit."""
        seen: set[bytes] = set()
        cursor = None
        while cursor != 0:
            cursor, page = self._persist(lambda _, at=cursor: self.client.hscan(keys.runs(run_id), at or 0, count=1000))
            for name, stored in page.items():
                # A scan may give an element twice.
                if name not in seen:
                    seen.add(name)
                    yield records.decode(name.decode(), stored)

    # -- being told

    def follow(self, run_id: str, inbox: str) -> bool:
        """Have `inbox` told of the end of a run that another process submitted; False if it is not to be executed."""
        return bool(self._run("follow", [run_id, inbox]))

    def next_finished(self, inbox: str, timeout: float) -> dict[str, bytes]:
        """The records of runs that ended, at most 1,000, by run id; waits up to `timeout` seconds for the first.

        The one call that is not made again in an outage: it raises what redis raised, or BackendFull, for the caller's
        own pace.
        """
        popped = self._pop(timeout, keys.inbox(inbox))
        return self._told(popped[1]) if popped else {}

    def _pop(self, timeout: float, *places: str) -> Any:
        with connections.naming_refusals(self.url):
            return self._calls.call("BLMPOP", timeout, len(places), *places, "LEFT", "COUNT", 1000)

    def _told(self, entries: Sequence[bytes]) -> dict[str, bytes]:
        told = {entry[:32].decode(): entry[32:] for entry in entries}
        if large := [run_id for run_id, record in told.items() if not record]:
            told |= self.records(large)
        return {run_id: record for run_id, record in told.items() if record}

    def next_news(self, owner: str, timeout: float) -> tuple[list[bytes], dict[str, bytes]]:
        """What a process is told next: orders (`orders.py`), or, if there are none, what `next_finished` gives.

        Waits up to `timeout` seconds. It is not made again in an outage either.
        """
        # Of the two lists the server looks at the first one first.
        places = (keys.orders(owner), keys.inbox(owner))
        popped = self._pop(timeout, *places)
        if not popped:
            return [], {}
        return (popped[1], {}) if popped[0] == places[0].encode() else ([], self._told(popped[1]))

    def begin_to_pop(self, connection: Any, lists: Sequence[str], patience: float) -> None:
        """On a connection of `connection()`, begin to wait until something comes into one of these lists."""
        connection.send_command("BLPOP", *lists, patience)

    def end_pop(self, connection: Any) -> None:
        """What came of that; it raises what redis raised, or BackendFull."""
        with connections.naming_refusals(self.url):
            connection.read_response()

    def workers(self, queue: str) -> list[str]:
        """Names of the workers, ours or RQ's, that are registered for the queue and have been heard of lately."""
        registered = self._persist(lambda _: self.client.smembers(keys.workers_of_queue(queue)))
        alive = [key for key in registered if self._persist(lambda _, key=key: self.client.exists(key))]
        return [key.decode().rpartition(":")[2] for key in alive]


def _reaped(name: bytes, token: bytes, content: bytes, kind: bytes, payload: bytes | None = None) -> Orphan:
    run_id, attempt = name.decode(), int(token)
    claim = payload and Claim(run_id, attempt, is_async=False, crashes=0, tries=0, payload=payload, is_flow=True)
    return Orphan(run_id, attempt, content, kind == b"flow", claim or None)


def _wishes(demand: Demand) -> list[Any]:
    """A demand as the scripts take it."""
    queues = demand.queues
    if demand.flow_slots > 0:
        queues = [name for queue in queues for name in (queue, keys.flow_queue(queue))]
    slots = (max(demand.sync_slots, 0), max(demand.async_slots, 0), max(demand.flow_slots, 0))
    most = _LARGEST_CLAIM if demand.most is None else max(demand.most, 0)
    return [*slots, most, rq_queue.timestamp(), *queues]


def _claimed(taken: Sequence[Any], next_due: int | None = None) -> Claimed:
    runs = [
        Claim(
            run_id.decode(),
            attempt,
            mode == b"a",
            crashes,
            tries,
            payload,
            b"".join(refused).decode(),
            mode == b"f",
        )
        for run_id, attempt, mode, crashes, tries, payload, *refused in taken
    ]
    if next_due is None:
        return Claimed(runs)
    return Claimed(runs, is_searched=True, next_due=None if next_due < 0 else next_due / 1000)


def _chunks(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[at : at + size] for at in range(0, len(items), size))
