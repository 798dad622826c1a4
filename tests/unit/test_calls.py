"""Commands on the shortest way, `calls.py`: each gets its own answer, whatever becomes of connections."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import ResponseError

from millstream_shared import connections
from millstream_shared.calls import Calls
from tests.harness.servers import RealServer


class Interrupted(BaseException):
    """Raised by a signal in the midst of a call."""


@pytest.fixture
def calls(valkey: RealServer) -> Iterator[Calls]:
    client = connections.connect(valkey.url)
    calls = Calls(client)
    yield calls
    calls.close()
    client.close()


def connections_of(valkey: RealServer) -> set[str]:
    """The ids of all connections to the server but the one that asks."""
    client = valkey.client()
    mine = str(client.client_id())
    return {each["id"] for each in client.client_list()} - {mine}


def test_calls_go_over_one_connection(valkey: RealServer, calls: Calls) -> None:
    """One after the other, also when the server has refused one."""
    before = connections_of(valkey)
    for number in range(10):
        assert calls.call("ECHO", number) == str(number).encode()
        with pytest.raises(ResponseError, match="unknown command"):
            calls.call("NOTHING")
    assert len(connections_of(valkey) - before) == 1


def test_threads_get_their_own_answers(calls: Calls) -> None:
    """However many of them call at once."""

    def echo(number: int) -> list[bytes]:
        return [calls.call("ECHO", f"{number}-{turn}") for turn in range(50)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(echo, range(8)))
    assert answers == [[f"{number}-{turn}".encode() for turn in range(50)] for number in range(8)]


def test_a_connection_that_was_closed_while_idle_is_replaced(
    valkey: RealServer, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As servers do with those that are idle for long: the next call does not fail of it."""
    before = connections_of(valkey)
    calls.call("PING")
    [idle] = connections_of(valkey) - before
    valkey.client().client_kill_filter(_id=idle)
    later = time.monotonic() + 1.1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert calls.call("ECHO", "there") == b"there"


def test_an_interrupted_call_leaves_no_answer_to_the_next(calls: Calls) -> None:
    """The connection that waits for it is given up."""

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        with pytest.raises(Interrupted):
            calls.call("BLPOP", "nothing", 0.4)
        assert [calls.call("ECHO", number) for number in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


def test_a_forked_process_does_not_use_its_parents_connection(valkey: RealServer, calls: Calls) -> None:
    """Each would take the other's answers."""
    before = connections_of(valkey)
    calls.call("PING")
    [parents] = connections_of(valkey) - before
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(writing, str(calls.call("CLIENT", "ID")).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    own = os.read(reading, 64).decode()
    assert own
    assert own != parents
    assert calls.call("CLIENT", "ID") == int(parents)
