"""Flow runs from a shell: made by `millstream deployment run`, looked after by `millstream flow-run`."""

import json
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from millstream import run_history, sessions
from millstream_shared import settings
from millstream_shared.claims import RecordedRun, flow_facets
from millstream_shared.ids import new_flow_run_id, new_owner_id
from millstream_shared.records import Record
from millstream_shared.states import StateType
from millstream_shared.store import Store
from tests.harness import eventually
from tests.harness.commands import millstream, millstream_json
from tests.harness.keys import audit
from tests.harness.processes import Processes
from tests.harness.servers import RealServer, find_valkey

PROGRAM = """
import os, time
from millstream import flow, pause_flow_run, runtime, task

@task
def step(number):
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number

@flow
def add(numbers: list[int], label: str = "none", factor: float = 1.0):
    return label, factor * sum(step.map(numbers).result())

@flow
def add_in_turn(numbers: list[int], fails_first: bool = False, ask: bool = False):
    add([1], label="called")
    for number in numbers:
        step.submit(number).result()
        while not os.path.exists(os.environ["GATE"] + str(number)):
            time.sleep(0.01)
    if ask:
        return pause_flow_run(wait_for_input=int)
    if fails_first and runtime.flow_run.run_count == 1:
        raise ValueError("the first time")
"""


@pytest.fixture(scope="module")
def shop() -> Iterator[tuple[str, Path]]:
    """A server with two deployments and a worker for their runs, by its URL; and the folder in which they all are."""
    server = RealServer(find_valkey()).start()
    folder = Path(tempfile.mkdtemp(prefix="ms-"))
    (folder / "program.py").write_text(PROGRAM)
    running = Processes(folder, MILLSTREAM_REDIS_URL=server.url, GATE=str(folder / "gate"))
    deploys = "import program\nprogram.add.deploy('d', parameters={'numbers': [1, 2]})\nprogram.add_in_turn.deploy('t')"
    running.python(deploys).succeed()
    worker = running.cli("worker", "start", "--processes", "1", "--threads", "4")
    worker.says("worker started")
    yield server.url, folder
    worker.send(signal.SIGTERM)
    worker.wait()
    running.end()
    audit(server)
    server.discard()
    shutil.rmtree(folder)


@pytest.fixture
def url(shop: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL, which is also that of the process of the test."""
    monkeypatch.setenv("MILLSTREAM_REDIS_URL", shop[0])
    settings.get_settings.cache_clear()
    sessions.close_current()
    yield shop[0]
    sessions.close_current()


@pytest.fixture
def gates(shop: tuple[str, Path]) -> Path:
    """Where flows look for leave to go on."""
    return shop[1]


def test_a_deployment_is_run_by_its_name(url: str, gates: Path) -> None:
    """The id is printed at once; with --wait how it ended, and the exit code tells that too."""
    run_id = millstream(url, "deployment", "run", "add/d", "--name", "mine", "--tag", "a").strip()
    run = run_history.wait_for(run_id, 20)
    assert (run.name, run.tags, run.state.result()) == ("mine", ["a"], ("none", 3.0))
    said = millstream(url, "deployment", "run", "add/d", "--wait")
    assert "is Completed in" in said
    said = millstream(url, "deployment", "run", "add/d", "-p", "numbers=[1, -1]", "--wait", code=1)
    assert "is Failed" in said
    assert "-1 is negative" in said
    late = millstream(url, "deployment", "run", "add-in-turn/t", "-p", "numbers=[7]", "--timeout", "0.2", code=4)
    assert "is Running" in late or "is Pending" in late
    (gates / "gate7").touch()
    assert run_history.wait_for(late.split("(")[1][:32], 20).state_name == "Completed"


def test_parameters_are_data(url: str) -> None:
    """JSON, or text, as one object or by name; what the flow does not take is named, and there is no run."""
    wanted = ("--params", '{"numbers": [1], "label": "object"}', "-p", "label=12", "-p", "factor=2")
    run = millstream_json(url, "deployment", "run", "add/d", *wanted, "--wait")
    assert run["parameters"] == {"numbers": [1], "label": "12", "factor": 2}
    assert run_history.read_flow_run(run["id"]).state.result() == ("12", 2.0)
    before = millstream_json(url, "flow-run", "ls")
    refused = ("-p", 'numbers=[1, "x"]', "-p", "lable=l")
    said = millstream(url, "deployment", "run", "add/d", *refused, code=1)
    assert "numbers.1: 'x' is not of type 'integer'" in said
    assert "lable: no such parameter" in said
    for words in (["-p", "numbers"], ["-p", "factor=1", "-p", "factor=2"], ["--params", "[1]"], ["--params", "{"]):
        millstream(url, "deployment", "run", "add/d", *words, code=2)
    assert "ghost/ly" in millstream(url, "deployment", "run", "ghost/ly", code=1)
    assert "NAME" in millstream(url, "deployment", "run", "ghost", code=2)
    assert millstream_json(url, "flow-run", "ls") == before


def test_a_run_begins_when_it_is_said(url: str) -> None:
    """At a time on the clock here, or after a while; of two commands with one key there is one run."""
    began = time.time()
    soon = millstream_json(url, "deployment", "run", "add/d", "--in", "0.3s", "--idempotency-key", "k")
    again = millstream_json(url, "deployment", "run", "add/d", "--idempotency-key", "k", "--wait")
    assert again["id"] == soon["id"]
    assert soon["state"] == "Scheduled"
    assert again["started"] >= soon["expected"] >= began + 0.3
    clock = (datetime.now() + timedelta(seconds=0.2)).isoformat()
    assert millstream_json(url, "deployment", "run", "add/d", "--at", clock, "--wait")["state"] == "Completed"
    for words in (["--in", "soon"], ["--at", "noon"], ["--in", "1s", "--at", clock]):
        millstream(url, "deployment", "run", "add/d", *words, code=2)


def test_runs_are_listed(url: str) -> None:
    """The newest first; by state, flow, deployment and tag."""
    ended = millstream_json(url, "deployment", "run", "add/d", "--wait", "--tag", "listed")
    failed = millstream_json(
        url, "deployment", "run", "add/d", "-p", "numbers=[-1]", "--tag", "listed", "--wait", code=1
    )

    def listed(*words: str) -> list[str]:
        return [run["id"] for run in millstream_json(url, "flow-run", "ls", *words)]

    both = [failed["id"], ended["id"]]
    assert (
        listed("--tag", "listed")
        == listed("--flow", "add", "-n", "2")
        == listed("--deployment", "add/d", "-n", "2")
        == both
    )
    assert listed("--state", "failed", "-n", "1") == listed("-n", "1") == [failed["id"]]
    assert listed("--flow", "ghost") == []
    heads, *rows = millstream(url, "flow-run", "ls", "--tag", "listed").splitlines()
    assert heads.split()[:3] == ["name", "flow", "state"]
    assert [row.split()[1:3] for row in rows] == [["add", "Failed"], ["add", "Completed"]]
    assert "no kind of state 'Faild'" in millstream(url, "flow-run", "ls", "--state", "Faild", code=2)


def test_a_run_is_watched(url: str, running: Processes, gates: Path) -> None:
    """In a pipe there is a line for each change, of tasks by their names; at its end the watching ends too."""
    run_id = millstream(url, "deployment", "run", "add-in-turn/t", "-p", "numbers=[1, 2]").strip()
    watching = running.cli("flow-run", "watch", run_id[:12], MILLSTREAM_REDIS_URL=url)
    watching.says("step: 1 completed")
    (gates / "gate1").touch()
    watching.says("step: 2 completed")
    assert watching.runs
    (gates / "gate2").touch()
    output = watching.succeed()
    assert "Completed  step: 2 completed  flow add: 1 completed" in output
    assert output.splitlines()[-1].startswith("Flow run")
    assert len(output.splitlines()) == len(set(output.splitlines()))


def test_a_run_that_failed_is_tried_again(url: str, gates: Path) -> None:
    """Under its id, by the first digits of that; what completed is not executed again."""
    (gates / "gate5").touch()
    words = ("-p", "numbers=[5]", "-p", "fails_first=true", "--wait")
    failed = millstream_json(url, "deployment", "run", "add-in-turn/t", *words, code=1)
    (before,) = millstream_json(url, "task-run", "ls", failed["id"])
    assert "is Completed" in millstream(url, "flow-run", "retry", failed["id"][:12], "--wait")
    (after,) = millstream_json(url, "task-run", "ls", failed["id"])
    assert after == before
    assert run_history.read_flow_run(failed["id"]).run_count == 2
    assert "has completed" in millstream(url, "flow-run", "resume", failed["id"], code=1)


def test_a_run_is_cancelled(url: str) -> None:
    """With --wait the command ends when it has stopped; what has ended cannot be cancelled, but tried again."""
    run_id = millstream(url, "deployment", "run", "add-in-turn/t", "-p", "numbers=[100]").strip()
    eventually(lambda: run_history.read_flow_run(run_id).state_name == "Running")
    assert "is Cancelled" in millstream(url, "flow-run", "cancel", run_id[:12], "--wait")
    assert run_id in millstream(url, "flow-run", "ls", "--state", "cancelled", "--flow", "add-in-turn")
    assert "has ended" in millstream(url, "flow-run", "cancel", run_id, code=1)
    assert "is Cancelled" in millstream(url, "flow-run", "watch", run_id, code=3)


def test_a_paused_run_is_resumed(url: str) -> None:
    """With what it waits for, as JSON; it stays paused if that is something else."""
    run_id = millstream(url, "deployment", "run", "add-in-turn/t", "-p", "numbers=[]", "-p", "ask=true").strip()
    eventually(lambda: run_history.read_flow_run(run_id).state_name == "Paused")
    assert "resume it" in millstream(url, "flow-run", "retry", run_id, code=1)
    assert "stays paused" in millstream(url, "flow-run", "resume", run_id, "--input", '"x"', code=1)
    millstream(url, "flow-run", "resume", run_id, "--input", "{", code=2)
    assert "is Completed" in millstream(url, "flow-run", "resume", run_id, "--input", "7", "--wait")
    assert run_history.read_flow_run(run_id).state.result() == 7


def test_a_run_is_deleted(url: str) -> None:
    """After a question, unless there is to be none."""
    run = millstream_json(url, "deployment", "run", "add/d", "--wait")
    millstream(url, "flow-run", "delete", run["id"][:12], code=1)
    assert "Deleted" in millstream(url, "flow-run", "delete", run["id"][:12], "--yes")
    assert run["id"] not in millstream(url, "flow-run", "ls")
    for command in ("delete", "watch", "retry"):
        assert run["id"] in millstream(url, "flow-run", command, run["id"], code=1)
        millstream(url, "flow-run", command, "no-id", code=2)


def test_a_shell_completes_names_and_ids(url: str, running: Processes) -> None:
    """Of deployments, flows and the newest flow runs."""
    run = millstream_json(url, "deployment", "run", "add/d", "--wait")

    def suggested(*words: str) -> list[str]:
        typed = {"_MILLSTREAM_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(("millstream", *words))}
        shown = running.cli(**typed, COMP_CWORD=str(len(words)), MILLSTREAM_REDIS_URL=url).succeed()
        return [line.removeprefix("plain,") for line in shown.split()]

    assert suggested("deployment", "run", "add/") == ["add/d"]
    assert "add" in suggested("flow-run", "ls", "--flow", "ad")
    assert suggested("flow-run", "delete", run["id"][:10]) == [run["id"][:12]]


def test_a_task_run_is_no_flow_run(url: str) -> None:
    """Its id is refused, with its name."""
    run = millstream_json(url, "deployment", "run", "add/d", "--wait")
    task_run = millstream_json(url, "task-run", "ls", run["id"])[0]
    assert "is a task run" in millstream(url, "flow-run", "delete", task_run["run_id"], "--yes", code=2)


def test_a_list_costs_the_same_however_many_there_are(valkey: RealServer) -> None:
    """The server executes no more commands among 10,000 runs than among 100, and none that goes through keys."""
    sessions.close_current()
    store = Store(valkey.url, settings.get_settings())
    owner = new_owner_id("client")

    def make(count: int) -> None:
        made = [_made(at) for at in range(count)]
        assert store.record(owner, made) == []

    def commands() -> dict[str, int]:
        valkey.client().config_resetstat()
        millstream(valkey.url, "flow-run", "ls", "--state", "Completed")
        found = valkey.client().info("commandstats")
        return {name: stats["calls"] for name, stats in found.items() if "config" not in name and "info" not in name}

    make(100)
    few = commands()
    make(9_900)
    many = commands()
    assert many.get("cmdstat_scan", 0) + many.get("cmdstat_keys", 0) == 0
    assert sum(many.values()) <= sum(few.values())
    store.close()
    assert json.loads(millstream(valkey.url, "flow-run", "ls", "-n", "3", "--json"))[0]["name"] == "run-9899"
    sessions.close_current()


def _made(at: int) -> RecordedRun:
    now = time.time() + at / 1000  # of one millisecond each
    record = Record(
        run_id=new_flow_run_id(),
        kind="flow",
        state_type=StateType.COMPLETED,
        state_name="Completed",
        name=f"run-{at}",
        function_name="f",
        created=now,
        started=now,
        ended=now,
    )
    return RecordedRun(record.run_id, record.encode(), flow_facets(now, "f"))
