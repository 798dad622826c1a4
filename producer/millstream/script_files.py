"""Python files as modules: each is executed once in a process, under a name of its own that is not `__main__`."""

import ast
import hashlib
import importlib.util
import sys
import threading
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from millstream_shared import errors

# What is defined under a name that ends so travels by value, as from a script: another process cannot import it.
_ENDING: Final = "__main__"

_executing = threading.RLock()


def module_of(file: Path) -> ModuleType:
    """The file's module; executed when it is first asked for, with its folder on `sys.path`.

    Raises MissingFlowError if there is no such file, ScriptError for whatever the file raises.
    """
    place = file.expanduser().resolve()
    if not place.is_file():
        raise errors.MissingFlowError(f"There is no file {place}, in which a flow was to be found.")
    name = f"{place.stem}_{hashlib.sha256(str(place).encode()).hexdigest()[:12]}{_ENDING}"
    with _executing:
        return sys.modules.get(name) or _executed(place, name)


def binds(file: Path, name: str) -> bool:
    """Whether the file gives this name a value when it is not executed as a script. True if that cannot be told."""
    try:
        tree = ast.parse(file.read_text())
    except (OSError, UnicodeDecodeError, SyntaxError):
        return True
    statements = [statement for statement in tree.body if not _is_of_scripts(statement)]
    bound = {found for statement in statements for node in ast.walk(statement) for found in _names_of(node)}
    return name in bound or "*" in bound


def _is_of_scripts(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
    )


def _names_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.alias):
        return [node.asname or node.name.partition(".")[0]]
    return [node.id] if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else []


def put_on_path(folder: str) -> None:
    """Have imports look into this folder first, as Python does for a script that lies in it."""
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _executed(place: Path, name: str) -> ModuleType:
    import cloudpickle  # pyright: ignore[reportMissingTypeStubs] - only for who loads files

    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:
        raise errors.MissingFlowError(f"{place} is not a Python file: its name has to end in .py.")
    module = importlib.util.module_from_spec(spec)
    put_on_path(str(place.parent))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as failure:
        del sys.modules[name]
        raise errors.ScriptError(str(place), _traceback_of(failure)) from failure
    cast("Any", cloudpickle).register_pickle_by_value(module)
    return module


def _traceback_of(failure: BaseException) -> str:
    """The part of the traceback that is the file's own."""
    frames = failure.__traceback__
    while frames and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    while frames and frames.tb_next and "importlib" in frames.tb_frame.f_code.co_filename:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(failure), failure, frames)).rstrip()
