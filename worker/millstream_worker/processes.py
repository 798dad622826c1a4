"""What the operating system does for processes: none outlives the one it works for, each has a name."""

import ctypes
import gc
import os
import signal
import sys
from types import FrameType

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent`, which must be its parent, dies. On Linux only.

    The end of the socket says the same, but only to a process that gets to read it: one that sits in C code and holds
    the interpreter lock does not.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def ignore(*signals: signal.Signals) -> None:
    """Do nothing at these. Unlike SIG_IGN this is not passed on to programs that code of users starts, and ends so."""
    for each in signals:
        signal.signal(each, _do_nothing)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    pass


def set_name(name: str) -> None:
    """Have tools as `top` and `ps -o comm` show this name, of 15 characters at most, for this process. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode())


def freeze_memory() -> None:
    """Keep the garbage collector away from what exists: it would write to the memory that forked processes share."""
    gc.collect()
    gc.freeze()


def usable_cpus() -> int:
    """How many CPUs this process may use: in a container or under `taskset`, perhaps not all that there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
