"""Where the code of a flow is: found from the flow, and the flow from it, on this machine or another one."""

import importlib
import importlib.util
import inspect
import os
import site
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from millstream import script_files
from millstream_shared import entrypoints, errors

if TYPE_CHECKING:
    from millstream.flows import Flow
    from millstream_shared.deployments import GitSource

_FORMS: Final = "it is 'folder/file.py:flow', 'module:flow' or 'module.flow'"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a flow is: `entrypoint`, as `load` takes it; the folder `path` comes first on `sys.path`.

    With a `source`, both are within what is fetched from there.
    """

    entrypoint: str
    path: str | None = None
    source: "GitSource | None" = None


# --- from a flow to its place -----------------------------------------------------------------------------------------


def place_of(flow: "Flow[..., Any]") -> Place:
    """Where other processes find this flow.

    By import, if its module can be imported; else in the file of its function. Raises MissingFlowError, which says what
    to do, for a flow that has no name in a file, or that is a copy of one.
    """
    place = likely_place_of(flow)
    check_place(place, flow.name)
    return place


def check_place(place: Place, name: str) -> None:
    """Raise MissingFlowError for a file that makes the flow `name` only when it is executed as a script."""
    file, _, qualname = place.entrypoint.rpartition(":")
    if place.source is not None or not file.endswith(".py"):
        return
    if not script_files.binds(Path(place.path or "", file), qualname.partition(".")[0]):
        raise _unfindable(name, 'it is made under `if __name__ == "__main__"`', "make it above that")


def likely_place_of(flow: "Flow[..., Any]") -> Place:
    """The same without a look into the file, which takes a while if that is large."""
    if flow.unbound is not flow:
        raise _unfindable(flow.name, "it is bound to an instance or class", "make a flow of a plain function")
    if flow.place is not None:
        return flow.place
    qualname = _qualname(flow)
    module = flow.__module__
    if entrypoints.reference(flow, module, qualname):
        return Place(f"{module}:{qualname}", _root_of(module))
    file = Path(inspect.unwrap(flow.fn).__code__.co_filename) if hasattr(flow.fn, "__code__") else None
    if file is None or not file.is_file():
        raise _unfindable(flow.name, f"its code does not come from a file ({file})", "put it into a file")
    # As it was found, not resolved: the folder may be a link that is the same on all machines.
    return Place(f"{file.name}:{qualname}", str(file.absolute().parent))


def _qualname(flow: "Flow[..., Any]") -> str:
    """The name under which the flow itself stands in its module."""
    around = cast("Mapping[str, Any]", getattr(flow.fn, "__globals__", {}))
    qualname = str(getattr(flow, "__qualname__", ""))
    names = [name for name, value in around.items() if value is flow]
    if names:
        return qualname if qualname in names else names[0]
    if flow.is_copy:
        raise _unfindable(flow.name, "it is a copy with other options", "give the copy a name in the file of the flow")
    if not qualname or "<" in qualname:
        raise _unfindable(flow.name, "it is defined within a function", "define it at the top of a file")
    return qualname


def _unfindable(name: str, reason: str, advice: str) -> errors.MissingFlowError:
    return errors.MissingFlowError(
        f"Other processes cannot find the flow {name!r}, as {reason}: {advice}, or load it by Flow.from_source()."
    )


def _root_of(module: str) -> str | None:
    """The folder in which the import of a module starts; None for what is installed, as workers have that too."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    origin = spec and (spec.origin or next(iter(spec.submodule_search_locations or ()), None))
    if not spec or not origin:
        return None
    is_package = spec.submodule_search_locations is not None and spec.origin is not None
    folder = Path(origin).absolute().parents[1 if is_package else 0]
    installed = {*site.getsitepackages(), site.getusersitepackages(), os.path.dirname(os.__file__)}
    return None if str(folder) in installed else str(folder)


# --- from a place to its flow -----------------------------------------------------------------------------------------


def load(entrypoint: str, folder: str | Path | None = None) -> "Flow[..., Any]":
    """The flow of an entrypoint: `folder/file.py:flow`, `module:flow` or `module.flow`.

    A file is executed once in a process; its `if __name__ == "__main__"` does not hold. `:flow` may be left out for a
    file with one flow. A relative file is one in `folder`, which comes first on `sys.path`, or in the working folder if
    there is no such folder. Raises MissingFlowError if there is no such file, module or flow, UnspecifiedFlowError if
    the file has several, ScriptError if it cannot be executed.
    """
    place, name = _parted(entrypoint)
    # On another machine a module may be installed instead, and a file lie where the worker was started.
    there = folder if folder is not None and os.path.isdir(folder) else ""
    if there:
        script_files.put_on_path(str(there))
    if place.endswith(".py"):
        return _found(script_files.module_of(Path(there, place)), name, place)
    return _found(_imported(place), name, place)


def load_place(place: Place) -> "Flow[..., Any]":
    """The same of a place, whose code is fetched if it has a source; the flow remembers it for its deployments.

    Raises what `load` raises, and SourceUnavailable.
    """
    folder: str | Path | None = place.path
    if place.source is not None:
        from millstream import git_sources  # runs programs: only for who has such a source

        folder = git_sources.checkout(place.source) / (place.path or "")
    flow = load(place.entrypoint, folder)
    flow.place = place
    return flow


def load_from_source(source: Any, entrypoint: str) -> "Flow[..., Any]":
    """What `Flow.from_source` does."""
    from millstream import git_sources

    wanted = git_sources.source_of(source)
    is_folder = isinstance(wanted, Path)
    return load_place(Place(entrypoint, str(wanted)) if is_folder else Place(entrypoint, None, wanted))


def _parted(entrypoint: Any) -> tuple[str, str | None]:
    """File or module, and the name of the flow in it."""
    if not isinstance(entrypoint, str) or not entrypoint.strip():
        raise errors.MissingFlowError(f"{entrypoint!r} is no entrypoint: {_FORMS}.")
    if entrypoint.endswith(".py"):
        return entrypoint, None
    place, sign, name = entrypoint.rpartition(":")
    if not sign:
        place, _, name = entrypoint.rpartition(".")
    if not place or not name or (not place.endswith(".py") and ("/" in place or os.sep in place)):
        raise errors.MissingFlowError(f"{entrypoint!r} is no entrypoint: {_FORMS}.")
    return place, name


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name and (module == missing.name or module.startswith(f"{missing.name}.")):
            told = f"There is no module {module!r}, in which a flow was to be found; imports look into {sys.path}."
            raise errors.MissingFlowError(told) from missing
        raise errors.ScriptError(module, traceback.format_exc().rstrip()) from missing
    except (Exception, SystemExit) as failure:
        raise errors.ScriptError(module, traceback.format_exc().rstrip()) from failure


def _found(module: Any, name: str | None, place: str) -> "Flow[..., Any]":
    from millstream.flows import Flow  # flows.py comes here for entrypoints

    names = cast("dict[str, Any]", vars(module))
    there: dict[str, Flow[..., Any]] = {key: value for key, value in names.items() if isinstance(value, Flow)}
    choice = ", ".join(sorted(there)) or "none"
    if name is None:
        if len(there) != 1:
            kind = errors.UnspecifiedFlowError if there else errors.MissingFlowError
            raise kind(f"Say which flow of {place} is meant, as '{place}:flow'; it has {choice}.")
        return next(iter(there.values()))
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Flow):
        return cast("Flow[..., Any]", found)
    reason = f"{name!r} is no flow there" if found is not None else f"there is no {name!r}"
    raise errors.MissingFlowError(f"No flow at '{place}:{name}': {reason}. Flows there: {choice}.")
