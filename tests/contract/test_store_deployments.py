"""What the store promises about deployments, on every kind of server."""

import dataclasses
import threading

import pytest

from millstream_shared import errors, keys
from millstream_shared.deployments import DeploymentRecord, Deployments, GitSource
from millstream_shared.schedules import ScheduleRecord
from millstream_shared.store import Store


def made(name: str = "nightly", **fields: object) -> DeploymentRecord:
    return DeploymentRecord.model_validate({"flow_name": "etl", "name": name, "entrypoint": "etl.py:etl"} | fields)


def test_a_deployment_is_kept_as_it_was_written(store: Store) -> None:
    """And found by its name and by its id, with dashes or without."""
    deployments = Deployments(store)
    wanted = made(
        path="/flows",
        source=GitSource(url="https://host/code.git", branch="main"),
        queue="slow",
        parameters={"day": "monday", "sizes": [], "nested": {"none": None}, "large": 2**60, "x": 0.1},
        parameter_schema={"type": "object", "required": []},
        tags=("a", "b"),
        schedules=(ScheduleRecord(slug="cron", cron="0 3 * * *", timezone="Europe/Berlin"),),
        concurrency_limit=3,
        collision_strategy="CANCEL_NEW",
        on_crash="resume",
        description="two\nlines",
    )
    written = deployments.write(wanted)
    own = {"id", "created", "updated", "revision"}
    assert written.model_dump(exclude=own) == wanted.model_dump(exclude=own)
    assert (written.id, written.revision, written.created) == (wanted.id, 1, written.updated)
    assert deployments.read("etl/nightly") == written
    assert deployments.read(written.id) == written
    dashed = "-".join((written.id[:8], written.id[8:12], written.id[12:16], written.id[16:20], written.id[20:]))
    assert deployments.read(dashed) == written


def test_one_of_the_same_name_takes_its_place(store: Store) -> None:
    """With the id of the first, under which others know it."""
    deployments = Deployments(store)
    first = deployments.write(made(tags=("old",)))
    second = deployments.write(made(tags=("new",)))
    assert (second.id, second.created, second.revision, second.tags) == (first.id, first.created, 2, ("new",))
    assert second.updated >= first.updated
    assert deployments.read_all() == [second]


def test_whether_it_is_paused_can_outlast_a_new_version(store: Store) -> None:
    """As people pause deployments, and programs make them again."""
    deployments = Deployments(store)
    assert not deployments.write(made(), keeps_paused=True).paused
    paused = deployments.set_paused("etl/nightly", True)
    assert paused
    assert paused.paused
    assert deployments.write(made(), keeps_paused=True).paused
    assert not deployments.write(made()).paused


def test_changes_at_the_same_time_are_all_made(store: Store) -> None:
    """Each is made to what the other has left."""
    deployments = Deployments(store)
    deployments.write(made())
    ready = threading.Barrier(4)

    def add(tag: str) -> None:
        ready.wait()
        for at in range(10):
            own = f"{tag}{at}"
            deployments.change("etl/nightly", lambda old, own=own: old.model_copy(update={"tags": (*old.tags, own)}))

    threads = [threading.Thread(target=add, args=(tag,)) for tag in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = deployments.read("etl/nightly")
    assert found
    assert sorted(found.tags) == sorted(f"{tag}{at}" for tag in "abcd" for at in range(10))
    assert found.revision == 41


def test_writers_at_the_same_time_agree_on_the_id(store: Store) -> None:
    """Which is that of the first; the last one is what is kept."""
    deployments = Deployments(store)
    ready, written = threading.Barrier(4), list[DeploymentRecord]()

    def write(tag: str) -> None:
        ready.wait()
        written.append(deployments.write(made(tags=(tag,))))

    threads = [threading.Thread(target=write, args=(tag,)) for tag in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({record.id for record in written}) == 1
    assert sorted(record.revision for record in written) == [1, 2, 3, 4]
    assert deployments.read("etl/nightly") == max(written, key=lambda record: record.revision)


def test_nothing_is_known_of_a_deleted_one(store: Store) -> None:
    """By either name, and a change finds nothing to change; one made later has another id."""
    deployments = Deployments(store)
    written, other = deployments.write(made()), deployments.write(made("hourly"))
    assert deployments.delete(written.id) == written
    assert deployments.delete("etl/nightly") is None
    assert (deployments.read("etl/nightly"), deployments.read(written.id)) == (None, None)
    assert deployments.set_paused("etl/nightly", True) is None
    assert deployments.read_all() == [other]
    assert deployments.write(made()).id != written.id


def test_every_change_can_be_noticed_by_one_number(store: Store) -> None:
    """So that who looks after all of them need not read them again and again."""
    deployments = Deployments(store)
    seen = [deployments.changes()]
    deployments.write(made())
    seen.append(deployments.changes())
    deployments.set_paused("etl/nightly", True)
    seen.append(deployments.changes())
    deployments.set_paused("etl/nightly", True)
    assert deployments.changes() == seen[-1]
    deployments.delete("etl/nightly")
    seen.append(deployments.changes())
    assert len(set(seen)) == 4


def test_one_that_cannot_be_read_does_not_hide_the_others(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """It is told which it is, and it can be made anew."""
    deployments = Deployments(store)
    good, other = deployments.write(made()), deployments.write(made("hourly"))
    kept = store.command("HGET", keys.DEPLOYMENTS, "etl/hourly")
    store.command("HSET", keys.DEPLOYMENTS, "etl/hourly", kept.replace(b'"tags":[]', b'"tags":7'))
    assert deployments.read_all() == [good]
    assert "etl/hourly" in caplog.text
    with pytest.raises(errors.UnreadableDeployment, match="deploy it again"):
        deployments.read(other.id)
    assert deployments.write(made("hourly")).id == other.id
    assert len(deployments.read_all()) == 2


def test_with_a_signing_key_only_what_was_signed_is_read(store: Store) -> None:
    """As workers make runs of it: who can write to the server alone must not have them do so."""
    signing = Store(store.url, dataclasses.replace(store.settings, signing_key="key"), store.client)
    plain, signed = Deployments(store), Deployments(signing)
    plain.write(made("unsigned"))
    kept = signed.write(made(), keeps_paused=True)
    assert signed.read_all() == [kept]
    assert signed.set_paused("etl/nightly", True)
    text = store.command("HGET", keys.DEPLOYMENTS, "etl/nightly")
    for name, altered in (("etl/nightly", text.replace(b"etl.py", b"lte.py")), ("etl/other", text)):
        store.command("HSET", keys.DEPLOYMENTS, name, altered)
        with pytest.raises(errors.UnreadableDeployment):
            signed.read(name)
    assert signed.read_all() == []
