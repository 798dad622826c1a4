"""What the store promises about results, locks and parameters, on every kind of server."""

from millstream_shared import ids, keys
from millstream_shared.claims import RecordedRun
from millstream_shared.kept import Kept, digest
from millstream_shared.store import Store
from tests.harness import eventually


def test_a_result_is_kept_under_its_name_until_its_time_has_passed(store: Store) -> None:
    """In place of an earlier one; its key leads to it as well."""
    kept = Kept(store)
    assert (kept.get("a name"), kept.exists("a name")) == (None, False)
    kept.put("a name", b"old", 60)
    key = kept.put("a name", b"new", 60)
    assert (kept.get("a name"), kept.get_key(key), kept.exists("a name")) == (b"new", b"new", True)
    assert 0 < store.command("PTTL", key) <= 60_000
    kept.put("a name", b"short", 0.01)
    eventually(lambda: not kept.exists("a name"))


def test_a_result_can_be_removed(store: Store) -> None:
    """Also twice."""
    kept = Kept(store)
    kept.put("a name", b"entry", 60)
    kept.remove("a name")
    kept.remove("a name")
    assert kept.get("a name") is None


def test_a_lock_has_one_holder(store: Store) -> None:
    """Who has it can prolong it and let go of it; nobody else can."""
    kept = Kept(store)
    assert kept.lock("a name", "me", 60)
    assert kept.lock("a name", "me", 90)
    assert not kept.lock("a name", "you", 60)
    assert not kept.unlock("a name", "you")
    assert kept.holder("a name") == "me"
    assert 60_000 < store.command("PTTL", keys.lock(digest("a name"))) <= 90_000
    assert kept.unlock("a name", "me")
    assert not kept.unlock("a name", "me")
    assert kept.lock("a name", "you", 0.01)
    eventually(lambda: kept.holder("a name") is None)


def test_the_parameters_of_a_flow_run_are_kept_for_the_retention(store: Store) -> None:
    """None where there are none."""
    kept = Kept(store)
    assert kept.parameters("ab" * 16) is None
    kept.put_parameters("ab" * 16, b"pickled")
    assert kept.parameters("ab" * 16) == b"pickled"
    assert 0 < store.command("TTL", keys.parameters("ab" * 16)) <= store.settings.retention_seconds


def test_only_a_completed_run_can_be_said_more_of(store: Store) -> None:
    """By who knows what is recorded of it; asking twice is asking once."""
    owner, run_id = ids.new_owner_id("client"), ids.new_task_run_id(None)
    store.record(owner, [RecordedRun(run_id, b"\x01Cone")])
    assert not store.amend(run_id, b"\x01Canother", b"\x01Ctwo")
    assert not store.amend(run_id, b"\x01Cone", b"\x01Ftwo")
    assert store.amend(run_id, b"\x01Cone", b"\x01Ctwo")
    assert store.amend(run_id, b"\x01Cone", b"\x01Ctwo")
    assert store.records([run_id]) == {run_id: b"\x01Ctwo"}
    failed = ids.new_task_run_id(None)
    store.record(owner, [RecordedRun(failed, b"\x01Fone")])
    assert not store.amend(failed, b"\x01Fone", b"\x01Ctwo")
