"""Asking a server for a sign of life."""

import socket
import threading

from millstream.embedded import pings


def test_a_running_server_answers(valkey):
    """A ping is answered, and INFO comes back by field."""
    assert pings.ping(valkey.socket)
    assert pings.read_info(valkey.socket)["redis_version"]


def test_nobody_there_is_no_answer(folder):
    """A socket that does not exist, or that nobody listens on any more, is a plain no."""
    assert not pings.ping(folder / "absent")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "left"))
    assert not pings.ping(folder / "left")
    assert pings.read_info(folder / "left") == {}


def test_a_frozen_server_is_given_up_on(valkey):
    """A server that takes the question and never answers costs the time-out, no more."""
    valkey.pause()
    assert not pings.ping(valkey.socket, timeout=0.05)
    assert pings.read_info(valkey.socket, timeout=0.05) == {}
    valkey.resume()


def test_a_server_that_still_loads_is_not_ready(folder):
    """An error for an answer means: not yet."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        listener.settimeout(5)

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(64)
                connection.sendall(b"-LOADING the data\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert not pings.ping(folder / "s")
        thread.join()
