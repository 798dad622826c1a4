"""The client: runs made, followed and looked after by programs that have no flow at hand."""

import asyncio
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millstream import deployments, exceptions, flow, get_run_logger, runtime, states, tags, task
from millstream.client.orchestration import Client, get_client
from millstream.client.schemas import FlowRun, TaskRun
from millstream.flow_runs import wait_for_flow_run
from millstream.logging import read_logs
from millstream.task_runners import QueueTaskRunner


@task
def double(x: int) -> int:
    get_run_logger().critical("doubling")
    return 2 * x


@flow(task_runner=QueueTaskRunner)
def doubled(x: int) -> int:
    """Doubles by a task."""
    return double.submit(x).result()


doubled_too = doubled.with_options(name="doubled-too", version="7")


@flow
def fails_first() -> int:
    """Fails the first time that it is executed."""
    if runtime.flow_run.run_count == 1:
        raise ValueError("not yet")
    return runtime.flow_run.run_count


@flow
def where_from() -> dict[str, Any]:
    """What a run knows of its deployment."""
    mine = {name: getattr(runtime.deployment, name) for name in ("id", "name", "version")}
    return {**mine, "above": runtime.flow_run.parent_deployment_id, "variables": runtime.flow_run.job_variables}


@flow
def around_where_from() -> Any:
    """Has a child that asks."""
    return where_from()


@task
def triggers(deployment_id: uuid.UUID) -> uuid.UUID:
    return get_client().create_flow_run(deployment_id=deployment_id, parameters={"x": 4}).id


@flow
def has_a_task_that_triggers(deployment_id: uuid.UUID) -> uuid.UUID:
    """Returns the id of a run."""
    with tags("mine"):
        return triggers(deployment_id)


@pytest.fixture
def client() -> Client:
    return get_client()


@pytest.fixture
def deployment_id() -> uuid.UUID:
    return doubled.deploy("d", parameters={"x": 1}, tags=["of-deployment"], version="3")


@pytest.fixture(autouse=True)
def _no_deployments_left() -> Iterator[None]:
    yield
    for record in deployments.read_all():
        deployments.delete(record.full_name)


def test_a_run_of_a_deployment_is_made_and_followed(client: Client, deployment_id: uuid.UUID) -> None:
    """At once there is a run, with all that is known of it; waiting gives it as it ended."""
    run = client.create_flow_run(deployment_id=deployment_id, parameters={"x": "21"}, name="mine", tags=["b"])
    assert isinstance(run, FlowRun)
    assert isinstance(run.id, uuid.UUID)
    assert (run.name, run.flow_name, run.tags, run.run_count) == ("mine", "doubled", ["b", "of-deployment"], 0)
    assert (run.deployment_id, run.parameters, run.state_type) == (deployment_id, {"x": 21}, states.StateType.PENDING)
    ended = client.wait_for_flow_run(run.id, timeout=20)
    assert (ended.id, ended.state_name, ended.state.result(), ended.run_count) == (run.id, "Completed", 42, 1)
    assert run.created <= ended.start_time <= ended.end_time
    assert ended.total_run_time == ended.end_time - ended.start_time
    assert client.read_flow_run(str(run.id)) == ended


def test_a_client_is_used_bare_or_in_a_block(deployment_id: uuid.UUID) -> None:
    """Where an event loop runs, its calls are awaited; whoever wants it otherwise says so."""

    async def asynchronously() -> list[uuid.UUID | None]:
        async with get_client() as client:
            one = await client.create_flow_run_from_deployment(deployment_id)
            await client.wait_for_flow_run(one.id)
        blocking = get_client(sync_client=True).read_flow_run(one.id)
        return [one.deployment_id, blocking.deployment_id, (await get_client().read_deployment(deployment_id)).id]

    assert asyncio.run(asynchronously()) == [deployment_id, deployment_id, deployment_id.hex]
    with get_client() as client:
        assert client.read_deployment_by_name("doubled/d").id == deployment_id.hex
    assert asyncio.run(get_client(sync_client=False).read_deployments())[0].full_name == "doubled/d"


@pytest.mark.parametrize("is_sync", [None, True, False])
def test_each_method_has_a_twin_that_is_awaited(deployment_id: uuid.UUID, is_sync: bool | None) -> None:
    """Whatever the client is otherwise; what is no method has none."""
    client = get_client(is_sync)

    async def main() -> int:
        run = await client.acreate_flow_run(deployment_id=deployment_id, parameters={"x": 2})
        ended = await client.await_for_flow_run(run.id)
        return await ended.state.aresult()

    assert asyncio.run(main()) == 4
    for name in ("anothing", "read_nothing", "a_do", "a"):
        with pytest.raises(AttributeError, match=f"'Client' object has no attribute '{name}'"):
            getattr(client, name)


def test_a_task_triggers_by_the_client(client: Client, deployment_id: uuid.UUID) -> None:
    """The run stands by itself: it is nobody's child, and has no tags from around it."""
    run = client.wait_for_flow_run(has_a_task_that_triggers(deployment_id), timeout=20)
    assert run.state.result() == 8
    assert (run.parent_flow_run_id, run.parent_task_run_id, run.tags) == (None, None, ["of-deployment"])


def test_a_run_of_a_flow_is_made(client: Client) -> None:
    """As by `submit`, with a name, tags and a time of its own; of two with one key there is one run."""
    run = client.create_flow_run(doubled, parameters={"x": 3}, name="own", tags=["t"], idempotency_key="k")
    again = client.create_flow_run(doubled, parameters={"x": 3}, idempotency_key="k")
    assert (again.id, run.name, run.tags, run.deployment_id) == (run.id, "own", ["t"], None)
    assert client.wait_for_flow_run(run.id, 20).state.result() == 6
    later = client.create_flow_run(doubled, {"x": 1}, scheduled_time=datetime.now(UTC) + timedelta(seconds=0.2))
    assert later.state_name == "Scheduled"
    ended = client.wait_for_flow_run(later.id, 20)
    assert ended.start_time >= ended.expected_start_time == later.expected_start_time
    with pytest.raises(exceptions.ParameterBindError):
        client.create_flow_run(doubled, {"y": 3})


def test_a_run_begins_in_a_state_in_which_runs_begin(client: Client, deployment_id: uuid.UUID) -> None:
    """Scheduled, for a time, or Pending; nothing is made for what makes no sense."""
    soon = datetime.now(UTC) + timedelta(seconds=0.1)
    run = client.create_flow_run_from_deployment(deployment_id, state=states.Scheduled(scheduled_time=soon))
    assert run.expected_start_time == soon
    client.wait_for_flow_run(run.id, 20)
    before = client.read_flow_runs()
    with pytest.raises(ValueError, match="Scheduled or Pending, not as Completed"):
        client.create_flow_run_from_deployment(deployment_id, state=states.Completed())
    with pytest.raises(TypeError, match="takes a flow, or deployment_id"):
        client.create_flow_run()
    with pytest.raises(exceptions.ParameterTypeError):
        client.create_flow_run_from_deployment(deployment_id, {"x": "many"})
    assert client.read_flow_runs() == before


def test_what_is_not_there_is_named(client: Client) -> None:
    """Ids that are none, and ids of nothing."""
    nobody = uuid.uuid4()
    for call in (client.read_flow_run, client.read_task_run, client.delete_flow_run, client.wait_for_flow_run):
        with pytest.raises(ValueError, match="'not an id'"):
            call("not an id")
        with pytest.raises(exceptions.ObjectNotFound, match=nobody.hex):
            call(nobody)
    with pytest.raises(ValueError, match="'not an id'"):
        client.read_deployment("not an id")
    for missing in (client.read_deployment, client.delete_deployment, client.pause_deployment):
        with pytest.raises(exceptions.ObjectNotFound, match=r"ghost/ly"):
            missing("ghost/ly")
    with pytest.raises(exceptions.ObjectNotFound):
        client.create_flow_run(deployment_id=nobody)
    with pytest.raises(exceptions.ObjectNotFound, match="ghost"):
        client.read_flow("ghost")


def test_waiting_is_over_when_time_is_up(client: Client, deployment_id: uuid.UUID) -> None:
    """The error says of which run; the run goes on."""
    run = client.create_flow_run_from_deployment(deployment_id, scheduled_time=datetime.now(UTC) + timedelta(seconds=1))
    with pytest.raises(exceptions.FlowRunWaitTimeout, match=run.name) as caught:
        client.wait_for_flow_run(run.id, timeout=0.05)
    assert caught.value.run_id == run.id.hex
    with pytest.raises(ValueError, match="zero or more"):
        client.wait_for_flow_run(run.id, timeout=-1)
    assert wait_for_flow_run(run.id, timeout=20).state_name == "Completed"


def test_runs_are_listed(client: Client, deployment_id: uuid.UUID) -> None:
    """The newest first; by state, flow, deployment and tags, some at a time."""
    other = doubled_too.deploy("e", parameters={"x": 2})
    made = [
        client.create_flow_run_from_deployment(which, tags=[f"t{at}"])
        for at, which in enumerate([deployment_id, other] * 2)
    ]
    ids = [client.wait_for_flow_run(run.id, 20).id for run in reversed(made)]

    def listed(**given: Any) -> list[uuid.UUID]:
        return [run.id for run in client.read_flow_runs(**given)]

    assert listed(limit=4) == ids
    assert listed(limit=2, offset=1) == ids[1:3]
    assert listed(deployment=deployment_id) == listed(deployment="doubled/d") == ids[1::2]
    assert listed(flow_name="doubled-too", limit=2) == ids[::2]
    assert listed(tags=["t3"], limit=1) == ids[:1]
    assert listed(state="Completed", deployment=other) == ids[::2]
    assert listed(state=states.StateType.FAILED, deployment=other) == []
    with pytest.raises(ValueError, match="no kind of state 'Compleat'"):
        client.read_flow_runs(state="Compleat")
    with pytest.raises(ValueError, match="0 or more"):
        client.read_flow_runs(limit=-1)


def test_flows_are_known_by_their_runs_and_deployments(client: Client) -> None:
    """The id of a flow follows from its name."""
    doubled_too.deploy("e", parameters={"x": 2})
    run = client.wait_for_flow_run(client.create_flow_run(fails_first).id, 20)
    names = [found.name for found in client.read_flows()]
    assert {"doubled-too", "fails-first"} <= set(names)
    assert names == sorted(names)
    assert client.read_flow(run.flow_id) == client.read_flow_by_name("fails-first")


def test_task_runs_are_read(client: Client, deployment_id: uuid.UUID) -> None:
    """Those of a flow run, with the values that they gave."""
    run = client.wait_for_flow_run(client.create_flow_run_from_deployment(deployment_id, {"x": 5}).id, 20)
    (found,) = client.read_task_runs(run.id)
    assert isinstance(found, TaskRun)
    assert (found.task_name, found.flow_run_id, found.state_name, found.run_count) == ("double", run.id, "Completed", 1)
    assert found.state.result() == 10
    again = client.read_task_run(found.id)
    assert (again.id, again.name, again.end_time) == (found.id, found.name, found.end_time)


def test_a_run_that_failed_is_scheduled_anew(client: Client) -> None:
    """It goes on under its id; other states nobody can give to a run from outside."""
    run = client.wait_for_flow_run(client.create_flow_run(fails_first).id, 20)
    assert run.state_type is states.StateType.FAILED
    with pytest.raises(ValueError, match="itself comes to the state Running"):
        client.set_flow_run_state(run.id, states.Running())
    client.set_flow_run_state(run.id, states.Scheduled())
    ended = client.wait_for_flow_run(run.id, 20)
    assert (ended.id, ended.state_name, ended.run_count) == (run.id, "Completed", 2)
    with pytest.raises(ValueError, match="has completed"):
        client.set_flow_run_state(run.id, "Scheduled")


def test_a_run_is_cancelled_by_its_state(client: Client, deployment_id: uuid.UUID) -> None:
    """Whether it waits, or is executed; what has ended stays as it is."""
    later = client.create_flow_run(deployment_id=deployment_id, scheduled_time=datetime.now(UTC) + timedelta(hours=1))
    assert client.set_flow_run_state(later.id, states.Cancelled()).state_type is states.StateType.CANCELLED
    with pytest.raises(exceptions.AlreadyEnded, match=later.name):
        client.set_flow_run_state(later.id, "Cancelling")


def test_a_run_is_deleted(client: Client, deployment_id: uuid.UUID) -> None:
    """When it has ended: with its task runs and lines, and from all lists. Its key may then have another run."""
    run = client.create_flow_run_from_deployment(
        deployment_id, idempotency_key="k", scheduled_time=datetime.now(UTC) + timedelta(seconds=0.3)
    )
    with pytest.raises(exceptions.StillRunning, match=run.name):
        client.delete_flow_run(run.id)
    client.wait_for_flow_run(run.id, 20)
    (task_run,) = client.read_task_runs(run.id)
    assert any(line.message == "doubling" for line in read_logs(run.id))
    client.delete_flow_run(run.id)
    for read, id in ((client.read_flow_run, run.id), (client.read_task_run, task_run.id), (read_logs, run.id)):
        with pytest.raises(exceptions.ObjectNotFound):
            read(id)
    assert run.id not in [each.id for each in client.read_flow_runs()]
    assert client.read_flow_runs(deployment=deployment_id) == []
    another = client.create_flow_run_from_deployment(deployment_id, idempotency_key="k")
    assert another.id != run.id
    client.wait_for_flow_run(another.id, 20)


def test_deployments_are_looked_after(client: Client, deployment_id: uuid.UUID) -> None:
    """By id, as text or not, and by name."""
    assert client.pause_deployment(deployment_id).paused
    assert not client.resume_deployment(str(deployment_id)).paused
    assert [record.full_name for record in client.read_deployments()] == ["doubled/d"]
    assert client.delete_deployment("doubled/d").id == deployment_id.hex
    assert client.read_deployments() == []


def test_limits_are_looked_after(client: Client) -> None:
    """Those on tags, which are changed by making them anew, and those by name."""
    client.create_concurrency_limit(tag="db", concurrency_limit=3)
    assert client.create_concurrency_limit("db", 5).limit == 5
    assert client.read_concurrency_limit_by_tag("db").limit == 5
    client.create_global_concurrency_limit("api", 2, slot_decay_per_second=1.5)
    with pytest.raises(exceptions.ObjectAlreadyExists):
        client.create_global_concurrency_limit("api", 2)
    assert client.update_global_concurrency_limit("api", limit=4).limit == 4
    assert [limit.name for limit in client.read_global_concurrency_limits()] == ["api"]
    assert [limit.name for limit in client.read_concurrency_limits()] == ["tag:db"]
    client.reset_concurrency_limit_by_tag("db")
    client.delete_concurrency_limit_by_tag("db")
    client.delete_global_concurrency_limit_by_name("api")
    with pytest.raises(exceptions.ObjectNotFound):
        client.read_concurrency_limit_by_tag("db")


def test_a_run_knows_its_deployment(client: Client) -> None:
    """And that of the flow run that called it; runs of no deployment know none."""
    of = around_where_from.deploy("w", version="2")
    run = client.wait_for_flow_run(client.create_flow_run(deployment_id=of).id, 20)
    assert run.state.result() == {"id": None, "name": None, "version": None, "above": str(of), "variables": {}}
    own = where_from.deploy("v", version="9")
    run = client.wait_for_flow_run(client.create_flow_run(deployment_id=own).id, 20)
    expected = {"id": str(own), "name": "v", "version": "9", "above": None, "variables": {}}
    assert run.state.result() == expected
    assert where_from() == {"id": None, "name": None, "version": None, "above": None, "variables": {}}
