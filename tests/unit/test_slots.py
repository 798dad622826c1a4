"""The slots of a child process: so many pieces of work at a time, and one that only waits does not count."""

import threading
from collections.abc import Callable

from millstream_worker.slots import Slots
from tests.harness import eventually


class Work:
    """Pieces of work that note that they have begun, and go on until they are told to end."""

    def __init__(self, size: int) -> None:
        self.slots: Slots[int] = Slots(size, self._do, self._note_lent)
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.lent = 0
        self.may_end: dict[int, threading.Event] = {}
        self.inside: Callable[[int], None] = lambda _: None
        self._lock = threading.Lock()

    def _do(self, piece: int) -> None:
        self.begun.append(piece)
        self.inside(piece)
        if piece in self.may_end:
            assert self.may_end[piece].wait(20)
        self.ended.append(piece)

    def _note_lent(self, step: int) -> None:
        with self._lock:
            self.lent += step

    def add(self, *pieces: int) -> None:
        """Add pieces that last until `end`."""
        self.may_end.update({piece: threading.Event() for piece in pieces})
        self.slots.add(list(pieces))

    def end(self, *pieces: int) -> None:
        for piece in pieces:
            self.may_end[piece].set()


def test_pieces_that_last_fill_all_slots_and_no_more() -> None:
    """The next begins when one has ended; all begin in the order in which they came."""
    work = Work(3)
    work.add(*range(5))
    eventually(lambda: len(work.begun) == 3)
    assert work.slots.has_waiting_work
    assert sorted(work.begun) == [0, 1, 2]
    work.end(1)
    eventually(lambda: 3 in work.begun)
    assert 4 not in work.begun
    work.end(0, 2, 3, 4)
    eventually(lambda: sorted(work.ended) == list(range(5)))
    assert not work.slots.has_waiting_work


def test_pieces_that_come_one_by_one_get_a_slot_each() -> None:
    """Also when those before them go on."""
    work = Work(3)
    for piece in range(3):
        work.add(piece)
        eventually(lambda piece=piece: piece in work.begun)
    work.end(0, 1, 2)
    eventually(lambda: len(work.ended) == 3)


def test_thousands_of_short_pieces_are_all_done_once() -> None:
    """By few threads or by many."""
    work = Work(8)
    for first in range(0, 5000, 100):
        work.slots.add(list(range(first, first + 100)))
    eventually(lambda: len(work.ended) == 5000)
    assert sorted(work.ended) == list(range(5000))


def test_pieces_from_several_threads_are_all_done() -> None:
    """Whoever adds them."""
    work = Work(2)
    adders = [threading.Thread(target=work.slots.add, args=([number],)) for number in range(50)]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join()
    eventually(lambda: sorted(work.ended) == list(range(50)))


def test_what_has_not_begun_can_be_taken_back() -> None:
    """In its order; it is never begun then."""
    work = Work(2)
    work.add(*range(6))
    eventually(lambda: len(work.begun) == 2)
    assert work.slots.take_back() == [2, 3, 4, 5]
    assert work.slots.take_back() == []
    work.end(0, 1)
    eventually(lambda: len(work.ended) == 2)
    work.add(9)
    work.end(9)
    eventually(lambda: work.ended[-1] == 9)
    assert sorted(work.begun) == [0, 1, 9]


def test_who_only_waits_lends_its_slot() -> None:
    """Another piece begins meanwhile, and the worker is told that there is room, and when there is none any more."""
    work = Work(1)
    answer = threading.Event()

    def wait_in_first(piece: int) -> None:
        if piece == 0:
            with work.slots.lend():
                assert answer.wait(20)

    work.inside = wait_in_first
    work.add(0, 1)
    eventually(lambda: work.begun == [0, 1])
    eventually(lambda: work.lent == 1)
    answer.set()
    eventually(lambda: work.lent == 0)
    work.end(0, 1)
    eventually(lambda: sorted(work.ended) == [0, 1])


def test_a_chain_of_pieces_that_wait_for_the_next_ends_on_one_slot() -> None:
    """However long: this is how a tree of tasks that wait for their children is walked."""
    work = Work(1)
    done = [threading.Event() for _ in range(51)]

    def wait_for_next(piece: int) -> None:
        if piece < 50:
            work.slots.add([piece + 1])
            with work.slots.lend():
                assert done[piece + 1].wait(20)
        done[piece].set()

    work.inside = wait_for_next
    work.slots.add([0])
    assert done[0].wait(20)
    eventually(lambda: work.ended == list(range(50, -1, -1)))
    assert work.lent == 0


def test_nested_waits_lend_one_slot() -> None:
    """A thread has only one to give."""
    work = Work(1)
    seen: list[int] = []

    def wait_twice(_: int) -> None:
        with work.slots.lend():
            with work.slots.lend():
                seen.append(work.lent)
            seen.append(work.lent)
        seen.append(work.lent)

    work.inside = wait_twice
    work.slots.add([0])
    eventually(lambda: work.ended == [0])
    assert seen == [1, 1, 0]


def test_a_thread_of_somebody_else_has_no_slot_to_lend() -> None:
    """Such as one that a task started."""
    work = Work(1)
    with work.slots.lend():
        assert work.lent == 0


def test_a_slot_comes_back_after_an_exception_in_a_wait() -> None:
    """Such as a time-out: nothing stays lent."""
    work = Work(1)

    def fail_to_wait(piece: int) -> None:
        try:
            with work.slots.lend():
                raise TimeoutError(piece)
        except TimeoutError:
            pass

    work.inside = fail_to_wait
    work.slots.add([0, 1, 2])
    eventually(lambda: sorted(work.ended) == [0, 1, 2])
    assert work.lent == 0


def test_closed_slots_end_their_threads() -> None:
    """Each after the piece that it does; what was not begun is not done."""
    before = set(threading.enumerate())
    work = Work(1)
    work.add(0, 1)
    eventually(lambda: work.begun == [0])
    work.slots.close()
    work.end(0)
    eventually(lambda: set(threading.enumerate()) <= before)
    assert (work.begun, work.ended) == ([0], [0])
