"""Deployments made and served by real programs, and looked after by commands."""

import os
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from millstream import deployments, exceptions, sessions
from millstream_shared import settings
from tests.harness import commands
from tests.harness.processes import Process, Processes
from tests.harness.repositories import Repository
from tests.harness.servers import RealServer

SCRIPT = """
import asyncio, sys
from millstream import aserve, deploy, flow, serve, task
from millstream.deployments import Deployment, read_all

@flow(log_prints=True)
def target_flow(x: int, label: str = "none"):
    return x * 2

@task
def create_deployment():
    deployment = Deployment.build_from_flow(
        flow=target_flow, name="programmatic-deployment", version="1", parameters={"x": 42}
    )
    return deployment.apply()

@flow
def main_flow():
    return create_deployment.submit().result()

if __name__ == "__main__":
    exec(sys.argv[1])
    print("all right")
"""

YAML = """
deployments:
  - name: nightly
    entrypoint: program.py:target_flow
    parameters: {x: 1}
    tags: [a]
    schedules:
      - cron: "0 3 * * *"
        timezone: Europe/Berlin
  - name: by-hand
    entrypoint: program.py:target_flow
"""


@pytest.fixture
def shared(running: Processes, valkey: RealServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    """Processes with one server for all, and for the test itself."""
    running.environment |= {"MILLSTREAM_REDIS_URL": valkey.url}
    monkeypatch.setenv("MILLSTREAM_REDIS_URL", valkey.url)
    settings.get_settings.cache_clear()
    (running.folder / "program.py").write_text(SCRIPT)
    sessions.close_current()
    yield running
    sessions.close_current()


def program(shared: Processes, statement: str) -> Process:
    return shared.python(shared.folder / "program.py", statement)


def test_a_script_makes_a_deployment_of_its_own_flow(shared: Processes) -> None:
    """Here, and from inside a task that travels to a worker by value; others can load the flow from its file."""
    worker = shared.cli("worker", "start", "--processes", "1", "--threads", "2")
    output = program(shared, "print('id', main_flow()); target_flow.deploy('by-hand')").succeed()
    by_hand, in_task = deployments.read_all()
    assert (by_hand.full_name, in_task.full_name) == ("target-flow/by-hand", "target-flow/programmatic-deployment")
    assert in_task.id in output.replace("-", "")
    assert (in_task.version, in_task.parameters) == ("1", {"x": 42})
    for record in (by_hand, in_task):
        assert (record.entrypoint, record.path) == ("program.py:target_flow", str(shared.folder))
    loaded = "from millstream.deployments import run_deployment\n" + (
        "print('gives', run_deployment('target-flow/programmatic-deployment', parameters={'x': 4}).state.result())"
    )
    assert "gives 8" in shared.python(loaded).succeed()
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0


@pytest.mark.parametrize(
    ("serving", "times"),
    [
        ("target_flow.serve('s', interval=3600, parameters={'x': 1})", 2),
        ("asyncio.run(aserve(target_flow.to_deployment('s', interval=3600, parameters={'x': 1})))", 1),
    ],
)
def test_serving_pauses_the_schedules_at_the_end(shared: Processes, serving: str, times: int) -> None:
    """By Ctrl-C; while it serves they fire, and its runs come to it alone. Serving again lets them fire again."""
    for before in range(times):
        server = program(shared, serving)
        server.says("worker started")
        record = deployments.read("target-flow/s")
        assert (record.paused, record.queue, record.revision) == (False, "served:target-flow/s", 2 * before + 1)
        assert "served:target-flow/s" in server.output
        server.interrupt()
        server.wait()
        assert deployments.read("target-flow/s").paused


def test_runs_of_a_served_deployment_come_to_who_serves_it(shared: Processes) -> None:
    """By whomever they are triggered; parameters from outside become what the flow takes."""
    server = program(shared, "target_flow.serve('s', limit=2)")
    server.says("worker started")
    run = deployments.run_deployment("target-flow/s", parameters={"x": "4"})
    assert run.state.result() == 8
    assert "target-flow" in server.output
    with pytest.raises(exceptions.ParameterBindError, match="y: no such parameter"):
        deployments.run_deployment("target-flow/s", parameters={"x": 4, "y": 5})
    server.interrupt()
    server.succeed()


def test_a_worker_runs_what_lies_in_a_repository(shared: Processes) -> None:
    """As it is when the run begins: nothing is deployed again, and no worker is started anew."""
    repository = Repository(shared.folder)
    repository.push(1)
    shared.python(
        "from millstream import flow\n"
        f"flow.from_source({repository.url!r}, 'flows/answers.py:answer').deploy('d', queue='git')"
    ).succeed()
    worker = shared.cli("worker", "start", "-q", "git", "--processes", "1")
    assert deployments.run_deployment("answer/d").state.result() == 1
    repository.push(2)
    assert deployments.run_deployment("answer/d").state.result() == 2
    os.rename(repository.url, repository.url + ".away")
    failed = deployments.run_deployment("answer/d").state
    assert isinstance(failed.result(raise_on_failure=False), exceptions.SourceUnavailable)
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0


def test_schedules_can_go_on_when_nobody_serves(shared: Processes) -> None:
    """Where that is said; SIGTERM ends it too. What has no schedule is not paused, as it can only be triggered."""
    server = program(
        shared,
        "serve(target_flow.to_deployment('on', interval=3600, parameters={'x': 1}), pause_on_shutdown=False)",
    )
    server.says("worker started")
    server.send(signal.SIGTERM)
    assert "all right" in server.succeed()
    assert not deployments.read("target-flow/on").paused
    server = program(shared, "serve(target_flow.to_deployment('by-hand', queue='own'))")
    server.says("worker started")
    server.send(signal.SIGTERM)
    server.succeed()
    record = deployments.read("target-flow/by-hand")
    assert (record.paused, record.queue) == (False, "own")


def test_commands_look_after_deployments(shared: Processes, valkey: RealServer) -> None:
    """From the file that describes them to their end."""
    millstream = partial(commands.millstream, valkey.url)
    (shared.folder / "millstream.yaml").write_text(YAML)
    deployed = shared.cli("deploy", "--all").succeed()
    assert "Deployed target-flow/nightly (" in deployed
    assert "Deployed target-flow/by-hand (" in deployed
    listed = commands.millstream_json(valkey.url, "deployment", "ls")
    assert [each["full_name"] for each in listed] == ["target-flow/by-hand", "target-flow/nightly"]
    table = millstream("deployment", "ls", "--tag", "a")
    assert "target-flow/nightly" in table
    assert "0 3 * * * Europe/Berlin" in table
    assert "by-hand" not in table
    shown = millstream("deployment", "inspect", "target-flow/nightly")
    for text in ("program.py:target_flow", listed[1]["id"], "label", '"none"', "cron"):
        assert text in shown
    assert "Paused" in millstream("deployment", "pause", listed[1]["id"])
    assert commands.millstream_json(valkey.url, "deployment", "inspect", "target-flow/nightly")["paused"]
    assert "Resumed" in millstream("deployment", "resume", "target-flow/nightly")
    assert not deployments.read("target-flow/nightly").paused
    assert "Deleted" in millstream("deployment", "delete", "target-flow/nightly")
    gone = millstream("deployment", "delete", "target-flow/nightly", code=1)
    assert "There is no deployment 'target-flow/nightly'" in gone


def test_a_file_with_mistakes_deploys_nothing(shared: Processes) -> None:
    """And says all of them, by exit code 1."""
    text = YAML.replace("{x: 1}", "{y: 1}").replace("program.py:t", "none.py:t", 1)
    (shared.folder / "millstream.yaml").write_text(
        text + YAML.partition("deployments:\n")[2].replace("{x: 1}", "{y: 1}")
    )
    deploy = shared.cli("deploy", "--all")
    assert deploy.wait() == 1
    assert "millstream.yaml:4: deployments[0].entrypoint: There is no file" in deploy.output
    assert "millstream.yaml:14: deployments[2].parameters: " in deploy.output
    assert deployments.read_all() == []


def test_importing_millstream_does_not_load_what_deployments_need(running: Processes) -> None:
    """So that scripts without them start as quickly as before."""
    script = "import sys\nfrom millstream import flow, task\n@flow\ndef f(): ...\n" + (
        "print('loaded', sorted({'yaml', 'jsonschema', 'croniter', 'redis'} & set(sys.modules)))"
    )
    assert "loaded []" in running.python(script).succeed()
