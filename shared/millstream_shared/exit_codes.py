"""Exit codes of processes, in words."""

import signal


def describe(code: int) -> str:
    """How a process ended that has this exit code, as Python tells it: minus the number of the signal that ended it."""
    if code >= 0:
        return f"it exited with status {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"
