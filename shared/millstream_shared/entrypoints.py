"""Naming a function by where it can be imported from, and finding it again by that name."""

import importlib
import sys
from typing import Any

from millstream_shared import errors


def reference(obj: object, module: str, qualname: str) -> str | None:
    """`module:qualname` if importing that gives `obj` itself, else None: it must then travel by value."""
    loaded = sys.modules.get(module)
    # So ends as well the name of a file that a process has executed to find a flow in it.
    if loaded is None or module.endswith(("__main__", "__mp_main__")) or "<" in qualname:
        return None
    found: Any = loaded
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return f"{module}:{qualname}" if found is obj else None


def load(ref: str) -> Any:
    """The object that `reference` named. Raises FunctionUnavailable, which says what could not be imported."""
    module, _, qualname = ref.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except Exception as failure:
        raise errors.FunctionUnavailable(ref, f"{type(failure).__name__}: {failure}") from failure
    return found
