"""The tools of the tests: what they must catch, they catch."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from millstream_shared import keys as names
from tests.harness import eventually, keys, processes, servers


def test_eventually_returns_what_came():
    """The first true answer is returned, however often the answer was no."""
    answers = iter([None, 0, "", "yes"])
    assert eventually(lambda: next(answers)) == "yes"


def test_eventually_gives_up_with_the_reason():
    """What was still not so at the end is what the test fails with."""

    def check() -> bool:
        assert 1 == 2, "one is not two"
        return True

    with pytest.raises(AssertionError, match="one is not two"):
        eventually(check, timeout=0.01)


def test_eventually_lets_an_error_through():
    """Only a failed assertion is "not yet": a broken check must not look like a slow program."""
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 / 0)


@pytest.fixture
def spoiled(valkey: servers.RealServer):
    """A server on which a test may leave what it likes."""
    client = valkey.client()
    yield valkey, client
    client.flushall()
    client.close()


def test_the_audit_passes_what_may_stay(spoiled):
    """A key with an expiry, and the permanent ones, are no reason to complain."""
    server, client = spoiled
    client.set("anything", 1, ex=60)
    client.hset(names.COUNTERS, "refused", 1)
    client.sadd("rq:queues", "rq:queue:default")
    keys.audit(server)


def test_the_audit_finds_a_key_without_end(spoiled):
    """A key that nothing will ever remove is named."""
    server, client = spoiled
    client.set("ms:forgotten", 1)
    with pytest.raises(AssertionError, match="ms:forgotten"):
        keys.audit(server, work_may_be_left=True, patience=0)


def test_the_audit_finds_work_that_was_left(spoiled):
    """A job that is still queued is named, unless the test means to leave it."""
    server, client = spoiled
    client.lpush("rq:queue:default", "a-run")
    keys.audit(server, work_may_be_left=True)
    with pytest.raises(AssertionError, match="rq:queue:default"):
        keys.audit(server, patience=0)


def test_a_real_server_keeps_its_data_when_killed(server):
    """`kill -9` and a new start: what it had confirmed is there. One in memory cannot be killed, only asked."""
    client = server.client()
    client.set("seen", "yes", ex=60)
    if isinstance(server, servers.RealServer):
        before = server.pid
        server.restart()
        assert server.pid != before
    assert client.get("seen") == b"yes"
    client.close()


def test_the_store_reaches_each_kind_of_server(store):
    """The fixture's store is connected."""
    store.ping()


def test_a_process_left_behind_is_found_and_ended(folder):
    """A grandchild that outlives its parent fails the test, and does not outlive that."""
    left = "import subprocess, sys\nchild = subprocess.Popen(['sleep', '1000'], cwd='/', start_new_session=True)\n"
    started = processes.Processes(folder)
    started.python(left + "print(child.pid)").wait()
    (pid,) = started.alive()
    with pytest.raises(AssertionError, match="sleep 1000"):
        started.end(timeout=0.1)
    with pytest.raises(ProcessLookupError):
        eventually(lambda: os.kill(pid, 0))


def test_a_process_that_ends_early_is_not_waited_for(running):
    """Waiting for words that cannot come any more fails at once, with what it did say."""
    with pytest.raises(AssertionError, match="nothing of that kind"):
        running.python("print('nothing of that kind')").says("something else", timeout=60)


def test_exit_codes_and_signals_are_seen(running):
    """How a process ended is what the system says."""
    assert running.python("raise SystemExit(3)").wait() == 3
    asleep = running.python("print('up', flush=True); import signal; signal.pause()")
    asleep.says("up")
    asleep.send(signal.SIGTERM)
    assert asleep.wait() == -signal.SIGTERM


def test_the_testers_own_settings_are_not_seen(running):
    """Neither this process nor those it starts see the home or the Redis of whoever runs the tests."""
    assert os.environ["MILLSTREAM_HOME"].startswith(os.environ["HOME"])
    assert "MILLSTREAM_REDIS_URL" not in os.environ
    shown = running.python("import os; print(sorted(name for name in os.environ if name.startswith('MILLSTREAM_')))")
    assert shown.succeed() == "['MILLSTREAM_HOME', 'MILLSTREAM_TEST_PROCESS']\n"


def test_a_mark_without_a_reason_is_refused(folder):
    """Whoever leaves work behind says why."""
    (folder / "test_it.py").write_text("import pytest\n@pytest.mark.leaves_work\ndef test_it(): pass\n")
    root = str(Path(__file__).parents[2])
    options = ["-q", "-p", "tests.conftest", "--rootdir", root, "-c", f"{root}/pyproject.toml"]
    command = [sys.executable, "-m", "pytest", *options, str(folder / "test_it.py")]
    outcome = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert "leaves_work needs a reason" in outcome.stdout + outcome.stderr
