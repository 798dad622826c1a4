"""Bad input on the queue: each has its named error, where the user can act, and nothing else is hurt."""

import json
import re
import socket
import time
from collections.abc import Iterator

import pytest

from tests.acceptance.test_worker_faults import start_worker
from tests.harness import eventually
from tests.harness.processes import Processes
from tests.harness.servers import RealServer, find_valkey

PROGRAM = '''
import json, sys, threading
from millstream import flow, task
from millstream.futures import wait
from millstream.exceptions import *

class Stubborn(Exception):
    """Pickles, but cannot be made again: its constructor wants two arguments."""
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")

class Unsendable(Exception):
    def __init__(self):
        super().__init__("has a lock")
        self.lock = threading.Lock()

@task
def good(x):
    return x

@task
def gives_a_lock():
    return threading.Lock()

@task
def raises(kind):
    raise Stubborn(1, 2) if kind == "stubborn" else Unsendable()

@task
def two(x, y):
    return x + y

def told(call):
    try:
        return ["no error", repr(call())]
    except Exception as error:
        return [type(error).__name__, str(error)]

@flow
def lock_as_argument():
    return told(lambda: two.submit(1, y=threading.Lock()))

@flow
def lock_in_a_map():
    return told(lambda: good.map([1, threading.Lock()]))

@flow
def lock_in_a_closure():
    lock = threading.Lock()
    @task
    def uses_the_lock():
        return lock
    return told(lambda: uses_the_lock.submit())

@flow
def lock_as_result():
    return told(lambda: gives_a_lock.submit().result())

@flow
def stubborn():
    return told(lambda: raises.submit("stubborn").result())

@flow
def unsendable():
    return told(lambda: raises.submit("unsendable").result())

@flow
def unequal_map():
    return told(lambda: two.map([1, 2], [3]))

@flow
def nothing_to_map():
    return told(lambda: two.map(1, "abc"))

@flow
def missing_argument():
    return told(lambda: two.submit(1))

@flow
def afterwards():
    return good.map(range(3)).result()

if __name__ == "__main__":
    found = {}
    for name in sys.argv[1:]:
        found[name] = globals()[name]()
        assert afterwards() == [0, 1, 2]
    print(json.dumps(found))
'''

CASES = {
    "lock_as_argument": ("UnpicklableArgument", ["'y'", "'two'", "lock"]),
    "lock_in_a_map": ("UnpicklableArgument", ["'x'", "'good'"]),
    "lock_in_a_closure": ("UnpicklableArgument", ["'uses_the_lock'", "function"]),
    "lock_as_result": ("UnpicklableResult", ["'gives_a_lock'", "lock"]),
    "stubborn": ("RemoteError", ["Stubborn: 1 and 2", "in raises"]),
    "unsendable": ("RemoteError", ["Unsendable: has a lock", "in raises"]),
    "unequal_map": ("MappingLengthMismatch", ["x has 2", "y has 1"]),
    "nothing_to_map": ("MappingMissingIterable", ["Nothing to map over"]),
    "missing_argument": ("ParameterBindError", ["'y'"]),
}

# What is done to a payload, and what is said of it.
DAMAGES = [
    (lambda payload: payload[:2] + bytes([9]) + payload[3:], "version 9"),
    (lambda payload: payload[:-5], "torn"),
    (lambda payload: payload[:60] + bytes([payload[60] ^ 1]) + payload[61:], "torn"),
    (lambda _: b"garbage", "not a millstream payload"),
    (lambda payload: payload[:4] + b"\0" * 16 + payload[20:], "torn"),
]


@pytest.fixture
def served(running: Processes, valkey: RealServer) -> Processes:
    running.environment |= {"MILLSTREAM_REDIS_URL": valkey.url, "MILLSTREAM_LOGGING_LEVEL": "CRITICAL"}
    start_worker(running, "--processes", "1", MILLSTREAM_LOGGING_LEVEL="INFO")
    return running


def test_what_cannot_be_sent_is_told_by_name(served: Processes) -> None:
    """What cannot travel, either way, raises an error that names it; the next flow runs as if nothing had been."""
    found = json.loads(served.python(PROGRAM, *CASES).succeed(30).splitlines()[-1])
    for case, (error, words) in CASES.items():
        name, message = found[case]
        assert (case, name) == (case, error)
        assert [word for word in words if word not in message] == [], case


def test_a_function_that_the_worker_cannot_import_fails_by_name(served: Processes, valkey: RealServer) -> None:
    """A task of a module that the worker does not have: the future raises FunctionUnavailable and names the module."""
    library = served.folder / "library"
    library.mkdir()
    (library / "only_here.py").write_text("from millstream import task\n\n@task\ndef f():\n    return 1\n")
    script = f"""
import sys
sys.path.insert(0, {str(library)!r})
import only_here
from millstream import flow
from millstream.exceptions import FunctionUnavailable

@flow
def main():
    try:
        only_here.f.submit().result()
    except FunctionUnavailable as error:
        print("told:", error)

main()
"""
    output = served.python(script).succeed()
    assert "told: Cannot load 'only_here:f'" in output
    assert "No module named 'only_here'" in output
    assert valkey.client().llen("rq:queue:default") == 0


def test_a_damaged_payload_is_refused_by_name(running: Processes, valkey: RealServer) -> None:
    """Bytes of another version, torn or altered ones end that run as Crashed with the reason; its neighbours run."""
    running.environment |= {"MILLSTREAM_REDIS_URL": valkey.url, "MILLSTREAM_LOGGING_LEVEL": "CRITICAL"}
    script = running.python("""
import json
from millstream import flow, task
from millstream.futures import wait
from millstream.exceptions import PayloadRefused
@task
def good(x):
    return x
def told(future):
    try:
        return future.result()
    except PayloadRefused as error:
        return f"{future.state.name}: {error}"
@flow
def main():
    futures = good.map(range(7))
    wait(futures)
    return [told(future) for future in futures]
print(json.dumps(main()))
""")
    client = valkey.client()
    ids = eventually(lambda: queued if len(queued := client.lrange("rq:queue:default", 0, -1)) == 7 else None)
    for run_id, (damage, _) in zip(ids[1:], DAMAGES, strict=False):
        job = f"rq:job:{run_id.decode()}"
        client.hset(job, "payload", damage(client.hget(job, "payload")))
    start_worker(running, "--processes", "1", MILLSTREAM_LOGGING_LEVEL="INFO")
    first, *refused, last = json.loads(script.succeed().splitlines()[-1])
    assert (first, last) == (0, 6)
    for message, (_, reason) in zip(refused, DAMAGES, strict=True):
        assert message.startswith("Crashed: ")
        assert reason in message


def test_unsigned_payloads_are_refused_by_a_worker_with_a_key(running: Processes, valkey: RealServer) -> None:
    """With a signing key, what is signed with it runs, and what is not ends as refused."""
    running.environment |= {"MILLSTREAM_REDIS_URL": valkey.url, "MILLSTREAM_LOGGING_LEVEL": "CRITICAL"}
    start_worker(running, "--processes", "1", MILLSTREAM_SIGNING_KEY="secret", MILLSTREAM_LOGGING_LEVEL="INFO")
    script = """
from millstream import flow, task
@task
def good(x):
    return x
@flow
def main():
    future = good.submit(41)
    future.wait()
    print("state:", future.state)
main()
"""
    assert "state: Completed()" in running.python(script, MILLSTREAM_SIGNING_KEY="secret").succeed()
    assert "not signed" in running.python(script).succeed()
    assert "signature is wrong" in running.python(script, MILLSTREAM_SIGNING_KEY="other").succeed()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "unix:///nowhere/socket", "redis://:secret@127.0.0.1:1/0"])
def test_a_redis_that_is_not_there_is_named_within_seconds(running: Processes, url: str) -> None:
    """A wrong address gives its name and what to do, without the password, in a few seconds, for flows and workers."""
    script = "from millstream import flow\n@flow\ndef main():\n    pass\nmain()\n"
    began = time.monotonic()
    flow = running.python(script, MILLSTREAM_REDIS_URL=url)
    worker = running.cli("worker", "start", MILLSTREAM_REDIS_URL=url)
    assert flow.wait(15) == 1
    assert worker.wait(15) == 1
    assert time.monotonic() - began < 10
    for output in (flow.output, worker.output):
        assert url.replace(":secret@", "") in output
        assert "MILLSTREAM_REDIS_URL" in output
        assert "secret" not in output
    assert "Traceback" not in worker.output


@pytest.fixture
def closed_port() -> Iterator[int]:
    """The port of a server that wants a password; it is `right`, also for the user `reader`, who may only read."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    server = RealServer(find_valkey(), port=str(port), bind="127.0.0.1").start()
    client = server.client()
    client.execute_command("ACL", "SETUSER", "reader", "on", ">right", "~*", "+ping", "+hello", "+@read")
    client.config_set("requirepass", "right")
    yield port
    server.discard()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://127.0.0.1:{port}", "client already authenticated|Authentication required"),
        ("redis://:wrong@127.0.0.1:{port}", "username-password"),
        ("redis://reader:right@127.0.0.1:{port}", "no permissions"),
    ],
    ids=["no password", "another password", "too few rights"],
)
def test_a_redis_that_refuses_is_named(running: Processes, closed_port: int, url: str, said: str) -> None:
    """Without a password, with a wrong one, or as a user who may not do enough: one line says what to set."""
    worker = running.cli("worker", "start", MILLSTREAM_REDIS_URL=url.format(port=closed_port))
    assert worker.wait(15) == 1
    assert re.search(said, worker.output)
    assert "set MILLSTREAM_REDIS_URL with a user and password" in worker.output
    assert "Traceback" not in worker.output


@pytest.mark.parametrize(
    ("name", "value"),
    [("MILLSTREAM_LEASE_SECONDS", "soon"), ("MILLSTREAM_REDIS_URL", "http://x"), ("MILLSTREAM_LOGGING_LEVEL", "loud")],
)
def test_a_setting_that_does_not_fit_is_named(running: Processes, name: str, value: str) -> None:
    """A wrong environment variable is told by its name or its value, in one line, before anything starts."""
    worker = running.cli("worker", "start", **{name: value})
    assert worker.wait(15) == 1
    assert name in worker.output
    assert value in worker.output
    assert "Traceback" not in worker.output
