"""Deployments: flows under names in the store, with all that is needed to run them elsewhere and later."""

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

from millstream import deploy, deployments, exceptions, flow, flows, runtime, task
from millstream.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from millstream.deployments import Deployment
from millstream.schedules import Cron, Interval
from millstream.task_runners import QueueTaskRunner


@flow
def clean(table: str, days: int = 7, tags: list[str] | None = None) -> str:
    """Remove old rows."""
    return f"{table} {days} {tags}"


weekly = clean.with_options(name="weekly-clean")


@flow(queue="quick")
def quick() -> None: ...


@flow(validate_parameters=False)
def anything(*args: Any, **kwargs: Any) -> None: ...


@task
def make_deployment(parameters: dict[str, Any]) -> UUID:
    deployment = Deployment.build_from_flow(flow=clean, name="made-in-a-task", version="1", parameters=parameters)
    return deployment.apply()


@flow(task_runner=QueueTaskRunner())
def make_elsewhere() -> UUID:
    return make_deployment.submit({"table": "t"}).result()


@flow
def gather(first: int, *rest: int, last: str = "end", **more: int) -> tuple[Any, ...]:
    return first, rest, last, more, runtime.flow_run.parameters


@pytest.fixture(autouse=True)
def _no_deployments_left() -> Iterator[None]:
    yield
    for record in deployments.read_all():
        deployments.delete(record.full_name)


@pytest.fixture
def script(folder: Path) -> Iterator[Path]:
    """A file with flows, forgotten afterwards."""
    before, path = set(sys.modules), list(sys.path)
    file = folder / "shop.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "from millstream import flow, task\n"
        "import parts\n"
        "@dataclass\nclass Item:\n    price: int\n"
        "@task\ndef priced(price: int) -> Item:\n    return Item(price + parts.EXTRA)\n"
        "@flow\ndef sell(price: int) -> int:\n    return priced.submit(price).result().price\n"
        "discounted = sell.with_options(name='discounted')\n"
        "not_a_flow = 3\n"
        "if __name__ == '__main__':\n    raise SystemExit('executed as a script')\n"
    )
    (folder / "parts.py").write_text("EXTRA = 1\n")
    yield file
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]
    sys.path[:] = path


def test_a_flow_is_deployed_under_a_name() -> None:
    """Its record says all that is needed to run it; the id is how others may refer to it."""
    id = clean.deploy("nightly", parameters={"table": "orders"}, tags=["b", "a"], work_pool_name="slow")
    record = deployments.read("clean/nightly")
    assert isinstance(id, UUID)
    assert deployments.read(str(id)) == record
    assert (record.id, record.full_name, record.queue) == (id.hex, "clean/nightly", "slow")
    assert (record.parameters, record.tags) == ({"table": "orders"}, ("a", "b"))
    assert (record.description, record.paused) == ("Remove old rows.", False)
    assert record.parameter_schema["required"] == ["table"]


def test_deploying_again_replaces_and_keeps_the_id() -> None:
    """And leaves it paused if somebody has paused it, unless it is said otherwise."""
    first = clean.deploy("nightly", tags=["old"])
    deployments.pause("clean/nightly")
    assert clean.deploy("nightly", version="2") == first
    record = deployments.read("clean/nightly")
    assert (record.version, record.tags, record.paused) == ("2", (), True)
    clean.deploy("nightly", paused=False)
    assert not deployments.read("clean/nightly").paused


def test_the_queue_of_a_flow_is_that_of_its_deployments() -> None:
    """Unless they name another one."""
    assert quick.to_deployment("x").record.queue == "quick"
    assert quick.to_deployment("x", queue="slow").record.queue == "slow"
    assert clean.to_deployment("x").record.queue is None


def test_describing_a_deployment_does_nothing_yet() -> None:
    """Several that were described are put into the store together, on the queue of those that name none."""
    described = [clean.to_deployment("one"), weekly.to_deployment("two", queue="own")]
    assert deployments.read_all() == []
    assert [described[0].full_name, described[1].full_name] == ["clean/one", "weekly-clean/two"]
    ids = deploy(*described, work_pool_name="shared")
    found = {record.full_name: record for record in deployments.read_all()}
    assert {name: record.queue for name, record in found.items()} == {"clean/one": "shared", "weekly-clean/two": "own"}
    assert [id.hex for id in ids] == [found["clean/one"].id, found["weekly-clean/two"].id]


def test_a_task_can_make_a_deployment() -> None:
    """On a worker as well as here."""
    assert make_elsewhere().hex == deployments.read("clean/made-in-a-task").id
    assert make_deployment({"table": "t"}).hex == deployments.read("clean/made-in-a-task").id


async def test_coroutines_deploy_without_blocking_their_loop() -> None:
    """The plain words give awaitables there; each has a twin that is one everywhere."""
    first = await clean.deploy("nightly")
    assert await clean.adeploy("nightly") == first
    assert await (await clean.ato_deployment("nightly")).aapply() == first
    assert await deploy(clean.to_deployment("nightly")) == [first]
    with pytest.raises(RuntimeError, match="aserve"):
        clean.serve("nightly")
    assert deployments.read(str(first)).revision == 4


@pytest.mark.parametrize("name", ["a/b", "", "  ", "x\ny", "50%"])
def test_a_name_has_to_be_one(name: str) -> None:
    """As it stands in paths and in `flow/deployment`."""
    with pytest.raises(exceptions.InvalidNameError):
        clean.to_deployment(name)


@pytest.mark.parametrize(
    ("parameters", "error", "told"),
    [
        ({"tabel": "orders"}, exceptions.ParameterBindError, "tabel: no such parameter; it has table, days, tags"),
        ({"days": "many"}, exceptions.ParameterTypeError, "days: 'many' is not of type 'integer'"),
        ({"tags": object()}, exceptions.ParameterTypeError, "tags: cannot be written as JSON"),
    ],
)
def test_default_parameters_have_to_fit_the_flow(parameters: Any, error: type[Exception], told: str) -> None:
    """This is said when the deployment is described."""
    with pytest.raises(error, match=told):
        clean.to_deployment("nightly", parameters=parameters)


def test_all_that_is_wrong_with_parameters_is_told_at_once() -> None:
    """So that they are put right at once."""
    with pytest.raises(exceptions.ParameterBindError) as caught:
        clean.to_deployment("nightly", parameters={"tabel": "orders", "days": "many", "tags": [1]})
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]] == ["tabel", "days", "tags.0"]


def test_parameters_are_kept_as_what_the_flow_takes() -> None:
    """A text that means a number becomes one; without enforcement they are kept as they are."""
    assert clean.to_deployment("nightly", parameters={"days": "3"}).record.parameters == {"days": 3}
    free = clean.to_deployment("nightly", parameters={"days": "3", "other": 1}, enforce_parameter_schema=False)
    assert free.record.parameters == {"days": "3", "other": 1}
    assert anything.to_deployment("nightly", parameters={"whatever": 1}).record.parameters == {"whatever": 1}


def test_a_run_is_given_its_parameters_by_name() -> None:
    """Its own before those of the deployment, those before the defaults; other names go to a flow that takes them."""
    gather.deploy("x", parameters={"first": 1, "third": 3})
    first, rest, last, more, parameters = deployments.run_deployment(
        "gather/x", parameters={"rest": ["2"], "first": "0", "fourth": 4}
    ).state.result()
    assert (first, rest, last, more) == (0, (2,), "end", {"third": 3, "fourth": 4})
    assert parameters == {"first": 0, "rest": (2,), "last": "end", "more": {"third": 3, "fourth": 4}}


def test_schedules_are_given_in_one_way() -> None:
    """Each gets a name of its own among those of the deployment."""
    given: dict[str, Any] = {"parameters": {"table": "t"}}
    assert [each.cron for each in clean.to_deployment("x", cron="0 3 * * *", **given).record.schedules] == ["0 3 * * *"]
    assert clean.to_deployment("x", interval=timedelta(minutes=1), **given).record.schedules[0].interval_seconds == 60
    both = clean.to_deployment("x", schedules=[Cron("0 3 * * *"), Interval(60, parameters={"days": "2"})], **given)
    assert [each.slug for each in both.record.schedules] == ["cron", "interval"]
    assert both.record.schedules[1].parameters == {"days": 2}
    each = (Cron(f"0 {hour} * * *") for hour in (3, 4))
    assert [one.slug for one in clean.to_deployment("x", schedules=each, **given).record.schedules] == [
        "cron",
        "cron-2",
    ]
    with pytest.raises(TypeError, match="a single one is `schedule`"):
        clean.to_deployment("x", schedules={"cron": "0 3 * * *"}, **given)
    with pytest.raises(ValueError, match="cron or interval"):
        clean.to_deployment("x", cron="0 3 * * *", interval=60)
    with pytest.raises(ValueError, match="not a cron"):
        clean.to_deployment("x", cron="not a cron")


def test_an_interval_goes_on_when_it_is_deployed_again() -> None:
    """Counted from the first time, unless an anchor was given or the interval is another one."""

    def deployed(schedule: Any) -> datetime:
        clean.deploy("x", schedules=[schedule], parameters={"table": "t"})
        return deployments.read("clean/x").schedules[0].anchor

    first, other = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    assert deployed(Interval(3600, anchor_date=first)) == first
    assert deployed(Interval(3600)) == first
    assert deployed({"interval": 3600}) == first
    assert deployed(Interval(3600, anchor_date=other)) == other
    assert deployed(Interval(60)) > other
    clean.deploy("x", interval=60, parameters={"table": "t"})
    again = deployments.read("clean/x").schedules[0].anchor
    clean.deploy("x", interval=60, parameters={"table": "t"})
    assert deployments.read("clean/x").schedules[0].anchor == again


def test_a_schedule_has_all_parameters_that_its_runs_need() -> None:
    """Its own and those of the deployment; else it could not begin a single run."""
    with pytest.raises(exceptions.ParameterBindError, match=r"Schedule 'cron' .*\n.*table: it has no default"):
        clean.to_deployment("nightly", cron="0 3 * * *")
    assert clean.to_deployment("nightly", schedule=Cron("0 3 * * *", parameters={"table": "t"}))


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"image": "repo/image"}, ValueError, "'image' means nothing here"),
        ({"job_variables": {"env": {}}}, ValueError, "'job_variables' means nothing here"),
        ({"concurrency_limit": 0}, ValueError, "1 or more; got 0"),
        ({"concurrency_limit": {"limits": 1}}, ValueError, "got limits"),
        ({"concurrency_limit": {"collision_strategy": "CANCEL_NEW"}}, ValueError, "1 or more; got None"),
        ({"concurrency_limit": "3"}, ValueError, "1 or more; got '3'"),
        ({"collision_strategy": "DROP"}, ValueError, "'ENQUEUE' or 'CANCEL_NEW'"),
        ({"on_crash": "retry"}, ValueError, "'crash' or 'resume'"),
        ({"queue": "a", "work_pool_name": "b"}, ValueError, "give one"),
        ({"queue": " "}, ValueError, "named by a text"),
        ({"tags": "nightly"}, TypeError, "several texts"),
        ({"parameters": ["t"]}, TypeError, "values by name"),
        ({"prameters": {}}, TypeError, "no option 'prameters'"),
    ],
)
def test_options_that_make_no_sense_are_refused(given: dict[str, Any], error: type[Exception], told: str) -> None:
    """At once, and with advice."""
    with pytest.raises(error, match=told):
        clean.to_deployment("nightly", **given)


def test_a_concurrency_limit_says_what_becomes_of_further_runs() -> None:
    """They wait, or they are cancelled."""
    waits = clean.to_deployment("x", concurrency_limit=3).record
    cancels = clean.to_deployment("x", concurrency_limit={"limit": 1, "collision_strategy": "CANCEL_NEW"}).record
    assert (waits.concurrency_limit, waits.collision_strategy) == (3, "ENQUEUE")
    assert (cancels.concurrency_limit, cancels.collision_strategy) == (1, "CANCEL_NEW")


def test_a_concurrency_limit_can_be_a_config() -> None:
    """Wherever a number can be, with the strategy as a member or as its text."""
    waits = clean.to_deployment("x", concurrency_limit=ConcurrencyLimitConfig(3)).record
    cancels = Deployment.build_from_flow(
        clean,
        "x",
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
    ).record
    assert (waits.concurrency_limit, waits.collision_strategy) == (3, "ENQUEUE")
    assert (cancels.concurrency_limit, cancels.collision_strategy) == (1, "CANCEL_NEW")
    assert ConcurrencyLimitConfig(1, "CANCEL_NEW").collision_strategy is ConcurrencyLimitStrategy.CANCEL_NEW
    clean.deploy("limited", concurrency_limit=ConcurrencyLimitConfig(2, "CANCEL_NEW"))
    kept = deployments.read("clean/limited")
    assert (kept.concurrency_limit, kept.collision_strategy) == (2, "CANCEL_NEW")


def test_a_concurrency_limit_that_makes_no_sense_is_refused() -> None:
    """Where it is made, and where two things are said of it."""
    with pytest.raises(ValueError, match="1 or more; got 0"):
        ConcurrencyLimitConfig(0)
    with pytest.raises(ValueError, match="'ENQUEUE' or 'CANCEL_NEW'; got 'DROP'"):
        ConcurrencyLimitConfig(1, "DROP")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'ENQUEUE' in concurrency_limit and 'CANCEL_NEW' beside it: give one"):
        clean.to_deployment("x", concurrency_limit=ConcurrencyLimitConfig(1), collision_strategy="CANCEL_NEW")


def test_what_does_not_exist_is_named() -> None:
    """With the command that shows what there is."""
    for act in (deployments.read, deployments.pause, deployments.resume, deployments.delete):
        with pytest.raises(exceptions.ObjectNotFound, match=r"no deployment 'clean/none'.*millstream deployment ls"):
            act("clean/none")
    with pytest.raises(TypeError, match="to_deployment"):
        deploy(clean)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="made of a flow"):
        Deployment.build_from_flow(flow=make_deployment, name="x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs a deployment"):
        deploy()


# --- where the code is ------------------------------------------------------------------------------------------------


def test_a_flow_is_found_again_where_its_record_says() -> None:
    """Also one with options of its own, if it has a name in its file."""
    for declared in (clean, weekly):
        record = declared.to_deployment("x").record
        assert flows.load_flow_from_entrypoint(record.entrypoint) is declared


def test_a_flow_of_a_file_is_loaded_without_running_its_script(script: Path) -> None:
    """Once: the second time gives the same object."""
    sell = flows.load_flow_from_entrypoint(f"{script}:sell")
    assert sell.name == "sell"
    assert flows.load_flow_from_entrypoint(f"{script}:sell") is sell
    record = sell.to_deployment("x").record
    assert (record.entrypoint, record.path) == ("shop.py:sell", str(script.parent))
    assert flows.load_flow_from_entrypoint(f"{script}:discounted").to_deployment("x").record.entrypoint == (
        "shop.py:discounted"
    )


def test_what_is_defined_in_a_loaded_file_travels_to_workers(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though they cannot import it: its tasks, its classes, and what those return."""
    monkeypatch.setenv("MILLSTREAM_DEFAULT_TASK_RUNNER", "queue")
    script.write_text(script.read_text().replace("import parts\n", "").replace("parts.EXTRA", "1"))
    sell = flows.load_flow_from_entrypoint(f"{script}:sell")
    assert sell.with_options(task_runner=QueueTaskRunner())(price="4") == 5


@pytest.mark.parametrize("name", ["sell", "shop:sell", "shop.sell"])
def test_a_flow_of_a_module_is_imported(script: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever way it is written."""
    monkeypatch.syspath_prepend(script.parent)
    if name == "sell":
        with pytest.raises(exceptions.MissingFlowError, match="no entrypoint"):
            flows.load_flow_from_entrypoint(name)
    else:
        loaded = flows.load_flow_from_entrypoint(name)
        assert loaded.name == "sell"
        record = loaded.to_deployment("x").record
        assert (record.entrypoint, record.path) == ("shop:sell", str(script.parent))


def test_an_entrypoint_that_leads_to_no_flow_says_which_there_are(script: Path) -> None:
    """Whatever is wrong with it."""
    cases = {
        f"{script}:buy": "there is no 'buy'. Flows there: discounted, sell",
        f"{script}:not_a_flow": "'not_a_flow' is no flow there",
        f"{script.parent}/none.py:sell": "There is no file",
        "no_such_module_here:sell": "There is no module 'no_such_module_here'",
        "": "no entrypoint",
        f"{script.parent}/shop:sell": "no entrypoint",
    }
    for entrypoint, told in cases.items():
        with pytest.raises(exceptions.MissingFlowError, match=told):
            flows.load_flow_from_entrypoint(entrypoint)
    with pytest.raises(exceptions.UnspecifiedFlowError, match="it has discounted, sell"):
        flows.load_flow_from_entrypoint(str(script))


def test_a_file_that_cannot_be_executed_shows_why(script: Path) -> None:
    """By its traceback; once it is put right it can be loaded."""
    good = script.read_text()
    script.write_text(good + "1 / 0\n")
    with pytest.raises(exceptions.ScriptError, match=r"(?s)shop\.py.*1 / 0.*ZeroDivisionError"):
        flows.load_flow_from_entrypoint(f"{script}:sell")
    script.write_text(good)
    assert flows.load_flow_from_entrypoint(f"{script}:sell").name == "sell"


def test_a_flow_that_others_cannot_find_is_not_deployed(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to do."""

    @flow
    def local() -> None: ...

    monkeypatch.syspath_prepend(script.parent)
    scripts: dict[str, Any] = {"__name__": "__main__"}
    exec(
        compile(script.read_text().replace("raise SystemExit", "late = sell.with_options() #"), script, "exec"), scripts
    )
    with pytest.raises(exceptions.MissingFlowError, match="make it above that"):
        scripts["late"].to_deployment("nightly")
    assert scripts["sell"].to_deployment("nightly").record.entrypoint == "shop.py:sell"
    namespace: dict[str, Any] = {"__name__": "typed_in"}
    exec("from millstream import flow\n@flow\ndef typed(): ...\n", namespace)
    for unfindable, advice in (
        (local, "at the top of a file"),
        (clean.with_options(name="other"), "give the copy a name"),
        (namespace["typed"], "put it into a file"),
    ):
        with pytest.raises(exceptions.MissingFlowError, match=advice):
            unfindable.to_deployment("nightly")


def test_a_flow_can_come_from_a_folder(script: Path) -> None:
    """As one word with its deployment."""
    loaded = flow.from_source(script.parent, "shop.py:sell")
    record = loaded.to_deployment("x").record
    assert (record.entrypoint, record.path, record.source) == ("shop.py:sell", str(script.parent), None)
    assert asyncio.run(flow.afrom_source(str(script.parent), "shop.py:sell")) is loaded
    with pytest.raises(exceptions.MissingFlowError, match="There is no folder"):
        flow.from_source(script.parent / "none", "shop.py:sell")
    with pytest.raises(TypeError, match="A source is"):
        flow.from_source(ModuleType("x"), "shop.py:sell")
