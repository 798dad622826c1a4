"""What RQ itself makes of what the store writes: queued runs are genuine jobs, in the fields that RQ reads."""

import inspect
import re
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from rq import Queue
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry
from rq.utils import utcparse

from millstream_shared import ids, keys, rq_queue
from millstream_shared.states import StateType
from millstream_shared.store import Store
from millstream_worker import jobs
from tests.harness.queued_runs import FLOW, claim, queued, record, submit
from tests.harness.servers import Server


def settle(store: Store, owner: str, run_id: str, attempt: int = 1, state: StateType = StateType.COMPLETED) -> None:
    assert store.settle(owner, [(run_id, attempt, record(run_id, state).encode())]) == []


def test_rq_reads_a_queued_run_as_a_job(server: Server, store: Store, owner: str) -> None:
    """With its queue and description; without a time limit or anything to keep of a result of RQ's own."""
    run = queued()
    submit(store, run)
    job = Job.fetch(run.run_id, connection=server.client())
    assert (job.id, job.origin, job.description) == (run.run_id, "q", run.description)
    assert (job.timeout, job.result_ttl) == (-1, 0)
    assert job.retries_left is None
    assert job.dependency_ids == []
    claim(store, owner)
    settle(store, owner, run.run_id)


def test_rq_tells_that_a_run_is_queued(server: Server, store: Store, owner: str) -> None:
    """As soon as it is submitted."""
    run = queued()
    submit(store, run)
    job = Job.fetch(run.run_id, connection=server.client())
    claim(store, owner)
    settle(store, owner, run.run_id)
    assert job.get_status(refresh=False) is JobStatus.QUEUED


def test_rq_can_call_what_a_job_names(server: Server, store: Store, owner: str) -> None:
    """The function that a stock worker would import is ours, and takes no arguments."""
    run = queued()
    submit(store, run)
    job = Job.fetch(run.run_id, connection=server.client())
    assert (job.func, job.args, job.kwargs) == (jobs.execute, (), {})
    inspect.signature(jobs.execute).bind()
    claim(store, owner)
    settle(store, owner, run.run_id)


def test_rq_lists_queues_and_their_jobs(server: Server, store: Store, owner: str) -> None:
    """In the order in which they were submitted."""
    runs = [queued() for _ in range(5)]
    submit(store, *runs)
    [queue] = Queue.all(connection=server.client())
    assert (queue.name, queue.count) == ("q", 5)
    assert queue.job_ids == [run.run_id for run in runs]
    assert [job.id for job in queue.jobs] == queue.job_ids
    for run in runs:
        claim(store, owner)
        settle(store, owner, run.run_id)
    assert queue.count == 0


def test_rq_tells_what_is_executed(server: Server, store: Store, owner: str) -> None:
    """Since when, and by which worker."""
    run = queued()
    submit(store, run)
    before = datetime.now(UTC)
    claim(store, owner)
    job = Job.fetch(run.run_id, connection=server.client())
    assert job.get_status() is JobStatus.STARTED
    assert job.worker_name == owner
    assert job.started_at is not None
    assert before <= job.started_at.replace(tzinfo=UTC) <= datetime.now(UTC)
    settle(store, owner, run.run_id)


def test_rq_tells_what_waits_for_others(server: Server, store: Store, owner: str) -> None:
    """It is deferred, and queued once the other has ended."""
    first = queued()
    second = queued(first.run_id)
    submit(store, first)
    submit(store, second)
    client = server.client()
    assert Job.fetch(second.run_id, connection=client).get_status() is JobStatus.DEFERRED
    claim(store, owner)
    settle(store, owner, first.run_id)
    assert Job.fetch(second.run_id, connection=client).get_status() is JobStatus.QUEUED
    claim(store, owner)
    settle(store, owner, second.run_id)


def test_a_settled_run_is_no_job_any_more(server: Server, store: Store, owner: str) -> None:
    """Its record is ours; nothing of it is left with RQ."""
    run = queued()
    submit(store, run)
    claim(store, owner)
    settle(store, owner, run.run_id)
    client = server.client()
    assert not Job.exists(run.run_id, connection=client)
    assert Queue("q", connection=client).count == 0


def test_rq_lists_a_crashed_run_among_failed_jobs(server: Server, store: Store, owner: str) -> None:
    """With a reason; and requeued by RQ's tools it is not executed again but set aside once more."""
    run = queued()
    submit(store, run)
    claim(store, owner)
    settle(store, owner, run.run_id, state=StateType.CRASHED)
    client = server.client()
    registry = FailedJobRegistry("q", connection=client)
    assert registry.get_job_ids() == [run.run_id]
    job = Job.fetch(run.run_id, connection=client)
    assert job.get_status() is JobStatus.FAILED
    assert "did not complete" in str(client.hget(keys.job(run.run_id), "exc_info"))
    registry.requeue(run.run_id)
    assert claim(store, owner) == []
    assert registry.get_job_ids() == [run.run_id]
    client.expire(keys.job(run.run_id), 60)


def test_rq_understands_our_timestamps() -> None:
    """To the microsecond, also where there are none."""
    for moment in (datetime.now(UTC), datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)):
        assert utcparse(rq_queue.timestamp(moment)).replace(tzinfo=UTC) == moment


def test_keys_of_rq_have_rqs_names() -> None:
    """The same that RQ's own classes build."""
    run_id = ids.new_task_run_id(FLOW)
    assert keys.job(run_id) == Job.key_for(run_id)
    assert keys.queue("q") == Queue.redis_queue_namespace_prefix + "q"
    assert Queue.redis_queues_keys == "rq:queues"
    assert FailedJobRegistry.key_template.format("q") == "rq:failed:q"


def lua(name: str) -> str:
    return (resources.files("millstream_shared") / "lua" / f"{name}.lua").read_text()


def test_scripts_build_the_names_that_keys_has() -> None:
    """Each name in a script, up to where a variable part begins, is one that `keys` gives."""
    folder = resources.files("millstream_shared") / "lua"
    files = [*folder.iterdir(), *(folder / "parts").iterdir()]
    text = "\n".join(file.read_text() for file in files if file.name.endswith(".lua"))
    run_id = ids.new_task_run_id(FLOW)
    known = {keys.LEASES, keys.COUNTERS, keys.LIMITS, keys.SLOT_LEASES, keys.LINES_TO_CALL, "rq:queues", keys.PAUSED}
    known.add(keys.CANCELLED)
    of_runs = (
        keys.orders,
        keys.inputs,
        keys.worker,
        keys.job,
        keys.queue,
        keys.scheduled,
        keys.failed,
        keys.workers_of_queue,
        keys.held,
        keys.inbox,
        keys.bell,
        keys.dependents,
    )
    for build in (*of_runs, keys.logs, keys.limit, keys.slots, keys.waiters, keys.holds, keys.bucket):
        known.add(build(run_id).removesuffix(run_id))
    known |= {keys.DEPLOYMENTS, keys.DEPLOYMENT_IDS, keys.SCHEDULES, keys.SCHEDULER}
    known |= {
        keys.FLOW_RUNS,
        keys.FLOWS,
        keys.once(""),
        keys.parameters(""),
        keys.DEPLOYMENTS,
        keys.DEPLOYMENT_IDS,
        keys.SCHEDULES,
        keys.SCHEDULER,
        *(keys.flow_runs_of(facet, "") for facet in ("flow", "deployment", "state")),
    }
    known |= {key(run_id).removesuffix(ids.tree_of(run_id)) for key in (keys.runs, keys.logged, keys.subflows)}
    assert set(re.findall(r"'((?:rq|ms):[^']*)'", text)) == known


def test_scripts_find_the_tree_as_ids_does() -> None:
    """By as many digits of the run's id."""
    [digits] = re.findall(r"string\.sub\(id, 1, (\d+)\)", lua("parts/common"))
    run_id = ids.new_task_run_id(FLOW)
    assert run_id[: int(digits)] == ids.tree_of(run_id) == ids.tree_of(FLOW)
    assert keys.runs(run_id) == keys.runs(FLOW)


def test_the_data_model_is_written_down() -> None:
    """Each key that `keys` can name, or that may be without an expiry, has a line in the table of its README."""
    table = (Path(__file__).parents[2] / "shared" / "README.md").read_text()
    built = (keys.job, keys.queue, keys.workers_of_queue, keys.held, keys.inbox, keys.bell, keys.dependents)
    names = [build("").rstrip(":") for build in (*built, keys.runs, keys.definition, keys.bucket)]
    names += [pattern.removesuffix(":*") for pattern in keys.PERMANENT]
    assert [name for name in names if f"`{name}:" not in table and f"`{name}`" not in table] == []
