"""RQ's own scheduler beside our workers: both look for postponed runs that are due, and one of them is to have each."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from rq import Queue
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.scheduler import RQScheduler

from millstream_shared import ids, keys
from millstream_shared.claims import Postponed
from millstream_shared.states import StateType
from millstream_shared.store import Store
from tests.harness.queued_runs import claim, queued, record, submit
from tests.harness.servers import Server


@pytest.fixture
def postponed(store: Store, owner: str) -> str:
    """The id of a run that failed once, and is due."""
    run = queued()
    submit(store, run)
    claim(store, owner)
    failed = replace(record(run.run_id, StateType.SCHEDULED), ended=None).encode()
    assert store.postpone(owner, [Postponed(run.run_id, 1, failed, 0.001, 1)]) == []
    # RQ counts whole seconds.
    store.client.zadd(keys.scheduled("q"), {run.run_id: int(time.time())}, xx=True)
    return run.run_id


def schedule(server: Server, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Have RQ enqueue what is due; `meanwhile` happens after it has looked and before it writes."""
    fetch = Job.fetch_many

    def fetch_many(*args: object, **options: object) -> list[Job | None]:
        found = fetch(*args, **options)
        meanwhile()
        return found

    monkeypatch.setattr(Job, "fetch_many", fetch_many)
    scheduler = RQScheduler(["q"], connection=server.client())
    scheduler.acquire_locks()
    scheduler.enqueue_scheduled_jobs()
    scheduler.release_locks()


def settle(store: Store, owner: str, run_id: str, attempt: int) -> None:
    assert store.settle(owner, [(run_id, attempt, record(run_id).encode())]) == []


def test_rqs_scheduler_queues_a_run_that_is_due(
    server: Server, store: Store, owner: str, postponed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is claimed from there, with its tries, and only once."""
    schedule(server, monkeypatch)
    assert store.client.zcard(keys.scheduled("q")) == 0
    [taken] = claim(store, owner)
    assert (taken.run_id, taken.attempt, taken.tries) == (postponed, 2, 1)
    assert claim(store, owner) == []
    settle(store, owner, postponed, 2)


def test_a_run_that_is_executed_is_not_executed_twice(
    server: Server, store: Store, owner: str, postponed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by another worker either; it is begun again only when its worker has given it back."""
    schedule(server, monkeypatch, lambda: claim(store, owner))
    other = ids.new_owner_id("worker")
    store.take_lease(other)
    assert Queue("q", connection=server.client()).job_ids == [postponed]
    assert claim(store, other) == []
    assert store.look([postponed]) == {postponed: "started"}
    assert store.claim_one(other, postponed) is None
    store.release(owner, [postponed])
    [again] = claim(store, other)
    assert (again.run_id, again.attempt) == (postponed, 3)
    settle(store, other, postponed, 3)
    store.end_lease(other)


def test_a_run_that_has_ended_meanwhile_leaves_nothing(
    server: Server, store: Store, owner: str, postponed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What RQ writes anew of its job is removed, and is not taken for somebody else's."""

    def execute() -> None:
        [taken] = claim(store, owner)
        settle(store, owner, taken.run_id, taken.attempt)

    schedule(server, monkeypatch, execute)
    assert claim(store, owner) == []
    client = server.client()
    assert not Job.exists(postponed, connection=client)
    assert FailedJobRegistry("q", connection=client).get_job_ids() == []
