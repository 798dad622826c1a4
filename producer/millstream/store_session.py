"""What a process needs to talk to the store: a lease of its own, the futures it waits for, the records it writes."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from millstream import log_shipping, withdrawals
from millstream.context import Submitted
from millstream.futures import Future
from millstream.local_workers import LocalWorkers
from millstream.recording import Recorder
from millstream.slots import Slots
from millstream.watching import Watcher
from millstream_shared import ids, limits, records, references
from millstream_shared.kept import Kept
from millstream_shared.states import Pending, Running, State
from millstream_shared.store import Store

_logger = logging.getLogger("millstream.sessions")
_SECONDS_BETWEEN_WARNINGS = 60.0
_INTERRUPTED = "The flow run was interrupted before a worker began this run."


class Session:
    """The store, a lease under which this process holds its flow runs, and the threads that serve them.

    With `is_local` it starts workers for queues that have none; with `serve` it calls that for each queue that it uses.
    Raises RedisUnavailable within `settings.first_contact_seconds` if the server does not answer.
    """

    def __init__(self, store: Store, *, is_local: bool, serve: Callable[[str], None] | None = None) -> None:
        self.store = store
        self._serve = serve
        self.owner = ids.new_owner_id("client")
        store.ping()
        store.take_lease(self.owner)
        references.set_key_reader(Kept(store).get_key)
        self.recorder = Recorder(store, self.owner)
        self.slots = Slots(store, self.owner)
        self._ships_logs = log_shipping.begin(log_shipping.StoreCarrier(store))
        self.watcher = Watcher(store, self.owner, self._attend_queues, self.slots)
        self._local_workers = LocalWorkers(store) if is_local else None
        self._queues: set[str] = set()
        self._warn_at: dict[str, float] = {}
        self._definitions: dict[str, float] = {}
        self._interrupted: list[str] = []
        self._background: dict[str, Submitted] = {}

    def close(self) -> None:
        """Write what is still to be written, and end the workers that were started for this process."""
        try:
            # A process that wants to end does not wait long for a server that is away.
            self.store.give_up_soon()
            if self._ships_logs:
                log_shipping.end(timeout=2)
            self.recorder.close(timeout=5)
            self.watcher.close()
            if self._local_workers:
                self._local_workers.close()
                # What those workers were executing went back to its queue.
                for flow_run_id in self._interrupted:
                    withdrawals.withdraw_tree(self.store, flow_run_id, _INTERRUPTED)
            self.store.end_lease(self.owner)
        except Exception as failure:
            _logger.debug("The session did not end cleanly: %s", failure)

    def use_queue(self, queue: str) -> None:
        """See to it that a worker serves the queue, or say that there is none."""
        if queue not in self._queues:
            self._queues.add(queue)
            self._attend(queue)

    def note_background(self, queue: str, futures: Sequence[Future[Any]]) -> None:
        """Remember background runs, if their worker may be one that ends with this process."""
        if self._local_workers:
            self._background.setdefault(queue, Submitted()).extend(futures)

    def outlast_background(self) -> None:
        """At the end of a script: wait for background runs that nobody would execute after it."""
        if self._local_workers and (self._background or self._local_workers.queues):
            from millstream import leaving

            leaving.wait_for_background(self.store, self._local_workers, self._background)

    def put_definition(self, digest: str, definition: bytes) -> None:
        """Keep a function that travels by value, unless that was done lately."""
        now = time.monotonic()
        if self._definitions.get(digest, 0.0) <= now:
            self.store.put_definition(digest, definition)
            self._definitions[digest] = now + self.store.settings.retention_seconds / 10

    def follow(self, future: Future[Any]) -> None:
        """Complete a future whose run another process submitted."""
        if not self._complete(future):
            self.watcher.watch([future])
            if not self.store.follow(future.run_id, self.owner):
                # It has just ended; or it is a flow run, or lost: that is for the watcher to find out.
                self._complete(future)

    def _complete(self, future: Future[Any]) -> bool:
        found = self.store.look([future.run_id])[future.run_id]
        if not (isinstance(found, bytes) and records.has_ended(found)):
            return False
        future.complete(partial(_state_of, future.run_id, found))
        return True

    def withdraw(self, flow_run_id: str) -> None:
        """End what is queued for a flow run that was interrupted."""
        self._interrupted.append(flow_run_id)
        withdrawals.withdraw_tree(self.store, flow_run_id, _INTERRUPTED)

    def drop_in_fork(self) -> None:
        """In a forked child: let go of what would keep the parent's workers alive when the parent has ended."""
        if self._local_workers:
            self._local_workers.drop_in_fork()

    def live_state(self, run_id: str) -> State[Any]:
        """The latest state of a run, as the store knows it now."""
        found = self.store.look([run_id])[run_id]
        if isinstance(found, bytes):
            return _state_of(run_id, found)
        if found and found.startswith("awaits "):
            return limits.awaiting(found.removeprefix("awaits "))
        return Running() if found == "started" else Pending()

    def _attend_queues(self) -> None:
        if self.watcher.is_waiting:
            for queue in list(self._queues):
                self._attend(queue)

    def _attend(self, queue: str) -> None:
        if self._serve:
            self._serve(queue)
        elif self._local_workers:
            self._local_workers.ensure(queue)
        elif self._warn_at.get(queue, 0.0) <= time.monotonic() and not self.store.workers(queue):
            self._warn_at[queue] = time.monotonic() + _SECONDS_BETWEEN_WARNINGS
            advice = "No worker serves the queue %r, so its runs wait. Start one: millstream worker start -q %s"
            _logger.warning(advice, queue, queue)


def _state_of(run_id: str, stored: bytes) -> State[Any]:
    return records.decode(run_id, stored).state
