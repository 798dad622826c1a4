"""The slots of concurrency limits that code of this process holds or waits for."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from millstream import waiting
from millstream.futures import Future
from millstream_shared import errors, states
from millstream_shared.limits import Answer, Limits
from millstream_shared.store import Store

_logger: Final = logging.getLogger("millstream.concurrency")
_SECONDS_BETWEEN_LOOKS: Final = 1.0
_PATIENCE_PER_LENDER: Final = 0.1


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: `occupy` slots of each of the limits `names`, of all or of none.

    `label` says to people who asks. With `lease_seconds` the slots have a lease of their own, renewed as long as this
    process lives; with 0 they have that of the process. `strict`: all of the limits have to exist.
    """

    names: tuple[str, ...]
    label: str
    occupy: int = 1
    lease_seconds: float = 0.0
    strict: bool = False
    may_wait: bool = True


class Ticket:
    """One request on its way. `answer` is the latest known; `future` is done when somebody who waits has the last one.

    `is_lost`: the slots were lost while they were held. `on_loss` is called, in a thread of ours, if that is noticed
    before they are given back.
    """

    __slots__ = ("answer", "closed", "future", "id", "is_lost", "lock", "on_loss", "renew_at", "request")

    def __init__(self, request: Request, id: str | None = None) -> None:
        self.request = request
        self.id = id or os.urandom(16).hex()
        self.future: Future[None] = Future(self.id, request.label)
        self.answer: Answer | None = None
        self.closed = self.is_lost = False
        self.on_loss: Callable[[], object] | None = None
        self.renew_at = 0.0
        # Asking and giving back must not cross on their way to the server.
        self.lock = threading.RLock()

    def wait(self, timeout: float | None) -> bool:
        """Block until there is an answer; False if that takes longer than `timeout` seconds."""
        return _wait_and_lend(self.future, timeout)


class Slots:
    """Asks for slots under the lease of a process. The watcher calls `hear` and `tend`."""

    def __init__(self, store: Store, owner: str) -> None:
        self.limits = Limits(store.script)
        self._store = store
        self._owner = owner
        self._waiting: dict[str, Ticket] = {}
        self._leased: dict[str, Ticket] = {}
        self._look_at = 0.0

    def ask(self, ticket: Ticket) -> Answer:
        """Ask for what the ticket wants. If the verdict is `waits`, its future tells when there is another."""
        if ticket.request.may_wait:
            # Before it is asked: the note that it has its slots may come before the answer that it has to wait.
            self._waiting[ticket.id] = ticket
        answer = self._ask(ticket)
        if answer.verdict != "waits":
            self._waiting.pop(ticket.id, None)
        return answer

    def give_back(self, ticket: Ticket) -> None:
        """Give back what the ticket holds, or stop waiting. Can be called at any time, also twice.

        If the slots were lost meanwhile and nobody has noticed, that is said now.
        """
        self._waiting.pop(ticket.id, None)
        with ticket.lock:
            if ticket.closed:
                return
            ticket.closed = True
            # Not so after a fork, in the child: the parent holds them.
            is_held_here = self._leased.pop(ticket.id, None) is not None
            answer = ticket.answer
            # Without an answer it is not known what became of the question.
            if answer is None or answer.holds or answer.verdict == "waits":
                outages = self._store.outages
                is_lost = bool(self.limits.free(self._owner, [ticket.id]))
                # A call that was made again may find that its first try has freed them, and only the answer was lost.
                if is_lost and is_held_here and self._store.outages == outages:
                    self._lose(ticket)

    @property
    def is_waiting(self) -> bool:
        """Whether there is anything to hear."""
        return bool(self._waiting)

    def hear(self, told: Mapping[str, bytes]) -> None:
        """Take the notes that are for us from what came into the inbox."""
        for id in self._waiting.keys() & told.keys():
            ticket = self._waiting.get(id)
            if ticket is None:
                continue
            if told[id] == b"slot":
                self._grant(ticket)
            else:
                self._ask_again(ticket)

    def tend(self) -> None:
        """To be called about every second: a note may have been lost, a lease has to be renewed."""
        now = time.monotonic()
        if self._waiting and now >= self._look_at:
            self._look_at = now + _SECONDS_BETWEEN_LOOKS
            self._look(list(self._waiting))
        due = [ticket for ticket in list(self._leased.values()) if now >= ticket.renew_at]
        if due:
            self._renew(due, now)

    def _look(self, ids: Sequence[str]) -> None:
        for id, state in self.limits.stand(self._owner, ids).items():
            ticket = self._waiting.get(id)
            if ticket is None or state == "w":
                continue
            if state == "h":
                self._grant(ticket)
            else:
                self._ask_again(ticket)

    def _renew(self, due: Sequence[Ticket], now: float) -> None:
        lost = set(self.limits.extend(self._owner, [(ticket.id, ticket.request.lease_seconds) for ticket in due]))
        for ticket in due:
            ticket.renew_at = now + ticket.request.lease_seconds / 3
            if ticket.id in lost and self._leased.pop(ticket.id, None):
                self._lose(ticket)
                if ticket.on_loss:
                    ticket.on_loss()

    def _lose(self, ticket: Ticket) -> None:
        ticket.is_lost = True
        _logger.warning(
            "The slots of %s in %r are lost: this process was silent for too long, or the limit was reset.",
            ticket.request.label,
            ", ".join(ticket.request.names),
        )

    def _ask_again(self, ticket: Ticket) -> None:
        answer = self._ask(ticket)
        if answer.verdict == "taken":
            self._grant(ticket)
        elif answer.verdict != "waits":
            self._end(ticket)

    def _ask(self, ticket: Ticket) -> Answer:
        with ticket.lock:
            if not ticket.closed:
                try:
                    answer = self._acquire(ticket)
                except errors.LeaseLost:
                    # The process was silent for too long. It lives, and begins anew with what it asks for now.
                    self._store.take_lease(self._owner)
                    answer = self._acquire(ticket)
                ticket.answer = answer
                if answer.verdict == "taken":
                    self._keep(ticket)
        return ticket.answer or Answer("full")

    def _acquire(self, ticket: Ticket) -> Answer:
        wanted = ticket.request
        return self.limits.acquire(
            self._owner,
            ticket.id,
            wanted.names,
            label=wanted.label,
            occupy=wanted.occupy,
            lease_seconds=wanted.lease_seconds,
            strict=wanted.strict,
            may_wait=wanted.may_wait,
        )

    def _grant(self, ticket: Ticket) -> None:
        with ticket.lock:
            before = ticket.answer or Answer("taken")
            ticket.answer = Answer("taken", "", 0.0, before.missing, before.decaying, holds=True)
            if not ticket.closed:
                self._keep(ticket)
        self._end(ticket)

    def _keep(self, ticket: Ticket) -> None:
        if ticket.request.lease_seconds and ticket.answer and ticket.answer.holds:
            ticket.renew_at = time.monotonic() + ticket.request.lease_seconds / 3
            self._leased[ticket.id] = ticket

    def _end(self, ticket: Ticket) -> None:
        self._waiting.pop(ticket.id, None)
        ticket.future.complete(states.Completed(data=None))


_lenders = 0
_lenders_lock = threading.Lock()


def _wait_and_lend(future: Future[None], timeout: float | None) -> bool:
    """Wait for a future; the calling thread's slot is lent to other runs meanwhile, if there are few who do that.

    Without lending, one who holds a limit's slot and waits for a run could be kept from it by those who wait for the
    limit. But if all of thousands who wait let another one begin, there would be thousands of threads.
    """
    global _lenders
    deadline = None if timeout is None else time.monotonic() + timeout
    gate = threading.Event()

    def open_gate(_: Future[None]) -> None:
        gate.set()

    future.when_done(open_gate)
    try:
        patience = _lenders * _PATIENCE_PER_LENDER
        if gate.wait(patience if timeout is None else min(patience, timeout)):
            return True
        with _lenders_lock:
            _lenders += 1
        try:
            with waiting.blocking():
                return gate.wait(None if deadline is None else max(deadline - time.monotonic(), 0.0))
        finally:
            with _lenders_lock:
                _lenders -= 1
    finally:
        future.forget(open_gate)
