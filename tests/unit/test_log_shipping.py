"""How lines of runs are gathered in a process and sent: in batches, within bounds, never in anybody's way."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from millstream import log_shipping
from millstream.log_shipping import Shipper
from millstream_shared import errors, logs, settings
from millstream_shared.logs import Batch
from tests.harness import eventually

A, B = "ab" * 16, "cd" * 16


class Carrier:
    """Takes what it is sent, as long as it has room; fails as often as it is told to."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.calls: list[int] = []
        self.failures = 0
        self.room = threading.Event()
        self.room.set()

    def has_room(self, timeout: float | None) -> bool:
        return self.room.wait(timeout)

    def send(self, batches: list[Batch]) -> None:
        if self.failures:
            self.failures -= 1
            raise errors.RedisUnavailable("redis://somewhere", "it is away")
        self.calls.append(sum(batch.size for batch in batches))
        self.batches += batches

    def lines_of(self, run_id: str) -> list[str]:
        chunks = [chunk for batch in self.batches if batch.run_id == run_id for chunk in batch.chunks]
        return [text for chunk in chunks for _, _, text in logs.unpack(chunk)]

    def logged(self, run_id: str) -> int:
        return sum(batch.logged for batch in self.batches if batch.run_id == run_id)


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


@pytest.fixture
def shipper(carrier: Carrier) -> Iterator[Shipper]:
    made = Shipper(carrier)
    yield made
    carrier.room.set()
    made.close()


def log(shipper: Shipper, run_id: str, *texts: str, parent: str | None = None) -> None:
    for at, text in enumerate(texts):
        shipper.add(run_id, "the run", parent, (float(at), logging.INFO, text))


def test_lines_are_sent_a_moment_after_they_were_logged(shipper: Shipper, carrier: Carrier) -> None:
    """By a thread of its own, in order; the first has its time with it."""
    log(shipper, A, "one", "two", "three")
    eventually(lambda: carrier.lines_of(A) == ["one", "two", "three"])
    log(shipper, A, "four")
    eventually(lambda: carrier.lines_of(A)[3:] == ["four"])
    assert [(batch.name, batch.first, batch.logged) for batch in carrier.batches] == [
        ("the run", 0, 3),
        ("the run", 0, 1),
    ]
    assert len({batch.mark for batch in carrier.batches}) == 2


def test_names_are_made_fit_to_travel(shipper: Shipper, carrier: Carrier) -> None:
    """Those that are, stay as they are."""
    for run_id, name in ((A, "caf\u00e9"), (B, "half \ud800")):
        shipper.add(run_id, name, None, (1.0, 20, "line"))
    assert shipper.flush(None, 1)
    assert [batch.name for batch in carrier.batches] == ["caf\u00e9", "half ?"]


def test_no_thread_is_there_before_the_first_line() -> None:
    """What logs nothing pays nothing."""
    before = set(threading.enumerate())
    shipper = Shipper(Carrier())
    assert shipper.flush(None, 1)
    assert set(threading.enumerate()) <= before


def test_the_oldest_lines_of_a_run_that_logs_much_are_dropped(shipper: Shipper, carrier: Carrier) -> None:
    """And counted; nobody else's are."""
    carrier.room.clear()
    log(shipper, B, "a quiet run")
    log(shipper, A, *(str(number) for number in range(5000)))
    carrier.room.set()
    assert shipper.flush(None, 5)
    # Some may have been packed before the others came.
    assert carrier.lines_of(A)[-1000:] == [str(number) for number in range(4000, 5000)]
    assert carrier.logged(A) == 5000
    assert carrier.lines_of(B) == ["a quiet run"]


def test_memory_is_bounded_however_many_runs_log(shipper: Shipper, carrier: Carrier) -> None:
    """They share it: who logs little keeps all of it."""
    carrier.room.clear()
    log(shipper, "0" * 32, "little")
    for number in range(1, 50):
        log(shipper, f"{number:032x}", *["x" * 8000] * 1000)
    waiting = sum(run.size for run in shipper._runs.values())
    assert waiting < 5 * log_shipping._MOST_BYTES_WAITING
    carrier.room.set()
    assert shipper.flush(None, 10)
    assert carrier.lines_of("0" * 32) == ["little"]
    assert carrier.logged("0" * 31 + "1") == 1000
    assert max(carrier.calls) < 2 * log_shipping._MOST_BYTES_AT_ONCE


def test_a_flush_can_be_of_some_runs(shipper: Shipper, carrier: Carrier) -> None:
    """And of those that they called. A run that logs much is not sent oftener because others end."""
    log(shipper, A, "its own")
    log(shipper, B, "of a task that it called", parent=A)
    log(shipper, "ef" * 16, "of a task that that called", parent=B)
    log(shipper, "12" * 16, "of another run")
    assert shipper.flush([A], 1)
    assert [batch.run_id for batch in carrier.batches] == [A, B, "ef" * 16]
    eventually(lambda: carrier.lines_of("12" * 16))


def test_nobody_waits_long_for_a_carrier_without_room(shipper: Shipper, carrier: Carrier) -> None:
    """The first flush waits for as long as it may, the next not at all, until something could be sent again."""
    carrier.room.clear()
    log(shipper, A, "one")
    assert not shipper.flush([A], 0.01)
    log(shipper, A, "two")
    assert not shipper.flush([A], 30)
    carrier.room.set()
    eventually(lambda: carrier.lines_of(A) == ["one", "two"])
    log(shipper, A, "three")
    assert shipper.flush([A], 30)


def test_lines_that_cannot_be_sent_are_lost_with_one_warning(
    shipper: Shipper, carrier: Carrier, caplog: pytest.LogCaptureFixture
) -> None:
    """No error reaches the code that logs. They are counted."""
    carrier.failures = 2
    log(shipper, B, "lost for good")
    for text in ("one", "two", "three"):
        log(shipper, A, text)
        assert shipper.flush(None, 1)
    assert not shipper._runs
    assert (carrier.lines_of(A), carrier.logged(A)) == (["three"], 3)
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "millstream.logs"]
    assert warning.startswith("Lines of runs are not kept, 2 for now: No answer from Redis")


def test_a_line_does_no_harm_where_no_thread_can_be_started(
    shipper: Shipper, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the end of a program; a flush sends it."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    log(shipper, A, "one")
    assert shipper.flush(None, 1)
    assert carrier.lines_of(A) == ["one"]


def test_when_all_lines_were_dropped_that_is_still_told(carrier: Carrier) -> None:
    """With a number, and no chunk."""
    shipper = Shipper(carrier)
    shipper._share = 10
    log(shipper, A, "x")
    log(shipper, A, *["x" * 1000] * 3)
    shipper._share = 10
    log(shipper, A, *["x" * 1000] * 3)
    assert shipper.flush(None, 1)
    assert (carrier.lines_of(A), carrier.logged(A) >= 3) == ([], True)
    shipper.close()


def test_lines_are_held_where_they_cannot_be_sent() -> None:
    """Until somebody takes those of his runs, or there is a way to send them; those nobody takes are few."""
    shipper, carrier = Shipper(None), Carrier()
    log(shipper, A, "mine", "too")
    log(shipper, B, "not mine")
    taken = shipper.take([A, "ef" * 16])
    assert [(batch.run_id, batch.logged) for batch in taken] == [(A, 2)]
    assert shipper.flush(None, 1)
    shipper.use(carrier)
    shipper.add_ready(taken)
    assert shipper.flush(None, 1)
    assert (carrier.lines_of(A), carrier.lines_of(B)) == (["mine", "too"], ["not mine"])
    held = Shipper(None)
    for number in range(3000):
        log(held, f"{number:032x}", "forgotten")
    assert len(held.take([f"{number:032x}" for number in range(3000)])) == 1000
    shipper.close()


def test_a_signal_handler_may_log(shipper: Shipper, carrier: Carrier) -> None:
    """Also one that comes while the thread it interrupts is logging."""
    seen = 0

    def handler(*_: Any) -> None:
        nonlocal seen
        seen += 1
        log(shipper, B, f"signal {seen}")

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        while seen < 50:
            log(shipper, A, "line")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert shipper.flush(None, 5)
    assert carrier.logged(B) == seen


def test_a_fork_sends_nothing_of_its_parent(carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines go to stderr alone, unless it comes to have means of its own; the parent's are sent once."""
    monkeypatch.setattr(log_shipping, "_shipper", None)
    assert log_shipping.begin(carrier)
    log_shipping.add(A, "the run", None, (1.0, 20, "before"))
    child = os.fork()
    if child == 0:
        log_shipping.add(A, "the run", None, (2.0, 20, "in the fork"))
        os._exit(0 if log_shipping.flush() and log_shipping.begin(Carrier()) else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    log_shipping.end(timeout=5)
    assert carrier.lines_of(A) == ["before"]


def test_the_first_to_offer_a_way_is_used(carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a child process of a worker, which may come to have a session of its own. Not if the settings say no."""
    monkeypatch.setattr(log_shipping, "_shipper", None)
    monkeypatch.setenv("MILLSTREAM_LOGS_TO_REDIS", "0")
    settings.get_settings.cache_clear()
    assert not log_shipping.begin(carrier)
    log_shipping.add(A, "the run", None, (1.0, 20, "unwanted"))
    monkeypatch.setenv("MILLSTREAM_LOGS_TO_REDIS", "1")
    settings.get_settings.cache_clear()
    log_shipping.hold()
    log_shipping.add(A, "the run", None, (1.0, 20, "held"))
    assert log_shipping.begin(carrier)
    assert not log_shipping.begin(Carrier())
    log_shipping.end(timeout=5)
    assert carrier.lines_of(A) == ["held"]
    assert log_shipping.flush()
