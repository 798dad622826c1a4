"""Flow runs that are told to stop while this process executes them, and how they are interrupted.

A stop concerns a tree: a flow run with all task runs in it. Flow runs that it called have trees of their own, and are
told by themselves.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Any, Final

from millstream import interrupts
from millstream.interrupts import Interrupt, Target
from millstream_shared import ids
from millstream_shared.states import State

_logger = logging.getLogger("millstream.flow_runs")
_REMEMBERED_SECONDS: Final = 600.0
_told: dict[str, float] = {}
"""Trees that are to stop, and since when."""
# Without a lock: who holds one may be interrupted.
_scopes: "dict[str, _Scope]" = {}
_innermost: "ContextVar[_Scope | None]" = ContextVar("millstream_stops", default=None)


class _Scope:
    """The execution of one flow run, in a thread or as a task of its event loop."""

    def __init__(self, run_id: str, task: "asyncio.Task[Any] | None") -> None:
        self.run_id = run_id
        self.outer = _innermost.get()
        self.target = None if task else Target()
        self.thread = threading.get_ident()
        self.is_stopped = False
        self._task = task
        self._loop = task.get_loop() if task else None

    def interrupt(self) -> None:
        self.is_stopped = True
        if self.target is not None:
            self.target.fire()
        elif self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)

    def is_within_a_told_one(self) -> bool:
        """Whether what interrupts another flow run, around this one and in the same thread, interrupts this one too."""
        outer = self.outer
        while outer is not None:
            if outer.thread == self.thread and was_told(outer.run_id):
                return True
            outer = outer.outer
        return False


def tell(run_ids: Iterable[str]) -> None:
    """Stop these flow runs: those that this process executes are interrupted, now or when they begin."""
    now = time.monotonic()
    fresh = [run_id for run_id in run_ids if not was_told(run_id)]
    for tree in [tree for tree, since in _told.items() if now - since > _REMEMBERED_SECONDS]:
        _told.pop(tree, None)
    _told.update((ids.tree_of(run_id), now) for run_id in fresh)
    for run_id in fresh:
        scope = _scopes.get(run_id)
        if scope is not None and not scope.is_within_a_told_one() and not interrupts.is_interrupted(scope.thread):
            _logger.debug("Flow run %s is interrupted", run_id)
            scope.interrupt()


def note(run_id: str) -> None:
    """Remember that the runs in the tree of this one are to stop, without doing anything about it."""
    _told[ids.tree_of(run_id)] = time.monotonic()


def forget(run_ids: Iterable[str]) -> None:
    """These are executed again: their flow run was resumed."""
    if _told:
        for run_id in run_ids:
            _told.pop(ids.tree_of(run_id), None)


def was_told(run_id: str) -> bool:
    """Whether the tree of this run is to stop."""
    return bool(_told) and ids.tree_of(run_id) in _told


def executed_here() -> list[str]:
    """The flow runs that this process executes now."""
    return list(_scopes)


def call(run_id: str, function: Callable[[], State[Any]], when_stopped: Callable[[], State[Any]]) -> State[Any]:
    """What `function()` gives, which executes a flow run; `when_stopped()`, if that is told to stop.

    A run that was told before it begins is not begun.
    """
    scope, token = _enter(run_id, None)
    assert scope.target is not None
    try:
        try:
            return when_stopped() if was_told(run_id) else function()
        finally:
            scope.target.end()
    except Interrupt:
        scope.target.end()
        if not scope.target.fired:
            raise
    finally:
        _leave(scope, token)
    return when_stopped()


async def call_async(
    run_id: str, function: Callable[[], Awaitable[State[Any]]], when_stopped: Callable[[], Awaitable[State[Any]]]
) -> State[Any]:
    """The same for a coroutine."""
    task = asyncio.current_task()
    scope, token = _enter(run_id, task)
    try:
        if not was_told(run_id):
            return await function()
    except asyncio.CancelledError:
        if not scope.is_stopped or task is None:
            raise
        task.uncancel()
    finally:
        _leave(scope, token)
    return await when_stopped()


def _enter(run_id: str, task: "asyncio.Task[Any] | None") -> "tuple[_Scope, Any]":
    scope = _Scope(run_id, task)
    _scopes[run_id] = scope
    return scope, _innermost.set(scope)


def _leave(scope: _Scope, token: Any) -> None:
    if _scopes.get(scope.run_id) is scope:
        del _scopes[scope.run_id]
    _innermost.reset(token)


def _forget() -> None:
    _told.clear()
    _scopes.clear()


os.register_at_fork(after_in_child=_forget)
