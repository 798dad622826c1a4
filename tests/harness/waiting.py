"""Waiting until something holds, without a fixed pause: the only place in the tests that polls."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], timeout: float = 10.0) -> T:
    """Call `check` until it returns something true, and return that.

    An AssertionError in `check` counts as "not yet". Fails after `timeout` seconds, with the last AssertionError if
    there was one.
    """
    deadline, pause = time.monotonic() + timeout, 0.001
    while True:
        failure: AssertionError | None = None
        try:
            if found := check():
                return found
        except AssertionError as not_yet:
            failure = not_yet
        if time.monotonic() > deadline:
            raise failure or AssertionError(f"not so within {timeout} s: {getattr(check, '__name__', check)}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
