"""A server whose memory or disk is full: what is new is refused by name, what was begun ends, and all goes on again."""

import dataclasses
import selectors
import signal
from pathlib import Path
from typing import Any

import pytest

from millstream_shared import errors
from millstream_shared.claims import QueuedRun
from millstream_shared.settings import get_settings
from millstream_shared.store import Store
from millstream_worker.bells import Bell
from millstream_worker.registration import Registration
from millstream_worker.rq_worker import RegisteredWorker
from tests.harness import eventually
from tests.harness.ledgers import PROGRAM, Ledger
from tests.harness.processes import Process, Processes
from tests.harness.servers import RealServer

QUICK = {"MILLSTREAM_LEASE_SECONDS": "2", "MILLSTREAM_HEARTBEAT_SECONDS": "0.3"}
STEADY = {"MILLSTREAM_LEASE_SECONDS": "10", "MILLSTREAM_HEARTBEAT_SECONDS": "0.3"}

SCRIPT = (
    PROGRAM
    + """
from millstream.exceptions import BackendFull

def wait_for(name):
    while not os.path.exists(os.environ["GATE"] + name):
        time.sleep(0.01)

@task
def step(i):
    print("a line of run", i)
    note("start")
    wait_for("end")
    note("end")
    return i

@flow
def before():
    futures = step.map(range(4))
    wait_for("full")
    try:
        step.submit(5)
    except BackendFull as full:
        print("refused:", full, flush=True)
    print(sorted(future.result() for future in futures), flush=True)
    wait_for("room")
    print("again:", step.submit(6).result(), flush=True)

if __name__ == "__main__":
    before()
    print("the flow has ended")
"""
)


RIDER = (
    PROGRAM
    + """
@task
def step(i):
    note("start")
    while not os.path.exists(os.environ["GATE"] + "end"):
        time.sleep(0.01)
    note("end")
    return i

@flow
def rides():
    return step.map(range(4)).result()

if __name__ == "__main__":
    print(rides())
"""
)


@pytest.fixture(params=["valkey", "redis_server"])
def real(request: pytest.FixtureRequest) -> RealServer:
    return request.getfixturevalue(request.param)


def start_worker(running: Processes, url: str, **environment: str) -> Process:
    environment = QUICK | {"MILLSTREAM_REDIS_URL": url} | environment
    worker = running.cli("worker", "start", "--processes", "1", "--threads", "2", **environment)
    worker.says("worker started")
    return worker


def fill(client: Any) -> None:
    """Set the limit of the server's memory below what it uses now."""
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)


def test_a_full_memory_refuses_what_is_new_and_lets_the_rest_end(
    running: Processes, folder: Path, real: RealServer
) -> None:
    """`submit` raises BackendFull; queued and running tasks end, nobody loses a lease, and with room all goes on."""
    ledger = Ledger(folder / "ledger")
    gate = {"LEDGER": str(ledger.path), "GATE": str(folder / "gate-"), "MILLSTREAM_REDIS_URL": real.url}
    running.environment |= {"MILLSTREAM_LOGGING_LOG_PRINTS": "1"}
    worker = start_worker(running, real.url, **gate, **STEADY)
    script = running.python(SCRIPT, **gate, **STEADY)
    eventually(lambda: len(ledger.lines("start")) == 2)
    client = real.client()
    fill(client)
    (folder / "gate-full").touch()
    assert "maxmemory" in script.says("refused: ")
    worker.says("a heartbeat was missed")
    # All leases are renewed all the same.
    leases = dict(client.zrange("ms:leases", 0, -1, withscores=True))
    eventually(lambda: all(client.zscore("ms:leases", owner) > end for owner, end in leases.items()))
    (folder / "gate-end").touch()
    script.says("[0, 1, 2, 3]")
    assert {line["attempt"] for line in ledger.lines("start")} == {1}
    client.config_set("maxmemory", 0)
    (folder / "gate-room").touch()
    assert "again: 6" in script.succeed()
    assert "the lease ran out" not in worker.output
    client.close()


def test_a_worker_starts_and_stops_on_a_full_server(running: Processes, folder: Path, real: RealServer) -> None:
    """A worker that comes while memory is full executes what is queued, and leaves nothing behind when told to stop."""
    client = real.client()
    gate = {"LEDGER": str(folder / "ledger"), "GATE": str(folder / "gate-"), "MILLSTREAM_REDIS_URL": real.url}
    for name in ("full", "end", "room"):
        (folder / f"gate-{name}").touch()
    script = running.python(SCRIPT, **gate, **QUICK)
    eventually(lambda: client.llen("rq:queue:default") == 5)
    fill(client)
    worker = start_worker(running, real.url, **gate)
    script.says("[0, 1, 2, 3]")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0, worker.output
    assert client.smembers("rq:workers") == set()
    assert "Traceback" not in worker.output
    # The script needs room for what it submits last.
    client.config_set("maxmemory", 0)
    script.kill()
    start_worker(running, real.url, **gate)
    eventually(lambda: client.zcard("ms:leases") == 1, 30)  # the script's was given up, and its flow run ended
    client.close()


def test_a_worker_hears_that_it_is_suspended_also_on_a_full_server(real: RealServer) -> None:
    """Memory that fills up between a heartbeat and this question is no end of it."""
    store, client = Store(real.url, get_settings()), real.client()
    worker = RegisteredWorker(store, "worker-1", ["default"])
    client.set("rq:suspended", 1)
    fill(client)
    assert worker.is_suspended()
    client.delete("rq:suspended")
    assert not worker.is_suspended()
    client.config_set("maxmemory", 0)
    client.close()
    store.close()


def fill_disk(server: RealServer) -> None:
    """Have the server fail to save, after which it refuses all writes."""
    client = server.client()
    (server.folder / "dump.rdb").mkdir()  # what is saved cannot take this name
    client.config_set("save", "3600 1000000")
    client.bgsave()
    eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
    client.close()


def empty_disk(server: RealServer) -> None:
    client = server.client()
    (server.folder / "dump.rdb").rmdir()
    client.bgsave()
    eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok")
    client.close()


def test_workers_and_flows_ride_out_a_full_disk(running: Processes, folder: Path, redis_server: RealServer) -> None:
    """What ends meanwhile is recorded afterwards, once; nobody dies of it, and no traceback is written."""
    ledger = Ledger(folder / "ledger")
    gate = {"LEDGER": str(ledger.path), "GATE": str(folder / "gate-"), "MILLSTREAM_REDIS_URL": redis_server.url}
    worker = start_worker(running, redis_server.url, **gate, **STEADY)
    script = running.python(RIDER, **gate, **STEADY)
    eventually(lambda: len(ledger.lines("start")) == 2)
    fill_disk(redis_server)
    (folder / "gate-end").touch()
    eventually(lambda: len(ledger.lines("end")) == 2)
    # Until the worker's heartbeat, and so all else that it does in a round, has been refused.
    beats = next((folder / "home" / "workers").glob("*.json"))
    seen = beats.stat().st_mtime
    eventually(lambda: beats.stat().st_mtime > seen + 1)
    empty_disk(redis_server)
    assert "[0, 1, 2, 3]" in script.succeed()
    assert len(ledger.lines("end")) == 4
    assert "Traceback" not in worker.output + script.output
    assert worker.runs


def test_a_heartbeat_that_a_full_disk_refuses_is_missed(redis_server: RealServer) -> None:
    """Between two calls that are made again until there is room, that which tells RQ's tools may fail."""
    store = Store(redis_server.url, get_settings())
    registration = Registration(store, None, None)
    registration.begin("worker-1", ["default"], processes=1, threads=1)
    client = redis_server.client()
    client.hdel("rq:worker:worker-1", "state")
    fill_disk(redis_server)
    registration.beat(busy=True, tally=0)
    assert client.hget("rq:worker:worker-1", "state") is None
    empty_disk(redis_server)
    registration.beat(busy=True, tally=0)
    assert client.hget("rq:worker:worker-1", "state") == b"busy"
    registration.end()
    client.close()
    store.close()


def test_a_worker_that_may_not_wait_for_work_looks_for_it(redis_server: RealServer) -> None:
    """A full disk refuses a blocking pop too: a bell rings then, so that its worker asks for what is queued."""
    store = Store(redis_server.url, get_settings())
    rung: list[bool] = []
    with selectors.DefaultSelector() as selector:
        bell = Bell(store, selector, lambda: rung.append(True), patience=60)
        fill_disk(redis_server)
        bell.listen("a list")
        for key, _ in selector.select(10):
            key.data()
        assert rung
        assert not bell.is_listening
        empty_disk(redis_server)
    store.close()


def test_a_full_disk_is_waited_for_and_then_named(redis_server: RealServer) -> None:
    """Writes that the server refuses as its disk is full are made again for a while; then BackendFull says so."""
    client = redis_server.client()
    fill_disk(redis_server)
    store = Store(redis_server.url, dataclasses.replace(get_settings(), first_contact_seconds=0.2), outage_seconds=5)
    run = QueuedRun("0" * 32, "a run", b"payload", "")
    with pytest.raises(errors.BackendFull, match=r"MISCONF.*wait for workers"):
        store.submit("default", [run], inbox="nobody", is_async=False)
    assert client.exists("rq:job:" + run.run_id) == 0
    empty_disk(redis_server)
    store.submit("default", [run], inbox="nobody", is_async=False)
    client.delete("rq:job:" + run.run_id, "rq:queue:default")
    client.close()
    store.close()
