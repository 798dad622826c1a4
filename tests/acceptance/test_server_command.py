"""`millstream server`: what a person sees and does."""

import os
import re
import signal

import pytest

from millstream.embedded import homes, pings
from tests.harness import eventually, processes

USE_AND_STAY = """
import signal
from pathlib import Path
from millstream import embedded
from millstream_shared import settings

embedded.ensure_server(settings.get_settings().home)
print("using it", flush=True)
signal.pause()
"""


@pytest.fixture
def home(folder) -> homes.Home:
    """Where the server of the test lives."""
    return homes.describe_home(folder / "home")


@pytest.fixture(autouse=True)
def _stopped(running: processes.Processes):
    """A kept server is left by nobody but who stops it."""
    yield
    running.cli("server", "stop", "--force").succeed()


def test_a_started_server_outlives_its_users(running, home):
    """After `start` it runs without users, users come and go, and `stop` ends it."""
    assert home.url in running.cli("server", "start").succeed()
    user = running.python(USE_AND_STAY)
    user.says("using it")
    pid = home.server_pid()
    user.kill()
    assert pings.ping(home.socket)
    assert home.server_pid() == pid
    assert running.cli("server", "stop").succeed() == "stopped\n"
    eventually(lambda: running.alive() == {})
    assert not home.socket.exists()


def test_start_keeps_a_server_that_runs_already(running, home):
    """A server that a script has started is the one that is kept."""
    user = running.python(USE_AND_STAY)
    user.says("using it")
    pid = home.server_pid()
    running.cli("server", "start").succeed()
    running.cli("server", "start").succeed()
    user.kill()
    running.python(USE_AND_STAY).says("using it")
    assert home.server_pid() == pid


def test_stop_respects_those_who_use_it(running, home):
    """It says how many use the server and leaves it to them, unless it is told not to mind."""
    users = [running.python(USE_AND_STAY) for _ in range(2)]
    for user in users:
        user.says("using it")
    refused = running.cli("server", "stop")
    assert refused.wait() == 1
    assert re.fullmatch(r"Error: 2 processes use the server in .*--force\.\n", refused.output)
    assert pings.ping(home.socket)
    assert running.cli("server", "stop", "--force").succeed() == "stopped\n"
    assert not pings.ping(home.socket)


def test_a_refused_stop_lets_the_server_be_kept(running):
    """A stop that did not happen changes nothing: the server still outlives its users."""
    running.cli("server", "start").succeed()
    user = running.python(USE_AND_STAY)
    user.says("using it")
    assert running.cli("server", "stop").wait() == 1
    user.kill()
    assert "ends      with `millstream server stop`" in running.cli("server", "status").succeed()


def test_stop_of_a_stopped_server_is_no_error(running):
    """There is nothing to do, and that is said."""
    assert running.cli("server", "stop").succeed() == "it was not running\n"


def test_status_shows_how_it_does(running, home):
    """One look says where it is, who uses it, what it takes, and when it will end."""
    running.python(USE_AND_STAY).says("using it")
    shown = running.cli("server", "status").succeed()
    assert shown.startswith("running\n")
    assert home.url in shown
    assert re.search(rf"process +{home.server_pid()}\n", shown)
    assert re.search(r"version +(Valkey|Redis) \d+\.\d+", shown)
    assert re.search(r"used by +1 process\n", shown)
    assert re.search(r"memory +[\d.]+ [KM]iB\n", shown)
    assert "with the last process that uses it" in shown


def test_status_of_a_stopped_server(running, home):
    """It says so, exits with 3 as a service would, and starts nothing."""
    status = running.cli("server", "status")
    assert status.wait() == 3
    assert status.output.startswith("not running\n")
    assert not home.path.exists()


def test_status_of_a_server_that_hangs(running, home):
    """A server that is there and silent is told from one that is not there."""
    running.python(USE_AND_STAY).says("using it")
    pid = home.server_pid()
    os.kill(pid, signal.SIGSTOP)
    status = running.cli("server", "status")
    assert status.wait() == 1
    assert status.output.startswith("running, but it does not answer\n")
    os.kill(pid, signal.SIGCONT)


def test_says_when_another_redis_is_configured(running):
    """Who set MILLSTREAM_REDIS_URL learns that this is not the server his programs use."""
    status = running.cli("server", "status", MILLSTREAM_REDIS_URL="redis://elsewhere:6379")
    status.wait()
    assert "MILLSTREAM_REDIS_URL is set" in status.output


def test_an_error_is_one_line(running, folder):
    """A home that cannot be is named in one line, without a traceback."""
    (folder / "file").touch()
    refused = running.cli("server", "start", MILLSTREAM_HOME=str(folder / "file"))
    assert refused.wait() == 1
    assert re.fullmatch(r"Error: The folder .*MILLSTREAM_HOME.*\n", refused.output)


def test_version_is_quick_to_say(running):
    """`millstream version` names the version and loads none of the other commands."""
    said = running.cli("version").succeed()
    assert re.fullmatch(r"millstream \d+\.\d+\.\d+ \(Python 3\.\d+\.\d+\S*\)\n", said)
    assert running.cli("--version").succeed() == said


def test_a_command_that_cannot_be_loaded_spoils_no_other(running, folder):
    """A broken command of another package is shown as such; the rest works."""
    package = folder / "broken-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[millstream.commands]\nbroken = absent_module:command\n")
    shown = running.cli("--help", PYTHONPATH=str(folder)).succeed()
    assert re.search(r"broken +\(cannot be loaded\)", shown)
    assert "version" in shown
    broken = running.cli("broken", "--anything", "x", PYTHONPATH=str(folder))
    assert broken.wait() == 1
    assert "absent_module" in broken.output
