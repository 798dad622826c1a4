"""The embedded server in real processes: there while somebody uses it, gone without a trace when nobody does."""

import os
import re
import shutil
import signal
import stat
import sys
from pathlib import Path

import pytest
import redis

from millstream import embedded
from millstream.embedded import homes, pings, supervisor
from tests.harness import eventually, processes, servers

USE = """
import sys
from pathlib import Path
from millstream import embedded

print("url", embedded.ensure_server(Path(sys.argv[1])), flush=True)
"""
USE_AND_STAY = USE + "import signal; signal.pause()\n"
LEFT_ON_DISK = {"appendonlydir", "server.log", "supervisor.log", "server.lock", "supervisor.lock", "users.lock"}


@pytest.fixture
def home(folder: Path) -> homes.Home:
    """Where the server of the test lives."""
    return homes.describe_home(folder / "home")


@pytest.fixture
def stay(running: processes.Processes, home: homes.Home):
    """Starts a process that uses the server and stays until it is ended; returns once its server answers."""

    def start() -> processes.Process:
        process = running.python(USE_AND_STAY, str(home.path))
        process.says("url")
        return process

    return start


def nothing_left(running: processes.Processes, home: homes.Home) -> bool:
    assert running.alive() == {}
    assert set(os.listdir(home.path)) <= LEFT_ON_DISK
    return True


def supervisor_pid(home: homes.Home) -> int:
    return eventually(home.supervisor_pid)


def server_pid(home: homes.Home) -> int:
    return eventually(home.server_pid)


def connect(home: homes.Home) -> redis.Redis:
    return redis.Redis.from_url(home.url)


def test_history_that_is_over_is_not_kept_for_ever(running, stay, home):
    """However short its servers live, the file holds what is in the data, not all that ever happened to it."""
    files = home.path / "appendonlydir"
    sizes = []
    for _ in range(2):
        # The second time it is enough for the file to be written anew: at the end, or by the server itself before that,
        # which then appends what came meanwhile.
        process = stay()
        with connect(home).pipeline(transaction=False) as pipeline:
            for number in range(35_000):
                pipeline.set("changing", f"{number:0100}")
            pipeline.execute()
        sizes.append(sum(file.stat().st_size for file in files.iterdir()))
        process.kill()
        eventually(lambda: nothing_left(running, home))
    assert sizes[0] > 4_000_000
    assert sum(file.stat().st_size for file in files.iterdir()) < sizes[0] / 2
    stay()
    assert connect(home).get("changing") == f"{34_999:0100}".encode()


def test_is_private_and_keeps_history(stay, home):
    """Only its owner reaches the server, over a socket alone, and it appends all it is told to a file."""
    stay()
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.socket.stat().st_mode) == 0o700
    with connect(home) as client:
        settings = client.config_get("port", "appendonly", "appendfsync", "save", "maxmemory-policy")
    assert settings == {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }


def test_ends_with_its_only_user(running, home):
    """When the script ends, so does the server, and only data, logs and empty locks stay."""
    running.python(USE, str(home.path)).succeed()
    eventually(lambda: nothing_left(running, home))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_ends_however_its_user_ends(running, stay, home, number):
    """A closed terminal and `kill -9` leave no more behind than a script that ran to its end."""
    user = stay()
    user.send(number)
    user.wait()
    eventually(lambda: nothing_left(running, home))


USE_UNTIL_CTRL_C = """
import signal, sys
from pathlib import Path
from millstream import embedded
from millstream.embedded import pings

embedded.ensure_server(Path(sys.argv[1]))
try:
    print("waiting", flush=True)
    signal.pause()
except KeyboardInterrupt:
    print("answers:", pings.ping(Path(sys.argv[2])))
"""


def test_ctrl_c_is_for_the_script_alone(running, home):
    """The server does not get the terminal's Ctrl-C: the script can still use it while it cleans up."""
    user = running.python(USE_UNTIL_CTRL_C, str(home.path), str(home.socket))
    user.says("waiting")
    server = server_pid(home)
    user.interrupt()
    assert "answers: True" in user.succeed()
    eventually(lambda: nothing_left(running, home))
    assert f"server {server} ended, exit code 0" in (home.path / "supervisor.log").read_text()


def test_ends_when_its_user_ignores_signals(running, home):
    """A program under `nohup`, or one that ignores signals, does not pass that on to the server."""
    ignore = (
        "import signal\nfor number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "    signal.signal(number, signal.SIG_IGN)\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
    )
    running.python(ignore + USE, str(home.path)).succeed()
    eventually(lambda: nothing_left(running, home))


def test_is_shared_and_outlives_who_started_it(stay, home):
    """The process that started the server may go: the others keep it."""
    first, _second = stay(), stay()
    server = server_pid(home)
    first.kill()
    third = stay()
    assert server_pid(home) == server
    assert third.runs
    assert pings.ping(home.socket)


def test_is_kept_by_a_forked_child(running, home):
    """A child that a user forked keeps the server after its parent was killed."""
    parent = running.python(
        USE
        + "import os, signal\n"
        + "if not os.fork():\n    print('child', os.getpid(), flush=True)\nsignal.pause()\n",
        str(home.path),
    )
    child = int(parent.says_like(r"child (\d+)\n")[1])
    parent.kill()
    with connect(home) as client:
        assert client.ping()
    os.kill(child, signal.SIGKILL)
    eventually(lambda: nothing_left(running, home))


def test_keeps_its_history(running, home):
    """What one server was told, the next one in the same home knows."""
    write = "import redis; redis.Redis.from_url('unix://' + sys.argv[1] + '/server.sock').set('seen', 'yes')\n"
    read = "import redis; print(redis.Redis.from_url('unix://' + sys.argv[1] + '/server.sock').get('seen'))\n"
    running.python(USE + write, str(home.path)).succeed()
    eventually(lambda: nothing_left(running, home))
    assert "b'yes'" in running.python(USE + read, str(home.path)).succeed()


def test_another_make_of_server_reads_the_history(running, home, folder):
    """Who installs Redis later keeps what the bundled Valkey had written, and the other way round."""
    command = "import redis; print(redis.Redis.from_url('unix://' + sys.argv[1] + '/server.sock').incr('starts'))\n"
    with_redis = str(Path(servers.find_redis()).parent)
    without = folder / "empty"
    without.mkdir()
    for number, path in enumerate([str(without), with_redis, str(without)], start=1):
        assert f"\n{number}\n" in running.python(USE + command, str(home.path), PATH=path).succeed()
        eventually(lambda: nothing_left(running, home))


def test_comes_back_when_it_crashes(stay, home):
    """A killed server is back in a moment, at the same address and with its data."""
    stay()
    with connect(home) as client:
        client.set("seen", "yes")
    crashed = server_pid(home)
    os.kill(crashed, signal.SIGKILL)
    eventually(lambda: server_pid(home) != crashed and pings.ping(home.socket))
    with connect(home) as client:
        assert client.get("seen") == b"yes"


def test_survives_the_kill_of_its_supervisor(stay, home):
    """With its supervisor killed, the next `ensure_server` brings up a new pair on the same data."""
    stay()
    with connect(home) as client:
        client.set("seen", "yes")
    first = supervisor_pid(home)
    os.kill(first, signal.SIGKILL)
    stay()
    assert supervisor_pid(home) != first
    with connect(home) as client:
        assert client.get("seen") == b"yes"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell a child of its parent's death")
def test_no_server_outlives_its_supervisor(running, stay, home):
    """With its supervisor killed, the server ends by itself: nobody would end it otherwise."""
    user = stay()
    os.kill(supervisor_pid(home), signal.SIGKILL)
    eventually(lambda: set(running.alive()) == {user.pid})


def test_two_servers_never_share_the_data(running, stay, home):
    """A server that outlives its supervisor, here because it is frozen, must be gone before the next one starts."""
    stay()
    frozen = server_pid(home)
    os.kill(frozen, signal.SIGSTOP)
    os.kill(supervisor_pid(home), signal.SIGKILL)
    newcomer = running.python(USE_AND_STAY, str(home.path))
    eventually(lambda: "waiting for the server" in (home.path / "supervisor.log").read_text())
    assert server_pid(home) == frozen
    os.kill(frozen, signal.SIGCONT)
    newcomer.says("url")
    assert server_pid(home) != frozen


def test_no_server_stays_whose_users_cannot_be_known(running, home):
    """A supervisor that cannot open the lock of the users, as their home was deleted meanwhile, ends its server."""
    home.path.mkdir()
    (home.path / supervisor.USERS_LOCK).mkdir()
    lock_of_supervisor = "0"
    server = str(servers.find_valkey())
    begun = running.start(sys.executable, "-I", "-S", supervisor.__file__, str(home.path), server, lock_of_supervisor)
    eventually(lambda: re.search(r"server \d+ ended", begun.output))
    eventually(lambda: running.alive() == {})


def test_a_server_that_hangs_is_killed(running, stay, home):
    """A frozen server ends no more gently: after some seconds it is killed, by its own or by the next supervisor."""
    user = stay()
    os.kill(server_pid(home), signal.SIGSTOP)
    os.kill(supervisor_pid(home), signal.SIGKILL)
    running.python(USE, str(home.path)).succeed()
    os.kill(server_pid(home), signal.SIGSTOP)
    user.kill()
    eventually(lambda: nothing_left(running, home))


def test_who_comes_while_it_ends_gets_a_new_one(running, stay, home):
    """A process that joins while the server is being ended waits, and is served by the next one."""
    last = stay()
    ending = server_pid(home)
    os.kill(ending, signal.SIGSTOP)
    last.kill()
    newcomer = running.python(USE_AND_STAY, str(home.path))
    os.kill(ending, signal.SIGCONT)
    newcomer.says("url")
    with connect(home) as client:
        assert client.ping()


COME_AND_GO = """
import os, random, signal, socket, sys, time
from pathlib import Path
from millstream import embedded

home, chance = Path(sys.argv[1]), random.Random(sys.argv[2])
for visit in range(3):
    if os.fork():
        ended = os.wait()[1]
        assert ended in (0, signal.SIGKILL), ended
        continue
    time.sleep(chance.random() * 0.1)
    embedded.ensure_server(home)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(home / "server.sock"))
        for _ in range(chance.randrange(40)):
            connection.sendall(b"PING\\r\\n")
            assert connection.recv(64) == b"+PONG\\r\\n"
            time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL) if chance.random() < 0.5 else os._exit(0)
"""


def test_any_number_may_come_and_go_at_once(running, home):
    """Processes that come and go, half of them killed, each find a live server for as long as they stay."""
    for number in range(10):
        crowd = [running.python(COME_AND_GO, str(home.path), f"{number}-{member}") for member in range(6)]
        for process in crowd:
            process.succeed()
    eventually(lambda: nothing_left(running, home))
    assert "giving up" not in (home.path / "supervisor.log").read_text()


def test_says_why_it_does_not_start(running, home):
    """Data that the server cannot read ends in one error that shows the server's own reason."""
    running.python(USE, str(home.path)).succeed()
    eventually(lambda: nothing_left(running, home))
    (home.path / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    user = running.python(USE, str(home.path))
    assert user.wait() == 1
    assert "does not start" in user.output
    assert "server.log" in user.output
    eventually(lambda: nothing_left(running, home))


def test_is_left_on_request(folder):
    """A process that goes on without the server can leave it, and come back to a new one."""
    home = homes.describe_home(folder / "home")
    for _ in range(2):
        assert embedded.ensure_server(home.path) == home.url
        assert pings.ping(home.socket)
        embedded.leave_server(home.path)
        eventually(lambda: not home.socket.exists())


def test_a_deleted_home_is_made_anew(folder):
    """Deleting the folder of a running server is forgiven: there is a new server, and the old one ends."""
    home = homes.describe_home(folder / "home")
    embedded.ensure_server(home.path)
    old = server_pid(home)
    shutil.rmtree(home.path)
    embedded.ensure_server(home.path)
    assert server_pid(home) != old
    eventually(lambda: not Path(f"/proc/{old}/cwd").exists())
    assert pings.ping(home.socket)
    embedded.leave_server(home.path)
    eventually(lambda: not home.socket.exists())
