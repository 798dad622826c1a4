"""When a child process is worn, and how another takes its place: ready before the old one goes, which ends its runs."""

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from millstream_shared import errors
from millstream_worker.children import ChildProcess

_SECONDS_BETWEEN_MEASURES = 1.0
_SECONDS_TO_EXIT = 5.0
_TOO_MUCH = 1.5
"""How many times its memory limit a child may take before it is killed instead of drained."""


@dataclass(frozen=True, slots=True)
class Wear:
    """What a child process is good for: how many runs it is given, about, and how much memory it may take, in bytes.

    None: no limit. Raises ConfigurationError for a limit of memory where this system does not say what processes take.
    """

    most_runs: int | None = None
    most_memory: int | None = None

    def __post_init__(self) -> None:
        if self.most_memory is not None and measure_memory(os.getpid()) is None:
            raise errors.ConfigurationError("--max-memory needs Linux, whose /proc says what a process takes.")

    @property
    def is_limited(self) -> bool:
        """Whether anything can wear a child out."""
        return self.most_runs is not None or self.most_memory is not None

    def say_worn(self, child: ChildProcess) -> str | None:
        """Why the child has to be replaced, in words; None if it has not. One that was given nothing is not worn."""
        if not child.taken:
            return None
        if self.most_runs is not None and child.taken >= self.most_runs:
            return f"it was given {child.taken:,} runs"
        if self.most_memory is not None and child.memory > self.most_memory:
            return f"it takes {_megabytes(child.memory)}, more than {_megabytes(self.most_memory)}"
        return None

    def is_half_worn(self, child: ChildProcess) -> bool:
        """Whether it is time to start the one that is to follow."""
        return self.most_runs is not None and child.taken * 2 >= self.most_runs

    def say_excess(self, child: ChildProcess) -> str | None:
        """Why the child has to be killed; None if it has not. One that does nothing is only replaced."""
        if self.most_memory is None or child.memory <= self.most_memory * _TOO_MUCH or not child.claims:
            return None
        return f"it was killed as it took {_megabytes(child.memory)}, {_TOO_MUCH:g} times what --max-memory allows"


class Succession:
    """Who takes whose place in a crew. `start` adds a child to it, `part` takes one out of it.

    One child after the other is replaced, so that no more than one is started beside those that work.
    """

    def __init__(
        self, wear: Wear, start: Callable[[], ChildProcess | None], part: Callable[[ChildProcess], None]
    ) -> None:
        self._wear = wear
        self._start = start
        self._part = part
        self._spare: ChildProcess | None = None
        self._departed: list[ChildProcess] = []
        self._measure_at = -math.inf if wear.most_memory is not None else math.inf

    @property
    def next_tending(self) -> float:
        """When to look again at the latest, by the monotonic clock, if nothing else happens."""
        return min(self._measure_at, time.monotonic() + 0.5 if self._departed else math.inf)

    def take_spare(self) -> bool:
        """Have the successor that was started, if there is one, take the place of a child that has died."""
        spare, self._spare = self._spare, None
        if spare is None:
            return False
        spare.is_spare = False
        spare.is_open = spare.is_ready
        return True

    def forget(self, child: ChildProcess) -> bool:
        """The child has died; whether it was only the successor of another."""
        if child is not self._spare:
            return False
        self._spare = None
        return True

    def find_excessive(self, children: Sequence[ChildProcess]) -> list[tuple[ChildProcess, str]]:
        """Children that have to be killed, and why; measures all of them if it is time to."""
        if time.monotonic() < self._measure_at:
            return []
        self._measure_at = time.monotonic() + _SECONDS_BETWEEN_MEASURES
        for child in children:
            child.memory = measure_memory(child.pid) or 0
        return [(child, reason) for child in children if (reason := self._wear.say_excess(child))]

    def go_on(self, children: Sequence[ChildProcess], most: int) -> list[str]:
        """Replace the next worn child, if its successor is ready, or start that; at most `most` go at a time.

        Gives why a child was replaced, if one was.
        """
        self.dismiss(children)
        serving = [child for child in children if not child.is_leaving and not child.is_spare]
        if self._spare is None:
            leaving = sum(child.is_leaving for child in children)
            wanted = any(self._wear.say_worn(child) or self._wear.is_half_worn(child) for child in serving)
            if wanted and leaving < most and all(child.is_ready for child in serving):
                self._spare = self._start()
                if self._spare:
                    self._spare.is_spare = True
        elif self._spare.is_ready:
            for child in serving:
                if reason := self._wear.say_worn(child):
                    self.take_spare()
                    child.leave()
                    self.dismiss([child])
                    return [reason]
        return []

    def dismiss(self, children: Sequence[ChildProcess]) -> None:
        """Let go of those that are to leave and have ended what they had; see to it that they exit."""
        for child in children:
            if child.is_leaving and not child.claims:
                self._part(child)
                child.left_at = time.monotonic()
                self._departed.append(child)
        late = time.monotonic() - _SECONDS_TO_EXIT
        for child in list(self._departed):
            if not child.has_exited and child.left_at < late:
                child.kill()
            if child.has_exited:
                self._departed.remove(child)

    def end(self) -> None:
        """Kill those that were let go and are still there."""
        for child in self._departed:
            child.kill()
        self._departed.clear()
        self._spare = None


def measure_memory(pid: int) -> int | None:
    """Bytes of memory that a process has; None if it has ended, or the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return None


def _megabytes(size: int) -> str:
    return f"{size / 1024**2:,.0f} MB"
