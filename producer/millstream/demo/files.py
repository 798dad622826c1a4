"""Which files the demo analyzes: those of a folder, or the standard library's own sources."""

import os
import sysconfig
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

_NOT_THE_LIBRARY = ("site-packages", "dist-packages")


def standard_library() -> Path:
    """The folder of the sources of the Python that runs this."""
    return Path(sysconfig.get_path("stdlib"))


def find_files(root: Path, limit: int | None = None, suffix: str = "") -> list[str]:
    """The paths of at most `limit` regular files below `root`, sorted within each folder; a file gives its own path.

    Folders and files whose names begin with a dot are passed over, so are compiled and installed Python packages, and
    links to folders. `suffix` is what the names must end with (default: anything).
    """
    root = root.absolute()
    found = iter([str(root)]) if root.is_file() else _below(root, suffix)
    return list(islice(found, limit))


def _below(root: Path, suffix: str) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if _is_of_interest(name))
        for name in sorted(names):
            path = os.path.join(folder, name)
            # Reading from a pipe or a socket might never end, so only regular files count.
            if name.endswith(suffix) and not name.startswith(".") and os.path.isfile(path):
                yield path


def _is_of_interest(folder: str) -> bool:
    return not folder.startswith(".") and folder != "__pycache__" and folder not in _NOT_THE_LIBRARY
