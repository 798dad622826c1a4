"""Taking slots of concurrency limits, as steps: for `concurrency(...)`, `rate_limit(...)` and runs with tags."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from millstream import context, drivers, runs, sessions, waiting
from millstream.chores import Chore
from millstream_shared import errors, limits
from millstream_shared.limits import Answer
from millstream_shared.states import State

if TYPE_CHECKING:
    from millstream.runs import TaskRun
    from millstream.slots import Ticket

_logger: Final = logging.getLogger("millstream.concurrency")
SHORTEST_LEASE: Final = 60.0
_warned: set[str] = set()


@dataclass(frozen=True, slots=True)
class Wish:
    """What a program asked for; see `concurrency`."""

    names: tuple[str, ...]
    occupy: int = 1
    timeout_seconds: float | None = None
    may_wait: bool = True
    lease_seconds: float = 0.0
    strict: bool = False

    @classmethod
    def of(
        cls,
        names: str | Sequence[str],
        occupy: int,
        timeout_seconds: float | None,
        strict: bool,
        max_retries: int | None = None,
        lease_duration: float = 300.0,
    ) -> "Wish":
        """The arguments of a call. Raises TypeError or ValueError for those that make no sense."""
        listed = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
        for name in listed:
            limits.check_name(name)
        if not isinstance(occupy, int) or isinstance(occupy, bool) or occupy < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"occupy is a number of slots, one or more; got {occupy!r}.")
        waiting.check_timeout(timeout_seconds)
        if max_retries is not None and max_retries < 0:
            raise ValueError(f"max_retries is 0 or more, or None; got {max_retries!r}.")
        if lease_duration < SHORTEST_LEASE:
            raise ValueError(f"lease_duration is {SHORTEST_LEASE:g} seconds or more; got {lease_duration!r}.")
        # Nobody polls: a slot is handed over, so the first retry is the one that succeeds.
        return cls(listed, occupy, timeout_seconds, max_retries != 0, lease_duration, strict)


def taken(wish: Wish) -> drivers.Steps["Ticket | None"]:
    """Take the slots; the ticket by which they are given back, or None where there is nothing to give back.

    Raises ConcurrencySlotAcquisitionError for what cannot be had, TimeoutError when time is up.
    """
    if not wish.names:
        return None
    deadline = None if wish.timeout_seconds is None else time.monotonic() + wish.timeout_seconds
    ticket = _ticket(wish.names, _who(), wish)
    try:
        answer = yield from _answered(ticket, wish.timeout_seconds)
        if answer is None:
            raise TimeoutError(f"No slots of {_listed(wish.names)} within {wish.timeout_seconds:g} seconds.")
        _check(answer, wish)
        if answer.decaying:
            yield from _waited_for(answer.decaying, wish, deadline)
    except BaseException as error:
        yield from drivers.closing(error, given_back(ticket))
        raise
    return ticket if answer.holds else None


def given_back(ticket: "Ticket | None") -> drivers.Steps[None]:
    """Give back what a ticket holds."""
    if ticket is not None:
        yield Chore(_give_back, (ticket,))


def check_kept(ticket: "Ticket | None") -> None:
    """Raise ConcurrencySlotAcquisitionError if slots were lost that had to be kept."""
    if ticket is not None and ticket.is_lost and ticket.request.strict:
        raise errors.ConcurrencySlotAcquisitionError(ticket.request.names, "they were lost while they were held")


def rated(wish: Wish) -> drivers.Steps[None]:
    """Take slots that come back with time. Raises as `taken`, and for a limit whose slots do not."""
    if wish.names:
        deadline = None if wish.timeout_seconds is None else time.monotonic() + wish.timeout_seconds
        yield from _waited_for(wish.names, wish, deadline)


# --- for runs with tags -----------------------------------------------------------------------------------------------


def begun(run: "TaskRun") -> drivers.Steps["Ticket | State[Any] | None"]:
    """Take what the limits on the tags of a run ask for, before it begins in this process.

    Gives the ticket; None if no limit counts; a state if a limit of 0 never lets it begin. While it waits, the run is
    in the state AwaitingConcurrencySlot.
    """
    names = tuple(limits.of_tag(tag) for tag in sorted(run.tags) if limits.is_name(tag))
    if not names:
        return None
    ticket = _ticket(names, run.name, None, run.run_id)
    try:
        answer = yield from _answered(ticket, None, run)
    except BaseException as error:
        yield from drivers.closing(error, given_back(ticket))
        raise
    if answer and answer.verdict == "never":
        return limits.aborted(answer.about)
    return ticket if answer and answer.holds else None


# --- steps ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Answered:
    """An instruction: wait until the ticket has its last answer; whether it came within `timeout` seconds."""

    ticket: "Ticket"
    timeout: float | None

    def block(self) -> bool:
        return self.ticket.wait(self.timeout)

    async def suspend(self) -> bool:
        limit = asyncio.timeout(self.timeout)
        try:
            async with limit:
                await waiting.until_all((self.ticket.future,))
        except TimeoutError:
            if not limit.expired():
                raise
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Pause:
    """An instruction: wait for slots that come back, in the place where the run stands; nobody waits for it."""

    seconds: float

    def block(self) -> None:
        time.sleep(self.seconds)

    async def suspend(self) -> None:
        await asyncio.sleep(self.seconds)


def _answered(ticket: "Ticket", timeout: float | None, run: "TaskRun | None" = None) -> drivers.Steps[Answer | None]:
    answer = yield Chore(_ask, (ticket,))
    if answer.verdict == "waits":
        if run is not None:
            runs.enter(run, limits.awaiting(answer.about))
        if not (yield _Answered(ticket, timeout)):
            return None
        answer = ticket.answer
    return answer


def _waited_for(names: Sequence[str], wish: Wish, deadline: float | None) -> drivers.Steps[None]:
    left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
    longest = left if wish.may_wait else 0.0
    answer = yield Chore(_reserve, (names, wish.occupy, longest, wish.strict))
    if answer.verdict == "late" and wish.may_wait:
        raise TimeoutError(
            f"Slots of {_listed(names)} come back in {answer.seconds:g} seconds, not within {wish.timeout_seconds:g}."
        )
    _check(answer, wish)
    if answer.seconds > 0:
        try:
            yield _Pause(answer.seconds)
        except BaseException as error:
            yield from drivers.closing(error, _unused(names, wish.occupy))
            raise


def _unused(names: Sequence[str], occupy: int) -> drivers.Steps[None]:
    yield Chore(_reserve, (names, -occupy, None, False))


def _check(answer: Answer, wish: Wish) -> None:
    """Raise the error for what was refused; warn of limits that do not exist."""
    it = "it" if len(wish.names) == 1 else repr(answer.about)
    if answer.verdict == "missing":
        raise errors.ConcurrencySlotAcquisitionError(
            wish.names, f"{it} does not exist; make it by `millstream gcl create {answer.about} --limit N`"
        )
    if answer.verdict == "never":
        raise errors.ConcurrencySlotAcquisitionError(
            wish.names, f"{it} has fewer than the {wish.occupy} slots that are asked for"
        )
    if answer.verdict in ("full", "late"):
        raise errors.ConcurrencySlotAcquisitionError(
            wish.names, "none is free now, and max_retries=0 means not to wait"
        )
    if answer.verdict == "steady":
        raise errors.ConcurrencySlotAcquisitionError(
            wish.names,
            f"{it} gives none back with time: set slot_decay_per_second, or use concurrency()",
        )
    for name in answer.missing:
        if name not in _warned:
            _warned.add(name)
            advice = (
                "There is no concurrency limit %r, so nothing is limited. Make it: millstream gcl create %s --limit N"
            )
            _logger.warning(advice, name, name)


# --- what is done in the session --------------------------------------------------------------------------------------


def _ticket(names: Sequence[str], label: str, wish: Wish | None, id: str | None = None) -> "Ticket":
    # Here, as it brings the store: a program that takes no slots need not load it.
    from millstream.slots import Request, Ticket

    if wish is None:
        return Ticket(Request(tuple(names), label), id)
    request = Request(tuple(names), label, wish.occupy, wish.lease_seconds, wish.strict, wish.may_wait)
    return Ticket(request, id)


def _ask(ticket: "Ticket") -> Answer:
    return sessions.current().slots.ask(ticket)


def _give_back(ticket: "Ticket") -> None:
    sessions.current().slots.give_back(ticket)


def _reserve(names: Sequence[str], occupy: int, longest: float | None, strict: bool) -> Answer:
    return sessions.current().slots.limits.reserve(names, occupy, longest=longest, strict=strict)


def _who() -> str:
    """Who asks, for people who look at a limit."""
    innermost = context.current()
    if isinstance(innermost, context.TaskRunContext):
        return innermost.task_run.name
    if innermost is not None:
        return innermost.flow_run.name
    return f"{Path(sys.argv[0]).name or 'python'} (process {os.getpid()})"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
