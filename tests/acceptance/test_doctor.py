"""`millstream doctor` finds what is broken on a real server, names it, and says what to do."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from millstream.cli import main
from millstream_shared import ids, settings
from millstream_shared.queues import Queues
from millstream_shared.store import Store
from tests.harness.commands import millstream, millstream_json
from tests.harness.queued_runs import queued
from tests.harness.servers import RealServer, find_valkey


def finding(server: RealServer, check: str, code: int | None = None) -> tuple[str, str, str]:
    """Verdict, sentence and advice of one check; `code` is what the command has to end with."""
    settings.get_settings.cache_clear()
    result = CliRunner().invoke(main, ["doctor", "--json"], env={"MILLSTREAM_REDIS_URL": server.url})
    assert code is None or result.exit_code == code, result.output
    [found] = [each for each in json.loads(result.output) if each["check"] == check]
    return found["verdict"], found["says"], found["advice"]


def test_a_server_that_is_well_has_no_problems(
    valkey: RealServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each check, and exit code 0."""
    monkeypatch.setenv("MILLSTREAM_RESULT_STORAGE", str(folder / "results"))
    monkeypatch.setenv("MILLSTREAM_SIGNING_KEY", "a key")
    lines = millstream(valkey.url, "doctor").splitlines()
    verdicts = {line.split()[0] for line in lines}
    assert verdicts == {"ok", "warning"}
    assert [line.split()[1] for line in lines if line.startswith("warning")] == ["workers"]
    assert len(lines) == len(millstream_json(valkey.url, "doctor"))


@pytest.mark.parametrize(
    ("name", "value", "check", "verdict", "said"),
    [
        ("appendonly", "no", "persistence", "problem", "nothing is written to disk"),
        ("appendfsync", "no", "persistence", "warning", "when the system likes"),
        ("maxmemory-policy", "allkeys-lru", "eviction", "warning", "allkeys-lru"),
        ("maxmemory", "1100kb", "memory", "problem", "MiB used"),
    ],
)
def test_a_configuration_that_loses_runs_is_found(
    valkey: RealServer, name: str, value: str, check: str, verdict: str, said: str
) -> None:
    """By its check, with what to do."""
    assert finding(valkey, check)[0] == "ok"
    valkey.client().config_set(name, value)
    found = finding(valkey, check, code=int(verdict == "problem"))
    assert found[0] == verdict
    assert said in found[1]
    assert found[2]


def test_eviction_is_a_problem_once_memory_is_limited(valkey: RealServer) -> None:
    """Without a limit, nothing is evicted yet."""
    valkey.client().config_set("maxmemory-policy", "allkeys-lru")
    valkey.client().config_set("maxmemory", "1gb")
    assert finding(valkey, "eviction", code=1)[0] == "problem"


def test_an_empty_signing_key_is_none(valkey: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file of containers passes it on where nobody has set one."""
    monkeypatch.setenv("MILLSTREAM_SIGNING_KEY", "")
    assert finding(valkey, "signing key")[0] == "warning"


def test_snapshots_alone_are_a_warning(valkey: RealServer) -> None:
    """They lose the last minutes."""
    valkey.client().config_set("appendonly", "no")
    valkey.client().config_set("save", "60 1")
    assert finding(valkey, "persistence", code=0)[0] == "warning"


def test_a_server_that_is_away_is_a_problem_and_nothing_worse() -> None:
    """Found within seconds; what needs no server is checked all the same."""
    server = RealServer(find_valkey())
    began = time.monotonic()
    assert "No answer from Redis" in finding(server, "server", code=1)[1]
    assert time.monotonic() - began < 10
    assert finding(server, "result storage")[0] == "warning"
    server.discard()


def test_a_replica_is_no_place_for_runs(valkey: RealServer) -> None:
    """It refuses to write."""
    valkey.client().replicaof("127.0.0.1", "1")
    assert "replica" in finding(valkey, "server", code=1)[1]
    valkey.client().replicaof("NO", "ONE")


@pytest.mark.leaves_work("the runs that wait in vain are the point")
def test_a_queue_with_runs_and_no_worker_is_a_problem(valkey: RealServer) -> None:
    """The advice starts a worker for it; where it is paused, or all are suspended, that is said too."""
    store = Store(valkey.url, settings.get_settings())
    store.submit("gpu", [queued()], inbox="me", is_async=False)
    verdict, says, advice = finding(valkey, "queues", code=1)
    assert (verdict, advice) == ("problem", "millstream worker start -q gpu")
    assert "'gpu' (runs: 1)" in says
    Queues(store).pause("gpu")
    assert finding(valkey, "pauses")[:2] == ("warning", "paused: gpu")
    valkey.client().set("rq:suspended", 1, ex=100)
    assert finding(valkey, "pauses")[2] == "rq resume"
    store.close()


def test_what_dead_processes_leave_is_found(valkey: RealServer) -> None:
    """A lease that has run out while no worker could see that, and a registration without a worker."""
    client = valkey.client()
    owner = ids.new_owner_id("worker")
    client.zadd("ms:leases", {owner: 1})
    client.sadd("rq:workers", f"rq:worker:{owner}")
    verdict, says, _ = finding(valkey, "leases", code=1)
    assert (verdict, owner in says) == ("problem", True)
    verdict, says, _ = finding(valkey, "registrations")
    assert (verdict, owner in says) == ("warning", True)
    client.delete("ms:leases", "rq:workers")


def test_a_worker_of_another_version_is_found(valkey: RealServer) -> None:
    """Of millstream, or of Python."""
    client = valkey.client()
    client.sadd("rq:workers", "rq:worker:old")
    fields = {"queues": "default", "millstream_version": "0.0.1", "python_version": "3.99.0 (main)"}
    client.hset("rq:worker:old", mapping=fields)
    client.expire("rq:worker:old", 100)
    verdict, says, _ = finding(valkey, "versions", code=0)
    assert verdict == "warning"
    assert "old: millstream 0.0.1, Python 3.99.0" in says


def test_a_storage_that_cannot_be_written_is_a_problem(
    valkey: RealServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where results should go, a file stands."""
    place = folder / "results"
    monkeypatch.setenv("MILLSTREAM_RESULT_STORAGE", str(place))
    assert finding(valkey, "result storage", code=0)[0] == "ok"
    assert list(place.glob("**/doctor-*")) == []
    monkeypatch.setenv("MILLSTREAM_RESULT_STORAGE", str(folder / "file" / "results"))
    (folder / "file").write_text("no folder")
    assert finding(valkey, "result storage", code=1)[0] == "problem"


def test_a_clock_that_differs_is_found(valkey: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is a problem, whichever clock is wrong."""
    assert finding(valkey, "clock", code=0)[0] == "ok"
    ours = time.time
    for ahead in (60.0, -60.0):
        monkeypatch.setattr("millstream_shared.server_facts.time.time", lambda ahead=ahead: ours() + ahead)
        verdict, says, _ = finding(valkey, "clock", code=1)
        assert verdict == "problem"
        assert ("behind" if ahead > 0 else "ahead of") in says
