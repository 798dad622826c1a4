"""What the store and a worker's scheduler promise about schedules, on every kind of server, with a set clock."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millstream.schedules import Cron, Interval, Schedule, collect
from millstream_shared import errors, keys
from millstream_shared.deployments import DeploymentRecord, Deployments
from millstream_shared.schedules import ScheduleRecord
from millstream_shared.scheduling import Due, Look, Refused, Scheduling
from millstream_shared.store import Store
from millstream_worker.scheduling import Scheduler
from tests.harness import eventually

Fired = tuple[str, str, datetime, str]


class Clock:
    """Gives the time to which it was set."""

    def __init__(self) -> None:
        self.now = datetime(2200, 1, 1, tzinfo=UTC)

    def __call__(self) -> float:
        return self.now.timestamp()

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fired() -> list[Fired]:
    """What was fired: deployment, slug, time and key."""
    return []


@pytest.fixture
def deploy(store: Store) -> Callable[..., DeploymentRecord]:
    """Makes a deployment with schedules."""

    def deploy(*schedules: Schedule, name: str = "nightly", paused: bool = False) -> DeploymentRecord:
        record = DeploymentRecord(
            flow_name="etl", name=name, entrypoint="etl:etl", schedules=collect(schedules=schedules), paused=paused
        )
        return Deployments(store).write(record)

    return deploy


@pytest.fixture
def scheduler(store: Store, clock: Clock, fired: list[Fired]):
    """Makes the scheduler of a worker; all of them are ended after the test."""
    made: list[Scheduler] = []

    def make(owner: str = "worker-a", *, lease_seconds: float = 60, fire: Any = None) -> Scheduler:
        def note(deployment: DeploymentRecord, schedule: ScheduleRecord, time: datetime, key: str) -> None:
            fired.append((deployment.name, schedule.slug, time, key))

        made.append(Scheduler(store, owner, fire or note, lease_seconds=lease_seconds, clock=clock))
        return made[-1]

    yield make
    for each in made:
        each.end()


MIDNIGHT = datetime(2200, 1, 1, tzinfo=UTC)


def hourly(**options: Any) -> Schedule:
    return Cron("0 * * * *", **options)


def settle_in(scheduler: Scheduler, fired: list[Fired]) -> None:
    """Deployments are made now by the server's clock: let what has been missed since then be over."""
    scheduler.tend()
    while scheduler.tend() == 0.0:
        pass
    fired.clear()


# --- firing -----------------------------------------------------------------------------------------------------------


def test_each_time_is_fired_once_whatever_the_number_of_workers(
    deploy: Callable[..., DeploymentRecord], scheduler: Callable[..., Scheduler], clock: Clock, fired: list[Fired]
) -> None:
    """By the first worker that asked; under a key that says which deployment, which schedule and which time."""
    deployment = deploy(hourly(slug="each-hour"))
    workers = [scheduler("worker-a"), scheduler("worker-b"), scheduler("worker-c")]
    settle_in(workers[0], fired)
    for _ in range(3):
        clock.forward(hours=1)
        for worker in workers:
            worker.tend()
    assert [time for _, _, time, _ in fired] == [MIDNIGHT + timedelta(hours=hour) for hour in (1, 2, 3)]
    name, slug, time, key = fired[0]
    assert (name, slug) == ("nightly", "each-hour")
    assert key == f"{deployment.id}/each-hour/2200-01-01T01:00:00+00:00"
    assert time.tzinfo is UTC


def test_it_is_known_when_to_look_again(
    deploy: Callable[..., DeploymentRecord], scheduler: Callable[..., Scheduler], clock: Clock, fired: list[Fired]
) -> None:
    """When the next one is due, and at the latest after a second; of a worker that is not the one, less often."""
    deploy(hourly())
    leader, other = scheduler("worker-a"), scheduler("worker-b", lease_seconds=10)
    settle_in(leader, fired)
    assert leader.tend() == 1.0
    clock.forward(minutes=59, seconds=59.75)
    assert leader.tend() == pytest.approx(0.25)
    assert other.tend() == 2.5
    clock.forward(seconds=0.25)
    assert leader.tend() == 0.0
    assert len(fired) == 1


def test_changes_of_deployments_count_at_the_next_look(
    store: Store,
    deploy: Callable[..., DeploymentRecord],
    scheduler: Callable[..., Scheduler],
    clock: Clock,
    fired: list[Fired],
) -> None:
    """A new schedule, another one in its place, one that is inactive, a deployment paused, resumed and deleted."""
    worker = scheduler()

    def slugs() -> list[str]:
        settle_in(worker, fired)
        clock.forward(hours=1)
        worker.tend()
        seen = [slug for _, slug, _, _ in fired]
        fired.clear()
        return seen

    assert slugs() == []
    deploy(hourly(slug="a"))
    assert slugs() == ["a"]
    deploy(hourly(slug="a"), hourly(slug="b", active=False), hourly(slug="c", timezone="Europe/Berlin"))
    assert sorted(slugs()) == ["a", "c"]
    deployments = Deployments(store)
    deployments.set_paused("etl/nightly", True)
    assert slugs() == []
    assert Scheduling(store).entries() == {}
    deployments.set_paused("etl/nightly", False)
    assert sorted(slugs()) == ["a", "c"]
    deploy(Cron("30 * * * *", slug="a"))
    assert slugs() == ["a"]
    deployments.delete("etl/nightly")
    assert slugs() == []


def test_a_new_version_misses_no_time(
    deploy: Callable[..., DeploymentRecord],
    scheduler: Callable[..., Scheduler],
    clock: Clock,
    fired: list[Fired],
) -> None:
    """A time that is due when the deployment is made anew, with the same schedule, is fired all the same."""
    deploy(hourly())
    settle_in(scheduler(), fired)
    clock.forward(hours=1)
    deploy(hourly(), Interval(86_400))
    worker = scheduler()
    worker.tend()
    assert [(slug, time) for _, slug, time, _ in fired if slug == "cron"] == [("cron", MIDNIGHT + timedelta(hours=1))]


@pytest.mark.parametrize(
    ("policy", "hours"), [("latest", [5]), ("skip", []), ("all", [1, 2, 3, 4, 5])]
)  # fmt: skip
def test_what_was_missed_while_no_worker_was_there_follows_the_policy(
    deploy: Callable[..., DeploymentRecord],
    scheduler: Callable[..., Scheduler],
    clock: Clock,
    fired: list[Fired],
    policy: Any,
    hours: list[int],
) -> None:
    """One run for the latest time, none, or one for each; then it goes on as always."""
    deploy(hourly(catchup=policy))
    first = scheduler("worker-a")
    settle_in(first, fired)
    first.end()
    clock.forward(hours=5, minutes=30)
    second = scheduler("worker-b")
    second.tend()
    second.tend()
    assert [time for _, _, time, _ in fired] == [MIDNIGHT + timedelta(hours=h) for h in hours]
    fired.clear()
    clock.forward(minutes=30)
    second.tend()
    assert [time for _, _, time, _ in fired] == [MIDNIGHT + timedelta(hours=6)]


def test_one_that_cannot_be_fired_is_not_in_the_way_of_others(
    deploy: Callable[..., DeploymentRecord], scheduler: Callable[..., Scheduler], clock: Clock, fired: list[Fired]
) -> None:
    """Its time is over; the next one comes."""
    tried: list[str] = []

    def fire(deployment: DeploymentRecord, *_: Any) -> None:
        tried.append(deployment.name)
        if deployment.name == "bad":
            raise errors.ParameterTypeError("x is missing")

    deploy(hourly(), name="bad")
    deploy(hourly(), name="good")
    worker = scheduler(fire=fire)
    settle_in(worker, fired)
    tried.clear()
    for _ in range(2):
        clock.forward(hours=1)
        worker.tend()
        worker.tend()
    assert sorted(tried) == ["bad", "bad", "good", "good"]


def test_many_schedules_are_fired_bit_by_bit(
    deploy: Callable[..., DeploymentRecord], scheduler: Callable[..., Scheduler], clock: Clock, fired: list[Fired]
) -> None:
    """Each time only some, so that the worker has a look at its other work in between."""
    deploy(*(hourly(slug=f"s{number}") for number in range(45)))
    worker = scheduler()
    settle_in(worker, fired)
    clock.forward(hours=1)
    assert worker.tend() == 0.0
    assert 0 < len(fired) < 45
    while worker.tend() == 0.0:
        pass
    assert len({key for _, _, _, key in fired}) == len(fired) == 45


# --- who fires --------------------------------------------------------------------------------------------------------


def test_another_worker_goes_on_at_once_when_the_first_ends(
    store: Store,
    deploy: Callable[..., DeploymentRecord],
    scheduler: Callable[..., Scheduler],
    clock: Clock,
    fired: list[Fired],
) -> None:
    """The end of one that is not the leader changes nothing."""
    deploy(hourly())
    first, second = scheduler("worker-a"), scheduler("worker-b")
    settle_in(first, fired)
    second.tend()
    second.end()
    assert Scheduling(store).leader() == "worker-a"
    first.end()
    assert Scheduling(store).leader() is None
    clock.forward(hours=1)
    second.tend()
    assert Scheduling(store).leader() == "worker-b"
    assert len(fired) == 1


def test_a_leader_that_is_silent_is_replaced_and_what_it_had_begun_is_fired_again_by_the_same_key(
    deploy: Callable[..., DeploymentRecord], scheduler: Callable[..., Scheduler], clock: Clock
) -> None:
    """It fired and was killed before that was written down: whoever makes runs sees that it is the same one."""
    seen: list[tuple[str, str]] = []

    def of(owner: str, breaks: bool) -> Any:
        def fire(*about: Any) -> None:
            seen.append((owner, about[-1]))
            if breaks and clock.now > MIDNIGHT:
                raise errors.RedisUnavailable("as good as killed")

        return fire

    deployment = deploy(hourly())
    first = scheduler("worker-a", lease_seconds=0.3, fire=of("a", True))
    second = scheduler("worker-b", lease_seconds=0.3, fire=of("b", False))
    while first.tend() == 0.0:
        pass
    seen.clear()
    clock.forward(hours=1)
    with pytest.raises(errors.RedisUnavailable):
        first.tend()
    eventually(lambda: second.tend() == 0.0)
    key = f"{deployment.id}/cron/2200-01-01T01:00:00+00:00"
    assert seen == [("a", key), ("b", key)]


def test_who_is_not_the_leader_enters_nothing_and_fires_nothing_twice(store: Store) -> None:
    """One that was the leader and does not know that it is no more can do no harm."""
    scheduling = Scheduling(store)
    assert scheduling.look("a", 60, now=1000) == Look(1000, 0, None, ())
    assert scheduling.enter("a", {"x": 900, "y": 2000})
    assert scheduling.look("a", 60, now=1000) == Look(1000, 0, 900, (Due("x", 900),))
    refused = scheduling.look("b", 60, now=1000)
    assert isinstance(refused, Refused)
    assert 50 < refused.seconds <= 60
    assert not scheduling.enter("b", {"z": 1}, gone=["y"])
    assert scheduling.entries() == {"x": 900, "y": 2000}
    assert scheduling.advance("a", Due("x", 900), 1900)
    assert not scheduling.advance("a", Due("x", 900), 1800)
    assert not scheduling.advance("b", Due("x", 1900), 1950)
    assert scheduling.entries() == {"x": 1900, "y": 2000}
    assert scheduling.advance("a", Due("y", 2000), None)
    assert scheduling.enter("a", {"x": 5}, gone=["y"])
    assert scheduling.entries() == {"x": 1900}
    scheduling.resign("b")
    assert scheduling.leader() == "a"
    scheduling.resign("a")
    assert scheduling.leader() is None


def test_more_schedules_can_be_entered_than_one_call_takes(store: Store) -> None:
    """And forgotten again."""
    scheduling = Scheduling(store)
    scheduling.look("a", 60)
    times = {f"s{number}": number for number in range(1234)}
    assert scheduling.enter("a", times)
    assert scheduling.entries() == times
    assert scheduling.enter("a", {}, gone=times)
    assert scheduling.entries() == {}
    scheduling.resign("a")


def test_without_a_clock_of_its_own_the_servers_time_counts(store: Store) -> None:
    """What is due is so by the one clock that all workers share."""
    scheduling = Scheduling(store)
    seconds, microseconds = store.command("TIME")
    now = int(seconds) * 1000 + int(microseconds) // 1000
    look = scheduling.look("a", 60)
    assert isinstance(look, Look)
    assert now <= look.now < now + 5000
    assert store.command("PTTL", keys.SCHEDULER) > 0
