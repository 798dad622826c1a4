"""The schedules of deployments that exist, as programs and the command line look after them."""

from collections.abc import Iterator

import pytest

from millstream import deployment_schedules, sessions
from millstream.schedules import Cron, Interval, collect
from millstream_shared import errors, settings
from millstream_shared.deployments import DeploymentRecord, Deployments
from millstream_shared.scheduling import Scheduling
from millstream_shared.store import Store
from tests.harness.commands import millstream, millstream_json
from tests.harness.servers import RealServer

NAME = "etl/nightly"
SCHEMA = {
    "type": "object",
    "properties": {"day": {"type": "string"}, "count": {"type": "integer", "default": 1}},
    "required": ["day"],
    "additionalProperties": False,
}


@pytest.fixture
def url(valkey: RealServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with a deployment that has one schedule."""
    monkeypatch.setenv("MILLSTREAM_REDIS_URL", valkey.url)
    settings.get_settings.cache_clear()
    schedules = collect(cron="0 3 * * *")
    Deployments(sessions.current().store).write(
        DeploymentRecord(
            flow_name="etl",
            name="nightly",
            entrypoint="etl:etl",
            parameters={"day": "today"},
            parameter_schema=SCHEMA,
            schedules=schedules,
        )
    )
    yield valkey.url
    sessions.close_current()


def slugs() -> dict[str, bool]:
    return {each.schedule.slug: each.schedule.active for each in deployment_schedules.read(NAME)}


def test_schedules_are_added_paused_resumed_and_removed(url: str) -> None:
    """Each by its slug; one that does not fire has no next time."""
    assert url
    added = deployment_schedules.add(NAME, Interval(60, slug="often", parameters={"count": "7"}))
    assert added.parameters == {"count": 7}
    deployment_schedules.add(NAME, Cron("0 4 * * *"))
    assert slugs() == {"cron": True, "often": True, "cron-2": True}
    deployment_schedules.set_active(NAME, "often", False)
    assert [each.schedule.slug for each in deployment_schedules.read(NAME) if each.following] == ["cron", "cron-2"]
    deployment_schedules.set_active(NAME, None, True)
    assert deployment_schedules.remove(NAME, "cron").cron == "0 3 * * *"
    assert slugs() == {"often": True, "cron-2": True}
    deployment_schedules.add(NAME, Interval(30), replace=True)
    assert slugs() == {"interval": True}


def test_mistakes_change_nothing(url: str) -> None:
    """A slug that is taken or not there, a deployment that is not, parameters that do not fit the flow."""
    assert url
    with pytest.raises(errors.ObjectAlreadyExists, match="'cron'"):
        deployment_schedules.add(NAME, Cron("0 4 * * *", slug="cron"))
    with pytest.raises(errors.ObjectNotFound, match="it has cron"):
        deployment_schedules.remove(NAME, "daily")
    with pytest.raises(errors.ObjectNotFound, match="etl/weekly"):
        deployment_schedules.set_active("etl/weekly", None, False)
    with pytest.raises(errors.ParameterTypeError, match="count"):
        deployment_schedules.add(NAME, Interval(60, parameters={"count": "many"}))
    with pytest.raises(errors.ParameterBindError, match="sizes"):
        deployment_schedules.add(NAME, Interval(60, parameters={"sizes": 1}))
    assert slugs() == {"cron": True}


def test_what_is_paused_is_forgotten_at_once(url: str, valkey: RealServer) -> None:
    """Also while no worker is there: when it is resumed it has missed nothing. Others keep their next times."""
    assert url
    store = Store(valkey.url, settings.get_settings())
    deployments, scheduling = Deployments(store), Scheduling(store)
    deployment_schedules.add(NAME, Interval(60))
    [record] = deployments.read_all()
    scheduling.look("me", 60)
    entries = {f"{record.id}/{slug}/0": 1 for slug in ("cron", "cron-2", "interval")} | {"other/cron/0": 1}

    def left() -> set[str]:
        seen = {entry.rpartition("/")[0].removeprefix(record.id + "/") for entry in scheduling.entries()}
        scheduling.enter("me", entries)
        return seen

    left()
    deployment_schedules.set_active(NAME, "cron", False)
    assert left() == {"cron-2", "interval", "other/cron"}
    deployment_schedules.set_active(NAME, "cron", True)
    assert left() == {"cron", "cron-2", "interval", "other/cron"}
    deployments.set_paused(NAME, True)
    assert left() == {"other/cron"}
    deployments.set_paused(NAME, False)
    deployments.delete(NAME)
    assert left() == {"other/cron"}
    scheduling.resign("me")


def test_the_commands(url: str) -> None:
    """`millstream deployment schedule`: create, ls, pause, resume, delete."""

    def schedule(*arguments: str, code: int = 0) -> str:
        command, *others = arguments
        return millstream(url, "deployment", "schedule", command, NAME, *others, code=code)

    said = schedule(
        "create", "--cron", "0 9 * * mon", "--timezone", "Europe/Berlin", "--param", "day=monday", "--param", "count=3"
    )
    assert "'cron-2'" in said
    schedule("create", "--interval", "90", "--slug", "often", "--anchor-date", "2026-01-01T00:00", "--inactive")
    listed = schedule("ls")
    assert "0 9 * * mon" in listed
    assert "every 1 min 30 s" in listed
    assert '{"day": "monday", "count": 3}' in listed
    schedule("pause", "cron")
    schedule("resume", "often")
    schedule("delete", "cron-2")
    [cron, often] = millstream_json(url, "deployment", "schedule", "ls", NAME)
    assert (cron["slug"], cron["active"], cron["next"]) == ("cron", False, None)
    assert (often["slug"], often["interval_seconds"], often["active"]) == ("often", 90.0, True)
    assert often["next"] > "2026"
    schedule("pause", "--all")
    assert not any(slugs().values())


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("create", "--cron", "0 99 * * *"), 2, "is no cron expression"),
        (("create", "--cron", "0 9 * * *", "--interval", "60"), 2, "one of cron, interval and rrule"),
        (("create", "--interval", "60", "--param", "day"), 2, "NAME=VALUE"),
        (("create", "--interval", "60", "--anchor-date", "soon"), 2, "soon"),
        (("create", "--interval", "60", "--param", "year=1"), 1, "year: no such parameter"),
        (("pause",), 2, "SLUG"),
        (("pause", "daily"), 1, "no schedule 'daily'"),
        (("delete", "daily"), 1, "no schedule 'daily'"),
    ],
)
def test_mistakes_of_commands_are_named(url: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    """With exit code 2 where the command was not written rightly, 1 where the deployment has no such thing."""
    command, *others = arguments
    assert says in millstream(url, "deployment", "schedule", command, NAME, *others, code=code)
