"""Deployments made and served by real programs, and looked after by commands."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from millstream import deployments, sessions
from millstream_shared import settings
from tests.harness import eventually
from tests.harness.processes import Process, Processes
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
    loaded = "from millstream import deployments, flow_sources\n" + (
        "print('gives', flow_sources.load_deployed(deployments.read('target-flow/programmatic-deployment'))(4))"
    )
    assert "gives 8" in shared.python(loaded).succeed()
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0


@pytest.mark.parametrize(
    "serving", ["target_flow.serve('s', interval=3600, parameters={'x': 1})", "asyncio.run(aserve(described()))"]
)
def test_serving_pauses_the_schedules_at_the_end(shared: Processes, serving: str) -> None:
    """By Ctrl-C; while it serves they fire, and its runs come to it alone. Serving again lets them fire again."""
    described = "described = lambda: target_flow.to_deployment('s', interval=3600, parameters={'x': 1})\n"
    for revision in (1, 3):
        server = program(shared, described + serving)
        server.says("worker started")
        record = deployments.read("target-flow/s")
        assert (record.paused, record.queue, record.revision) == (False, "served:target-flow/s", revision)
        assert "served:target-flow/s" in server.output
        server.interrupt()
        server.wait()
        assert deployments.read("target-flow/s").paused


def test_schedules_can_go_on_when_nobody_serves(shared: Processes) -> None:
    """Where that is said; SIGTERM ends it too. What has no schedule is not paused, as it can only be triggered."""
    server = program(
        shared,
        "serve(target_flow.to_deployment('on', interval=9, parameters={'x': 1}), pause_on_shutdown=False)",
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


def test_commands_look_after_deployments(shared: Processes) -> None:
    """From the file that describes them to their end."""
    (shared.folder / "millstream.yaml").write_text(YAML)
    deployed = shared.cli("deploy", "--all").succeed()
    assert "Deployed target-flow/nightly (" in deployed
    assert "Deployed target-flow/by-hand (" in deployed
    listed = json.loads(shared.cli("deployment", "ls", "--json").succeed())
    assert [each["full_name"] for each in listed] == ["target-flow/by-hand", "target-flow/nightly"]
    table = shared.cli("deployment", "ls", "--tag", "a").succeed()
    assert "target-flow/nightly" in table
    assert "0 3 * * * Europe/Berlin" in table
    assert "by-hand" not in table
    shown = shared.cli("deployment", "inspect", "target-flow/nightly").succeed()
    for text in ("program.py:target_flow", listed[1]["id"], "label", '"none"', "cron"):
        assert text in shown
    assert "Paused" in shared.cli("deployment", "pause", listed[1]["id"]).succeed()
    assert deployments.read("target-flow/nightly").paused
    assert json.loads(shared.cli("deployment", "inspect", "target-flow/nightly", "--json").succeed())["paused"]
    assert "Resumed" in shared.cli("deployment", "resume", "target-flow/nightly").succeed()
    assert not deployments.read("target-flow/nightly").paused
    assert "Deleted" in shared.cli("deployment", "delete", "target-flow/nightly").succeed()
    again = shared.cli("deployment", "delete", "target-flow/nightly")
    assert again.wait() == 1
    assert "There is no deployment 'target-flow/nightly'" in again.output


def test_a_file_with_mistakes_deploys_nothing(shared: Processes) -> None:
    """And says all of them, by exit code 1."""
    (shared.folder / "millstream.yaml").write_text(
        YAML.replace("{x: 1}", "{y: 1}").replace("program.py:t", "none.py:t", 1)
    )
    deploy = shared.cli("deploy", "--all")
    assert deploy.wait() == 1
    assert "millstream.yaml:4: deployments[0].entrypoint: There is no file" in deploy.output
    (shared.folder / "millstream.yaml").write_text(YAML.replace("{x: 1}", "{y: 1}"))
    deploy = shared.cli("deploy", "--all")
    assert deploy.wait() == 1
    assert "millstream.yaml:5: deployments[0].parameters: " in deploy.output
    assert eventually(lambda: deployments.read_all() == [])


def test_importing_millstream_does_not_load_what_deployments_need(running: Processes) -> None:
    """So that scripts without them start as quickly as before."""
    script = "import sys\nfrom millstream import flow, task\n@flow\ndef f(): ...\n" + (
        "print('loaded', sorted({'yaml', 'jsonschema', 'croniter', 'redis'} & set(sys.modules)))"
    )
    assert "loaded []" in running.python(script).succeed()


def test_a_file_is_found_without_naming_it(shared: Processes) -> None:
    """Where it is not there, that is told in one line."""
    missing = shared.cli("deploy")
    assert missing.wait() == 1
    assert "millstream.yaml: cannot be read" in missing.output
    assert not Path(shared.folder / "millstream.yaml").exists()
