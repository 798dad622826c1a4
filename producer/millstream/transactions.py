"""Transactions: what tasks did within one counts when it commits, and is undone by their hooks when it rolls back.

A transaction may stand within another one. By default (LAZY) the outermost commits all that stand within it, EAGER
ones commit when they end, and OFF ones are rolled back unless somebody commits them.
"""

import logging
import threading
import uuid
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import Token
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from millstream import context, drivers
from millstream.futures import Future
from millstream.isolation import IsolationLevel
from millstream_shared import errors

if TYPE_CHECKING:
    from millstream.results import ResultRecord, ResultStore
    from millstream.tasks import Task

__all__ = [
    "CommitMode",
    "IsolationLevel",
    "Transaction",
    "TransactionState",
    "atransaction",
    "get_transaction",
    "transaction",
]

TransactionHook = Callable[["Transaction"], Any]
_logger: Final = logging.getLogger("millstream.transactions")
_NOTHING: Final = object()


class CommitMode(StrEnum):
    """When a transaction commits: at its own end, when the outermost one does, or not by itself."""

    EAGER = "EAGER"
    LAZY = "LAZY"
    OFF = "OFF"


class TransactionState(StrEnum):
    """Where a transaction stands."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    STAGED = "STAGED"
    COMMITTED = "COMMITTED"
    ROLLED_BACK = "ROLLED_BACK"


_ENDED: Final = (TransactionState.COMMITTED, TransactionState.ROLLED_BACK)


class Transaction:
    """One transaction, as `transaction()` and `atransaction()` give it, and as hooks get it."""

    def __init__(
        self,
        key: str | None = None,
        store: "ResultStore | None" = None,
        commit_mode: CommitMode | None = None,
        isolation_level: IsolationLevel | None = None,
        overwrite: bool = False,
        write_on_commit: bool = True,
        logger: Any = None,
    ) -> None:
        self.key = key
        self.commit_mode = commit_mode
        self.isolation_level = isolation_level
        self.overwrite = overwrite
        self.write_on_commit = write_on_commit
        self.logger: Any = logger or _logger
        self.state = TransactionState.PENDING
        self.parent: Transaction | None = None
        self.children: list[Transaction] = []
        self.on_commit_hooks: list[TransactionHook] = []
        self.on_rollback_hooks: list[TransactionHook] = []
        self._store = store
        self._holder: str | None = None
        self._data: dict[str, Any] = {}
        self._staged: Any = _NOTHING
        self._submitted: list[Future[Any]] = []
        self._token: Token[Transaction | None] | None = None
        self._changing = threading.RLock()

    # -- what programs ask and tell

    def set(self, name: str, value: Any) -> None:
        """Keep a value for hooks and for transactions within this one."""
        self._data[name] = value

    def get(self, name: str, default: Any = _NOTHING) -> Any:
        """The value that was set here or further out. Raises ValueError if there is none and no default."""
        around: Transaction | None = self
        while around is not None:
            if name in around._data:
                return around._data[name]
            around = around.parent
        if default is _NOTHING:
            raise ValueError(f"Nothing was set in this transaction as {name!r}: give a default to `get`.")
        return default

    def all_data(self) -> dict[str, Any]:
        """All that `get` would find, by name."""
        return {**(self.parent.all_data() if self.parent else {}), **self._data}

    def is_pending(self) -> bool:
        """Whether it has not been entered."""
        return self.state is TransactionState.PENDING

    def is_active(self) -> bool:
        """Whether it goes on."""
        return self.state is TransactionState.ACTIVE

    def is_staged(self) -> bool:
        """Whether what is to be committed is there."""
        return self.state is TransactionState.STAGED

    def is_committed(self) -> bool:
        """Whether it was committed, or, at its beginning, its key held a result already."""
        return self.state is TransactionState.COMMITTED

    def is_rolled_back(self) -> bool:
        """Whether it was undone."""
        return self.state is TransactionState.ROLLED_BACK

    @property
    def store(self) -> "ResultStore":
        """Where results are kept under keys; default: Redis."""
        if self._store is None:
            from millstream.results import ResultStore

            self._store = ResultStore()
        return self._store

    def read(self) -> "ResultRecord | None":
        """What is kept under the key, or None."""
        return self.store.find(self.key) if self.key is not None else None

    def stage(
        self,
        value: Any,
        on_rollback_hooks: Iterable[TransactionHook] = (),
        on_commit_hooks: Iterable[TransactionHook] = (),
    ) -> None:
        """Have `value` kept under the key, and these hooks called with the transaction, when it commits or not."""
        if self.state in _ENDED:
            return
        self._staged = value
        self.on_rollback_hooks += on_rollback_hooks
        self.on_commit_hooks += on_commit_hooks
        self.state = TransactionState.STAGED

    def add_child(self, child: "Transaction") -> None:
        """Have `child` committed or rolled back with this one."""
        child.parent = self
        self.children.append(child)

    def commit(self) -> bool:
        """Commit now; False if it had ended, or cannot be committed and is rolled back."""
        return drivers.drive(self.committing())

    def rollback(self) -> bool:
        """Roll back now; False if it had ended."""
        return drivers.drive(self.rolling_back())

    def note_submitted(self, task: "Task[..., Any]", futures: Sequence[Future[Any]]) -> None:
        """These runs of `task` are part of it, and waited for at its end."""
        self._submitted += futures
        for future in futures:
            if future.stored:
                from millstream.transaction_runs import RemoteRun

                self.add_child(RemoteRun(task, future))

    # -- its life, as steps

    def entering(self) -> drivers.Steps[None]:
        """Begin: take the lock that was asked for, and see whether the key holds a result."""
        if self._token is not None:
            raise RuntimeError("This transaction is entered already: make another one with `transaction()`.")
        self.parent = context.transaction.get()
        self._inherit(self.parent)
        if self.key is not None:
            yield drivers.Call(self._take_key, (self.key,))
        if self.state is TransactionState.PENDING:
            self.state = TransactionState.ACTIVE
        self._token = context.transaction.set(self)

    def _inherit(self, parent: "Transaction | None") -> None:
        inherited = (parent.commit_mode if parent else None) or CommitMode.LAZY
        self.commit_mode = CommitMode(self.commit_mode or inherited)
        level = (parent.isolation_level if parent else None) or IsolationLevel.READ_COMMITTED
        self.isolation_level = IsolationLevel(self.isolation_level or level)

    def _take_key(self, key: str) -> None:
        if self.isolation_level is IsolationLevel.SERIALIZABLE:
            supports = getattr(self.store, "supports_isolation_level", None)
            if supports is None or not supports(self.isolation_level):
                raise errors.ConfigurationError(
                    f"{self.store!r} has no locks, which isolation level SERIALIZABLE needs: use ResultStore()."
                )
            self._holder = uuid.uuid4().hex
            self.store.acquire_lock(key, self._holder)
        if not self.overwrite and self.store.exists(key):
            self.state = TransactionState.COMMITTED

    def leaving(self, error: BaseException | None) -> drivers.Steps[None]:
        """End, after `error` or without one."""
        if error is None or isinstance(error, Exception):
            yield from self._gathering()
        self.forget()
        if error is not None:
            yield from self.rolling_back()
        elif self.commit_mode is CommitMode.EAGER:
            yield from self.committing()
        if self.parent is not None:
            yield from self.parent.taking_in(self)
        elif self.commit_mode is CommitMode.OFF:
            yield from self.rolling_back()
        elif self.commit_mode is CommitMode.LAZY:
            yield from self.committing()

    def forget(self) -> None:
        """Leave without a word: what it is about goes on elsewhere."""
        if self._token is not None:
            _reset(self._token)
            self._token = None

    def _gathering(self) -> drivers.Steps[None]:
        """Wait for what was submitted within; a run that did not complete undoes all."""
        while pending := [future for future in self._submitted if not future.done()]:
            yield drivers.WaitFor(pending)
        if any(not future.state.is_completed() for future in self._submitted):
            yield from self.rolling_back()

    def taking_in(self, child: "Transaction") -> drivers.Steps[None]:
        """Become responsible for `child`, which has come to its end; if it was undone, so is this one."""
        self.add_child(child)
        if child.is_rolled_back():
            yield from self.rolling_back()
        elif self.is_rolled_back():
            yield from child.rolling_back()

    def committing(self) -> drivers.Steps[bool]:
        """Commit the children, call the hooks, keep what is staged; if any of it fails, roll back."""
        if self.state in _ENDED:
            yield drivers.Call(self.let_go)
            return False
        try:
            for child in self.children:
                yield from child.committing()
                if child.is_rolled_back():
                    yield from self.rolling_back()
                    return False
            for hook in self.on_commit_hooks:
                self.logger.info("Running commit hook %r", name_of(hook))
                yield from drivers.returned(hook(self))
            yield drivers.Call(self.write)
        except Exception:
            self.logger.exception("A transaction could not be committed, and is rolled back")
            yield from self.rolling_back()
            return False
        self.state = TransactionState.COMMITTED
        yield drivers.Call(self.let_go)
        return True

    def rolling_back(self) -> drivers.Steps[bool]:
        """Call the hooks, the last one first, and roll back the children likewise."""
        with self._changing:
            if self.state in _ENDED:
                return False
            self.state = TransactionState.ROLLED_BACK
        for hook in reversed(self.on_rollback_hooks):
            self.logger.info("Running rollback hook %r", name_of(hook))
            try:
                yield from drivers.returned(hook(self))
            except Exception:
                self.logger.exception("A rollback hook failed; the others are called all the same")
        try:
            yield from self.undone()
        except Exception:
            self.logger.exception("That a run was rolled back could not be recorded")
        for child in reversed(self.children):
            yield from child.rolling_back()
        yield drivers.Call(self.let_go)
        return True

    def undone(self) -> drivers.Steps[None]:
        """What else there is to do about a rollback."""
        yield from ()

    def write(self) -> None:
        """Keep what is staged."""
        if self.key is not None and self.write_on_commit and self._staged is not _NOTHING:
            self.store.write(self.key, self._staged)

    def let_go(self) -> None:
        """Let others have what only one may have."""
        if self._holder is not None and self.key is not None:
            self.store.release_lock(self.key, self._holder)
            self._holder = None

    # -- as a context manager

    def __enter__(self) -> Self:
        drivers.drive(self.entering())
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        drivers.drive(self.leaving(error))


def get_transaction() -> Transaction | None:
    """The innermost transaction that is open here, or None."""
    return context.transaction.get()


@contextmanager
def transaction(
    key: str | None = None,
    store: "ResultStore | None" = None,
    commit_mode: CommitMode | None = None,
    isolation_level: IsolationLevel | None = None,
    overwrite: bool = False,
    write_on_commit: bool = True,
    logger: Any = None,
) -> Generator[Transaction]:
    """A transaction around a block of code: tasks called or submitted in it are its parts.

    When an exception leaves the block, or a part of it fails, all is rolled back, and the exception raised again. What
    is staged is kept in `store` under `key` on commit, unless `write_on_commit` is false; a key that holds a result
    makes the transaction committed from the start, unless `overwrite`. With isolation level SERIALIZABLE, others with
    the key wait. Raises ConfigurationError for a store without locks then.
    """
    with Transaction(key, store, commit_mode, isolation_level, overwrite, write_on_commit, logger) as made:
        yield made


@asynccontextmanager
async def atransaction(
    key: str | None = None,
    store: "ResultStore | None" = None,
    commit_mode: CommitMode | None = None,
    isolation_level: IsolationLevel | None = None,
    overwrite: bool = False,
    write_on_commit: bool = True,
    logger: Any = None,
) -> AsyncGenerator[Transaction]:
    """The same for async code: hooks that are coroutines are awaited on the running loop."""
    made = Transaction(key, store, commit_mode, isolation_level, overwrite, write_on_commit, logger)
    await drivers.drive_async(made.entering())
    try:
        yield made
    except GeneratorExit as error:
        drivers.drive(made.leaving(error))
        raise
    except BaseException as error:
        await drivers.drive_async(made.leaving(error))
        raise
    await drivers.drive_async(made.leaving(None))


def name_of(hook: Any) -> str:
    """What a hook is called in a log line."""
    return getattr(hook, "__name__", None) or type(getattr(hook, "func", hook)).__name__


def _reset(token: Token[Transaction | None]) -> None:
    try:
        context.transaction.reset(token)
    except ValueError:
        # A coroutine that was dropped is closed in another context: nothing to undo there.
        return
