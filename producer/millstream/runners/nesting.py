"""How deep in task runs the current code is, across processes: 0 in a flow, 1 in a task that a worker executes."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_depth: ContextVar[int] = ContextVar("millstream_depth", default=0)


def depth() -> int:
    """The depth of the current code."""
    return _depth.get()


def enter(depth: int) -> None:
    """All code of the current context is a task run at `depth`."""
    _depth.set(depth)


@contextmanager
def entered(depth: int) -> Generator[None]:
    """Code within is a task run at `depth`."""
    token = _depth.set(depth)
    try:
        yield
    finally:
        _depth.reset(token)
