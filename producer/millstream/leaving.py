"""What becomes of background runs when a script on a private server ends: it waits for those that only it sees to."""

import logging
import sys
import time
from typing import TYPE_CHECKING

from millstream.local_workers import LOCAL
from millstream_shared import errors, ids

if TYPE_CHECKING:
    from millstream.context import Submitted
    from millstream.local_workers import LocalWorkers
    from millstream_shared.store import Store

_logger = logging.getLogger("millstream.background")
_SECONDS_BEFORE_A_NOTE = 0.5
_PAUSE, _LONGEST_PAUSE = 0.005, 0.1
_NAMED = 5


def wait_for_background(store: "Store", workers: "LocalWorkers", made_here: "dict[str, Submitted]") -> None:
    """Wait for the background runs that were `made_here`, by queue, and those that our `workers` have or will get.

    Not for those of a queue that a worker serves which does not end with a script. An interrupt ends the waiting:
    then, as when the script itself ended by one, what is left stays queued, and a warning tells of it.
    """
    try:
        if getattr(sys, "last_type", None) in (KeyboardInterrupt, errors.TerminationSignal):
            raise KeyboardInterrupt
        _wait(store, workers, made_here)
    except KeyboardInterrupt:
        if left := _left(store, workers, made_here):
            _logger.warning(
                "%s: left in the queue, for the next script or worker that uses this server (%s).",
                _told(left),
                store.settings.home,
            )
    except errors.ServiceError as lost:
        _logger.warning("Background runs are not waited for: %s", lost)


def _wait(store: "Store", workers: "LocalWorkers", made_here: "dict[str, Submitted]") -> None:
    note_at, pause = time.monotonic() + _SECONDS_BEFORE_A_NOTE, _PAUSE
    while left := _left(store, workers, made_here):
        if time.monotonic() >= note_at:
            note_at = float("inf")
            advice = "%s: waiting, as the worker ends with this script. Ctrl-C leaves them queued for another one."
            _logger.warning(advice, _told(left))
        for queue in workers.queues:
            workers.ensure(queue)
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _left(store: "Store", workers: "LocalWorkers", made_here: "dict[str, Submitted]") -> dict[str, str]:
    """The background runs that have not ended and have nobody else: id and name."""
    ours = workers.queues
    left: dict[str, str] = {}
    for queue in made_here.keys() | ours:
        pending = made_here[queue].pending() if queue in made_here else []
        serving = [name for name in store.workers(queue) if ids.lives_here(name)] if pending or queue in ours else []
        if any(not name.startswith(f"{LOCAL}-") for name in serving):
            continue
        left.update((future.run_id, future.name) for future in pending)
        if queue in ours:
            owners = [name for name in serving if name.split("-")[1] == str(ours[queue])]
            left.update(store.background_runs(queue, owners))
    return left


def _told(left: dict[str, str]) -> str:
    names = [*left.values()][:_NAMED]
    more = f" and {len(left) - len(names)} more" if len(left) > len(names) else ""
    return f"{len(left)} background run{'s' if len(left) > 1 else ''} not ended ({', '.join(names)}{more})"
