"""Removes large results whose time has passed, where they lie in a folder; object stores have rules for that."""

import threading
import time

from millstream_shared import storages
from millstream_shared.settings import Settings
from millstream_shared.storages import Folder
from millstream_worker import worker_logging

_HOUR = 3600.0
_SLACK_SECONDS = 24 * 3600.0
"""A record lives for the retention after its last change, which may come some time after its result was written."""


class Sweeper:
    """Sweeps once an hour, in a thread of its own: a folder may hold very many files."""

    def __init__(self, settings: Settings) -> None:
        storage = storages.for_large(settings)
        self._folder = storage if isinstance(storage, Folder) else None
        self._keep_seconds = settings.results_kept_seconds + _SLACK_SECONDS
        self._due_at = 0.0

    def sweep_if_due(self) -> None:
        """Begin to sweep, if the last time was an hour ago."""
        if self._folder is not None and time.monotonic() >= self._due_at:
            self._due_at = time.monotonic() + _HOUR
            threading.Thread(target=self._sweep, args=(self._folder,), name="millstream-sweeper", daemon=True).start()

    def _sweep(self, folder: Folder) -> None:
        removed = folder.sweep(self._keep_seconds)
        if removed:
            worker_logging.info("removed large results whose time has passed", days=removed, folder=folder.address)
