"""Connections to Redis: how to make one, and how a call rides out an outage."""

import random
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ResponseError,
)
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as NoAnswer
from redis.retry import Retry

from millstream_shared import errors, memory

R = TypeVar("R")
_redis: Any = Redis

OUTAGE: Final = (NoConnection, NoAnswer, BusyLoadingError)
"""What a server that is away, restarting or out of reach makes a call raise."""

_REFUSALS: Final = (AuthenticationError, AuthorizationError, NoPermissionError)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


def connect(url: str) -> Any:
    """A client for `url`; it connects at its first call. Raises ConfigurationError for what is no such URL."""
    if url.startswith(memory.SCHEME):
        return memory.connect(url)
    try:
        return _redis.from_url(
            url,
            socket_timeout=30,
            socket_connect_timeout=3,
            # Calls are retried here, where it is known which may safely be made twice.
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as bad:
        raise errors.ConfigurationError(
            f"MILLSTREAM_REDIS_URL: {say_where(url)!r} is no address of a Redis: {bad}"
        ) from bad


def persist(call: Callable[[bool], R], url: str, patience: float) -> R:
    """`call(again)` until it is answered; `again` is True from the second try on.

    Pauses between tries grow to 2 s and are spread at random, so that a thousand workers do not return at once.
    Raises RedisUnavailable, with the address, after `patience` seconds. A server whose disk is full is waited for
    likewise, and then it is BackendFull; one whose memory is full makes it BackendFull at once. RedisRefused at once.
    """
    again, pause, deadline = False, _FIRST_PAUSE, time.monotonic() + patience
    while True:
        try:
            return call(again)
        except _REFUSALS as refused:
            raise errors.RedisRefused(say_where(url), str(refused)) from refused
        except OUTAGE as lost:
            if time.monotonic() + pause > deadline:
                raise errors.RedisUnavailable(say_where(url), str(lost)) from lost
        except ResponseError as refused:
            if str(refused).startswith("DENIED"):
                # Protected mode, which the server goes on to explain at length.
                raise errors.RedisRefused(say_where(url), str(refused).partition(". ")[0]) from refused
            full = _name_refusal(refused, url)
            if full is None:
                raise
            if isinstance(refused, OutOfMemoryError) or time.monotonic() + pause > deadline:
                raise full from refused
        time.sleep(pause * random.uniform(0.5, 1.0))
        again, pause = True, min(pause * 2, _LONGEST_PAUSE)


@contextmanager
def naming_refusals(url: str) -> Generator[None]:
    """Around a call made once: raises BackendFull where the server takes nothing new, else what redis raised."""
    try:
        yield
    except ResponseError as refused:
        raise _name_refusal(refused, url) or refused from None


def _name_refusal(refused: ResponseError, url: str) -> errors.BackendFull | None:
    # Of a command in a pipeline redis-py says first which one it was.
    said = str(refused).rpartition(" of pipeline caused error: ")[2]
    is_full = isinstance(refused, OutOfMemoryError) or said.startswith("MISCONF")
    return errors.BackendFull(say_where(url), said) if is_full else None


def say_where(url: str) -> str:
    """The address without its password, fit for a message."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
