"""The files in `deploy/`: each is what its reader expects, and calls millstream as it can be called."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from millstream.cli.main import main
from tests.harness import servers

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def documents(path: Path) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


def workers() -> dict[str, Any]:
    """The pods of the Deployment."""
    [found] = [each for each in documents(DEPLOY / "kubernetes/workers.yaml") if each["kind"] == "Deployment"]
    return found["spec"]["template"]["spec"]


def unit(name: str) -> dict[str, str]:
    lines = (DEPLOY / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]\w+=", line))


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """What the files have containers and systemd run, without `millstream` itself."""
    container = workers()["containers"][0]
    yield "workers.yaml", container["args"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        yield probe, container[probe]["exec"]["command"][1:]
    for name, service in documents(DEPLOY / "compose.yaml")[0]["services"].items():
        if name != "valkey":
            yield f"compose.yaml {name}", service["command"]
    yield "unit", shlex.split(unit("millstream-worker@.service")["ExecStart"])[1:]
    for line in (DEPLOY / "Dockerfile").read_text().splitlines():
        if found := re.search(r"CMD (\[.*\])$", line):
            words = yaml.safe_load(found[1])
            yield line, words[1:] if words[0] == "millstream" else words


@pytest.mark.parametrize("words", [pytest.param(words, id=where) for where, words in command_lines()])
def test_each_command_is_one_that_millstream_knows(words: list[str]) -> None:
    """With these options and values: a renamed option would else be found by who deploys."""
    command: click.Command | None = main
    words = list(words)
    context = click.Context(main)
    while isinstance(command, click.Group):
        command = command.get_command(context, words.pop(0))
    assert command is not None
    command.make_context(command.name, words)


def test_all_give_a_worker_more_time_than_it_gives_its_tasks() -> None:
    """Who kills a worker in its grace period makes its tasks be executed twice."""
    grace = {where: float(words[words.index("--grace") + 1]) for where, words in command_lines() if "--grace" in words}
    assert workers()["terminationGracePeriodSeconds"] > grace["workers.yaml"]
    assert float(unit("millstream-worker@.service")["TimeoutStopSec"]) > grace["unit"]
    stop = documents(DEPLOY / "compose.yaml")[0]["services"]["worker"]["stop_grace_period"]
    assert float(stop.removesuffix("s")) > grace["compose.yaml worker"]


@pytest.mark.parametrize("name", ["millstream-worker@.service", "millstream-redis.service"])
def test_systemd_accepts_the_units(name: str, folder: Path) -> None:
    """As its own verifier says; only the programs are others, as those are not installed here."""
    verifier = shutil.which("systemd-analyze")
    if verifier is None:
        pytest.skip("needs systemd-analyze")
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", (DEPLOY / name).read_text(), flags=re.MULTILINE)
    path = folder / name.replace("@", "@default")
    path.write_text(text)
    found = subprocess.run([verifier, "verify", "--man=no", path], capture_output=True, text=True, check=False)
    assert (found.returncode, path.name in found.stderr) == (0, False), found.stderr


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_manifests_have_the_fields_that_kubernetes_knows(path: Path) -> None:
    """All documents, by the schemas of a release; what kustomize and KEDA add to it is only read."""
    validator = pytest.importorskip("kubernetes_validate")
    for document in documents(path):
        if document["apiVersion"].startswith(("kustomize.", "keda.")):
            continue
        validator.validate(document, "1.32", strict=True)


def test_kustomize_puts_the_manifests_together() -> None:
    """All files but that for KEDA, in one namespace, with the image that was set."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("needs kubectl")
    built = subprocess.run([kubectl, "kustomize", DEPLOY / "kubernetes"], capture_output=True, text=True, check=True)
    made = list(yaml.safe_load_all(built.stdout))
    assert len(made) == sum(len(documents(path)) for path in KUBERNETES) - 2
    [image] = [
        each["spec"]["template"]["spec"]["containers"][0]["image"] for each in made if each["kind"] == "Deployment"
    ]
    assert image == "registry.example/millstream:latest"


def settings_of(text: str) -> dict[str, str]:
    lines = (line.strip() for line in text.splitlines())
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


def test_redis_takes_its_configuration_and_keeps_what_is_queued() -> None:
    """The file is one that the server reads; in Kubernetes it has the same settings where they matter."""
    given = settings_of((DEPLOY / "redis.conf").read_text())
    server = servers.RealServer(servers.find_valkey(), **given).start()
    try:
        client = server.client()
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.close()
    finally:
        server.discard()
    [there] = [each for each in documents(DEPLOY / "kubernetes/redis.yaml") if each["kind"] == "ConfigMap"]
    kubernetes = settings_of(there["data"]["redis.conf"])
    for name in ("appendonly", "maxmemory-policy", "maxmemory"):
        assert kubernetes[name] == given[name]


def test_the_image_is_made_from_what_is_there() -> None:
    """Each path that the Dockerfile copies from the project exists, and is not ignored; a linter has no remarks."""
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    paths = [path for line in copied for path in line.split()]
    assert {"pyproject.toml", "producer", "worker", "shared"} <= set(paths)
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for path in paths:
        assert (ROOT / path).exists()
        assert f"!{path}" in ignored
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("needs hadolint")
    said = subprocess.run([linter, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert said.stdout == ""
