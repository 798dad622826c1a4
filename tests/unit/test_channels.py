"""The channel between a worker and its child: whole messages in order, and a worker that never waits."""

import socket
import threading
from collections.abc import Iterator

import pytest

from millstream_worker.channels import ChildEnd, ParentEnd
from tests.harness import eventually

Ends = tuple[ParentEnd, ChildEnd, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Both ends, and the child's socket, which the operating system closes when the child dies."""
    ours, theirs = socket.socketpair()
    parent = ParentEnd(ours)
    yield parent, ChildEnd(theirs), theirs
    parent.close()
    theirs.close()


def read_all(parent: ParentEnd, count: int) -> list:
    """The next messages at the worker's end, once there are `count`."""
    found: list = []

    def enough() -> bool:
        messages, _ = parent.receive()
        found.extend(messages)
        return len(found) >= count

    eventually(enough)
    return found


def test_messages_arrive_whole_and_in_order(ends: Ends) -> None:
    """Both ways, small and of several megabytes, with bytes in them."""
    parent, child, theirs = ends
    messages = [["run", [["id", 1, False, b"\x00" * size]]] for size in (0, 10, 300_000, 4_000_000, 1)]
    arrived: list = []
    reader = threading.Thread(target=lambda: arrived.extend(child.messages()))
    reader.start()
    for kind, content in messages:
        parent.send(kind, content)
    eventually(lambda: parent.flush() or not parent.has_unsent)
    eventually(lambda: len(arrived) == len(messages))
    assert arrived == messages
    writer = threading.Thread(target=lambda: [child.send(kind, content) for kind, content in messages])
    writer.start()
    assert read_all(parent, len(messages)) == messages
    writer.join()
    parent.close()
    reader.join(10)
    assert not reader.is_alive()
    assert theirs.fileno() >= 0


def test_a_child_that_does_not_read_holds_nobody_up(ends: Ends) -> None:
    """What its socket does not take is kept, and goes when there is room."""
    parent, child, _ = ends
    for number in range(100):
        parent.send("run", [number, b"x" * 100_000])
    assert parent.has_unsent
    arrived, numbers = child.messages(), []
    for _ in range(100):
        parent.flush()
        numbers.append(next(arrived)[1][0])
    assert numbers == list(range(100))
    assert not parent.has_unsent


def test_nothing_said_is_nothing_heard(ends: Ends) -> None:
    """And the child is still there."""
    assert ends[0].receive() == ([], True)


def last_words(parent: ParentEnd) -> list:
    """All that a dead child said, until its death shows."""
    found: list = []

    def is_dead() -> bool:
        messages, alive = parent.receive()
        found.extend(messages)
        return not alive

    eventually(is_dead)
    return found


def test_what_a_child_said_before_its_death_is_heard(ends: Ends) -> None:
    """Then that it is dead; what is sent to it is forgotten."""
    parent, child, theirs = ends
    child.send("done", [1])
    theirs.close()
    assert last_words(parent) == [["done", [1]]]
    parent.send("run", b"x" * 1_000_000)
    assert not parent.has_unsent
    assert parent.receive() == ([], False)


def test_a_torn_message_of_a_dead_child_is_not_heard(ends: Ends) -> None:
    """It died while it spoke: half a message is none."""
    parent, child, theirs = ends
    child.send("done", [1])
    theirs.send(b"\x92\xa4do")
    theirs.close()
    assert last_words(parent) == [["done", [1]]]


def test_a_child_ends_when_its_worker_is_gone(ends: Ends) -> None:
    """Its messages come to an end, and what it still says goes nowhere."""
    parent, child, _ = ends
    parent.send("give back", None)
    parent.close()
    assert list(child.messages()) == [["give back", None]]
    child.send("done", b"x" * 1_000_000)


def test_threads_of_a_child_do_not_mix_their_messages(ends: Ends) -> None:
    """Each arrives whole, though larger than the socket takes at once."""
    parent, child, _ = ends

    def speak(number: int) -> None:
        for _ in range(5):
            child.send("done", bytes((number,)) * 300_000)

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    contents = [content for _, content in read_all(parent, 20)]
    for thread in threads:
        thread.join()
    assert sorted(content[0] for content in contents) == sorted(list(range(4)) * 5)
    assert all(content == content[:1] * 300_000 for content in contents)
