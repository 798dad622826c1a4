"""The queue's way through one process, step by step: a server in memory, and a worker that works when it is told to."""

from collections.abc import Iterator

import pytest

from millstream import Future, flow, sessions, task
from millstream.exceptions import RunLost
from millstream.store_session import Session
from millstream.task_runners import QueueTaskRunner
from millstream_shared.claims import Demand
from millstream_shared.settings import get_settings
from millstream_shared.store import Store
from millstream_worker.execution import Assignment, Executor
from tests.harness import eventually
from tests.harness.servers import MemoryServer


@task
def double(x: int) -> int:
    return 2 * x


@pytest.fixture
def store(fakeredis: MemoryServer) -> Iterator[Store]:
    """The store of a session in this process."""
    opened = Store(fakeredis.url, get_settings(), fakeredis.client())
    sessions.close_current()
    sessions.use(Session(opened, is_local=False))
    yield opened
    sessions.close_current()


class Worker:
    """Claims and executes when it is told to, in the calling thread."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.executor = Executor("worker-in-a-test")
        store.take_lease("w")

    def work(self, count: int) -> None:
        """Execute the next `count` runs, waiting for each."""
        for _ in range(count):
            claims = eventually(lambda: self.store.claim("w", Demand(["default"], sync_slots=1, async_slots=1)).runs)
            assigned = [Assignment(c.run_id, c.attempt, False, c.crashes, c.tries, c.payload) for c in claims]
            self.store.settle("w", [self.executor.execute(assignment) for assignment in assigned])

    def close(self) -> None:
        self.store.end_lease("w")


@pytest.fixture
def worker(store: Store) -> Iterator[Worker]:
    made = Worker(store)
    yield made
    made.close()


def test_a_chain_of_futures_is_held_back_in_redis(worker: Worker, store: Store) -> None:
    """A run that needs another is not in the queue before that one has ended."""

    @flow(task_runner=QueueTaskRunner())
    def chain() -> int:
        first = double.submit(1)
        second = double.submit(first)
        assert store.client.llen("rq:queue:default") == 1
        assert [future.state.name for future in (first, second)] == ["Pending", "Pending"]
        worker.work(2)
        return second.result()

    assert chain() == 4


def test_a_lost_notification_costs_time_only(worker: Worker, store: Store) -> None:
    """When the inbox is emptied before it is read, the look at all outstanding runs finds them ended."""

    @flow(task_runner=QueueTaskRunner())
    def deaf() -> int:
        future = double.submit(21)
        # Told to an inbox that nobody reads.
        store.client.hset(f"rq:job:{future.run_id}", "reply", "nobody")
        worker.work(1)
        return future.result(timeout=10)

    assert deaf() == 42


def test_a_run_that_the_server_forgot_is_lost_in_bounded_time(store: Store) -> None:
    """A server that comes back empty leaves nobody waiting for ever."""

    @flow(task_runner=QueueTaskRunner())
    def forgotten() -> str:
        future: Future[int] = double.submit(1)
        store.client.flushall()
        try:
            future.result(timeout=20)
        except RunLost as lost:
            return lost.run_id
        return "found"

    assert len(forgotten()) == 32
