"""`--reload`: Python files are watched, and when some have changed a crew of new processes takes over."""

import os
import selectors
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from millstream_shared import errors
from millstream_worker import worker_logging
from millstream_worker.crews import Crew

_MOST_NAMED = 3


def import_roots() -> list[Path]:
    """The folders from which this program imports, but not those of Python itself and of what is installed in it."""
    installed = [Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)]
    found = dict.fromkeys(Path(entry or os.curdir).resolve() for entry in [os.curdir, *sys.path])
    inside = [root for root in found if not any(root.is_relative_to(prefix) for prefix in installed)]
    return [root for root in inside if root.is_dir()]


def renew_on_change(crew: Crew, roots: Iterable[Path]) -> None:
    """From now on, until the process ends, have new children take over when a Python file under `roots` has changed.

    Raises ConfigurationError if the package that watches files is not installed.
    """
    try:
        import watchfiles  # an extra, for development
    except ImportError as missing:
        raise errors.ConfigurationError("--reload needs watchfiles: `pip install 'millstream[reload]'`.") from missing
    reading, writing = os.pipe()
    changed: set[str] = set()

    def watch() -> None:
        for changes in watchfiles.watch(*roots, watch_filter=watchfiles.PythonFilter(), raise_interrupt=False):
            changed.update(path for _, path in changes)
            os.write(writing, b"1")

    def renew() -> None:
        os.read(reading, 64)
        names = sorted(changed)
        changed.difference_update(names)
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        worker_logging.info("reloading", changed=", ".join(names[:_MOST_NAMED]) + more)
        crew.renew()

    crew.selector.register(reading, selectors.EVENT_READ, renew)
    threading.Thread(target=watch, name="millstream-reload", daemon=True).start()
