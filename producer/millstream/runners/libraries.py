"""Libraries that only some runners need, and that users install when they want those."""

import importlib
import importlib.util
from typing import Any


def require(module: str, install: str, what: str) -> None:
    """Raise ImportError if `module` is missing; it says that `what` needs it, and what to install. Imports nothing."""
    if importlib.util.find_spec(module) is None:
        raise ImportError(f"{what} needs the package {module}: pip install '{install}'", name=module)


def load(module: str) -> Any:
    """The module, imported where it is needed and without its types: they may not be there to be checked."""
    return importlib.import_module(module)
