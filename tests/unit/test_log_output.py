"""Log lines on standard error, `log_output.py`: threads do not wait for each other, and each line is there once."""

import fcntl
import io
import logging
import os
import signal
import sys
import termios
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TextIO

import pytest

from millstream.log_output import StderrHandler
from tests.harness.waiting import eventually

_PIPE_BYTES = 1 << 16


class Reader:
    """Reads what is written to standard error, only when it is asked to."""

    def __init__(self, end: TextIO) -> None:
        self._end = end

    @property
    def waiting_bytes(self) -> int:
        found = array("i", [0])
        fcntl.ioctl(self._end, termios.FIONREAD, found)
        return found[0]

    def lines(self, count: int) -> list[str]:
        """What the next `count` lines say, behind their times and levels."""
        return [self._end.readline().rstrip("\n").split(" | ", 2)[2] for _ in range(count)]


@contextmanager
def standard_error_in_a_pipe() -> Iterator[Reader]:
    read_end, write_end = os.pipe()
    with (
        open(read_end, encoding="utf-8") as end,
        open(write_end, "w", encoding="utf-8", buffering=1) as written,
        redirect_stderr(written),
    ):
        yield Reader(end)


@pytest.fixture
def logger() -> logging.Logger:
    logger = logging.Logger("millstream.unit")
    logger.addHandler(StderrHandler())
    return logger


def in_thread(function: object, *args: object) -> threading.Thread:
    thread = threading.Thread(target=function, args=args, daemon=True)  # pyright: ignore[reportArgumentType]
    thread.start()
    return thread


def stuck(logger: logging.Logger, reader: Reader) -> threading.Thread:
    """A thread that is writing more than the pipe takes."""
    thread = in_thread(logger.info, "x" * 2 * _PIPE_BYTES)
    eventually(lambda: reader.waiting_bytes == _PIPE_BYTES)
    return thread


def test_lines_of_threads_are_whole_and_in_order(logger: logging.Logger) -> None:
    """However many log at once."""
    with standard_error_in_a_pipe() as reader:
        threads, each = 8, 300
        for number in range(threads):
            in_thread(lambda number: [logger.info("%d %d", number, turn) for turn in range(each)], number)
        lines = [tuple(map(int, line.split())) for line in reader.lines(threads * each)]
        for number in range(threads):
            assert [line for line in lines if line[0] == number] == [(number, turn) for turn in range(each)]


def test_a_thread_does_not_wait_for_another_ones_write(logger: logging.Logger) -> None:
    """It leaves its line to that one."""
    with standard_error_in_a_pipe() as reader:
        writer = stuck(logger, reader)
        other = in_thread(logger.info, "of the other")
        other.join(10)
        assert not other.is_alive()
        assert writer.is_alive()
        assert reader.lines(2)[1] == "of the other"


def test_lines_do_not_pile_up_when_nobody_reads_them(logger: logging.Logger) -> None:
    """After a hundred, threads wait until they are written; none is lost."""
    with standard_error_in_a_pipe() as reader:
        stuck(logger, reader)
        logged: list[int] = []

        def log() -> None:
            for number in range(2000):
                logger.info("%d", number)
                logged.append(number)

        other = in_thread(log)
        other.join(1)
        assert other.is_alive()
        assert 90 <= len(logged) <= 110
        assert reader.lines(2001)[1:] == [str(number) for number in range(2000)]
        other.join(10)


def test_a_thread_writes_for_others_only_for_a_while(logger: logging.Logger) -> None:
    """Also beside one that always logs the next line before the last one is written."""
    written, left, enough = threading.Event(), threading.Event(), threading.Event()

    class Overtaken(io.StringIO):
        """Is not done with a line before another one is left to who writes it, or nobody leaves any more."""

        def write(self, text: str) -> int:
            written.set()
            left.wait(0.5)
            left.clear()
            return len(text)

    def chatter() -> None:
        while not enough.is_set():
            written.wait()
            written.clear()
            logger.info("chatter")
            left.set()

    with redirect_stderr(Overtaken()):
        chatty = in_thread(chatter)
        other = in_thread(logger.info, "now and then")
        other.join(20)
        got_on = not other.is_alive()
        enough.set()
        written.set()
        chatty.join(20)
        other.join(20)
    assert got_on


def test_flushing_waits_for_what_others_write(logger: logging.Logger) -> None:
    """So at the end of a program all its lines are there."""
    with standard_error_in_a_pipe() as reader:
        stuck(logger, reader)
        logger.info("left to that thread")
        flushing = in_thread(logger.handlers[0].flush)
        flushing.join(0.2)
        assert flushing.is_alive()
        assert reader.lines(2)[1] == "left to that thread"
        flushing.join(10)
        assert not flushing.is_alive()


def test_a_forked_process_does_not_repeat_lines_of_its_parent(logger: logging.Logger, tmp_path: Path) -> None:
    """A line that was left to another thread is written by that thread alone, and the fork can log."""
    with standard_error_in_a_pipe() as reader:
        stuck(logger, reader)
        logger.info("of the parent")
        child = os.fork()
        if child == 0:
            sys.stderr = open(tmp_path / "child.log", "w", encoding="utf-8")  # noqa: SIM115
            logger.info("of the child")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert (tmp_path / "child.log").read_text().endswith("| of the child\n")
        assert (tmp_path / "child.log").read_text().count("\n") == 1
        assert reader.lines(2)[1] == "of the parent"


def test_a_signals_handler_may_log(logger: logging.Logger) -> None:
    """Also while its thread writes a line: that one goes on with the other."""
    with standard_error_in_a_pipe() as reader:
        handled: list[int] = []
        found: list[str] = []
        enough = threading.Event()

        def handler(*_: object) -> None:
            handled.append(len(handled))
            logger.info("of the handler")

        def signals() -> None:
            while not enough.wait(0.001):
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

        def read() -> None:
            found.extend(iter(lambda: reader.lines(1)[0], "the end"))

        before = signal.signal(signal.SIGUSR1, handler)
        reading, signalling = in_thread(read), in_thread(signals)
        for _ in range(10_000):
            logger.info("of the program")
        enough.set()
        signalling.join(10)
        signal.signal(signal.SIGUSR1, before)
        logger.info("the end")
        reading.join(10)
        assert handled
        assert found.count("of the program") == 10_000
        assert found.count("of the handler") == len(handled)


def test_a_line_that_cannot_be_written_hurts_no_other(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is told of as logging tells of it, and names the line."""
    with open(tmp_path / "ascii", "w", encoding="ascii") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        logger.info("before")
        logger.info("%s\xe9", "caf")
        logger.info("%d", "no number")
        logger.info("after")
    said = (tmp_path / "ascii").read_text()
    assert said.index("| before\n") < said.index("UnicodeEncodeError") < said.index("TypeError: %d format")
    assert said.endswith("| after\n")


def test_lines_go_to_what_standard_error_is_now(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs replace it."""
    for number in range(2):
        replaced = io.StringIO()
        monkeypatch.setattr(sys, "stderr", replaced)
        logger.info("%d", number)
        assert replaced.getvalue().endswith(f"| {number}\n")
