"""A worker's part in firing schedules, called in by its loop; what that needs is imported when it is first due."""

import time
from typing import TYPE_CHECKING

from millstream_shared import errors
from millstream_shared.store import Store
from millstream_worker import worker_logging

if TYPE_CHECKING:
    from datetime import datetime

    from millstream_shared.deployments import DeploymentRecord
    from millstream_shared.schedules import ScheduleRecord
    from millstream_worker.scheduling import Scheduler

_FIRST_SECONDS = 0.5
_SECONDS_WHEN_FULL = 2.0


class Schedules:
    """Fires schedules that are due, if that is for the worker `owner` to do: see `scheduling`."""

    def __init__(self, store: Store, owner: str) -> None:
        self.owner = owner
        self.due_at = time.monotonic() + _FIRST_SECONDS
        """When, by the monotonic clock, to call `tend_if_due`."""
        self._store = store
        self._scheduler: Scheduler | None = None
        self._is_refused = False

    def tend_if_due(self) -> None:
        """Fire what is due; later, if the server is full. Raises ServiceError when the server stays away."""
        if time.monotonic() < self.due_at:
            return
        if self._scheduler is None:
            from millstream_worker.scheduling import Scheduler  # as the first line of the file says

            self._scheduler = Scheduler(self._store, self.owner, self._fire)
        self._scheduler.owner = self.owner
        try:
            pause = self._scheduler.tend()
        except errors.BackendFull as full:
            # What could not be made now is still due.
            if not self._is_refused:
                worker_logging.warning("schedules wait until the server has room", reason=str(full))
            self._is_refused, pause = True, _SECONDS_WHEN_FULL
        else:
            self._is_refused = False
        self.due_at = time.monotonic() + pause

    def end(self) -> None:
        """Let another worker go on at once."""
        if self._scheduler is not None:
            self._scheduler.end()

    def _fire(self, deployment: "DeploymentRecord", schedule: "ScheduleRecord", moment: "datetime", key: str) -> None:
        from millstream import triggering  # as above

        wanted = triggering.Wanted(schedule.parameters, due=moment, key=key, is_child=False)
        self._store.submit_flows([triggering.prepared(deployment, wanted)], inbox="")
