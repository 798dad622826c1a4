"""A shell completes commands, and the names of what is in the store."""

import shutil
from pathlib import Path

import pytest

from millstream_shared import settings
from millstream_shared.limits import Limits
from millstream_shared.queues import Queues
from millstream_shared.store import Store
from tests.harness.commands import millstream
from tests.harness.processes import Processes
from tests.harness.servers import RealServer


def suggested(running: Processes, *words: str, **environment: str) -> list[str]:
    """What bash would show for the last of the words; nothing may be said beside."""
    typed = {"_MILLSTREAM_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(("millstream", *words))}
    shown = running.cli(**typed, COMP_CWORD=str(len(words)), **environment).succeed()
    lines = shown.split()
    assert all(line.startswith("plain,") for line in lines), shown
    return [line.removeprefix("plain,") for line in lines]


def test_names_in_the_store_are_suggested(running: Processes, valkey: RealServer) -> None:
    """Queues, and tags that are limited; settings, commands and options need no store."""
    store = Store(valkey.url, settings.get_settings())
    Queues(store).pause("gpu")
    Limits(store.script).write("tag:db", "new", limit=1)
    store.close()
    running.environment |= {"MILLSTREAM_REDIS_URL": valkey.url}
    assert suggested(running, "queue", "resume", "g") == ["gpu"]
    assert suggested(running, "concurrency-limit", "inspect", "d") == ["db"]
    assert suggested(running, "config", "set", "crash") == ["crash_limit="]
    assert suggested(running, "wor") == ["worker"]
    assert suggested(running, "worker", "s") == ["start", "stop"]


def test_without_a_server_nothing_is_suggested_and_none_is_started(running: Processes, folder: Path) -> None:
    """Nor is anything said of it."""
    assert suggested(running, "queue", "resume", "") == []
    assert suggested(running, "queue", "resume", "", MILLSTREAM_REDIS_URL=f"unix://{folder}/nobody") == []
    assert not (folder / "home").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str, running: Processes, folder: Path) -> None:
    """One that the shell itself can read, where it is installed."""
    script = millstream("redis://nobody", "completion", shell)
    assert "_MILLSTREAM_COMPLETE" in script
    if shutil.which(shell):
        (folder / "script").write_text(script)
        running.start(shell, "-n", str(folder / "script")).succeed()
