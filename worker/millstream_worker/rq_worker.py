"""The worker as RQ knows it: registered, with a heartbeat, obeying `rq suspend` and RQ's commands."""

import json
import logging
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from typing import Any, cast

from redis.exceptions import OutOfMemoryError
from rq import get_current_job, worker_registration
from rq.suspension import WORKERS_SUSPENDED
from rq.worker import BaseWorker, WorkerStatus

from millstream_shared import connections, errors
from millstream_shared.store import Store

_SECONDS_BETWEEN_MAINTENANCE = 600.0


class RegisteredWorker(BaseWorker):
    """An RQ worker without RQ's loop: `rq info`, `rq suspend` and `send_shutdown_command` find what they expect.

    RQ's own thread listens for commands; `shutdown` arrives as SIGINT, as with any RQ worker. `processes` and `threads`
    are what it says of itself.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        queues: Sequence[str],
        *,
        processes: int | None = None,
        threads: int | None = None,
    ) -> None:
        logging.getLogger("rq.worker").setLevel(logging.WARNING)
        super().__init__(list(queues), name=name, connection=store.client)  # pyright: ignore[reportUnknownMemberType]
        # RQ adds a minute to this when it registers; our own heartbeats say exactly how long they are good for.
        self.worker_ttl = 1
        self._url = store.url
        self._time_to_live = int(store.settings.lease_seconds * 2)
        self._maintain_at = time.monotonic() + _SECONDS_BETWEEN_MAINTENANCE
        self._about = {"processes": processes or "", "threads": threads or ""}
        self._about["millstream_version"] = metadata.version("millstream")

    def serialize(self) -> dict[str, Any]:
        """What RQ writes of a worker, and what it does not know of ours."""
        fields = cast("dict[str, Any]", super().serialize())  # pyright: ignore[reportUnknownMemberType]
        return fields | self._about

    def handle_payload(self, message: dict[str, Any]) -> None:
        """Obey a command. A shutdown `at_once` comes as two signals, of two kinds, so that none hides the other."""
        super().handle_payload(message)  # pyright: ignore[reportUnknownMemberType]
        if json.loads(message["data"]).get("at_once"):
            os.kill(os.getpid(), signal.SIGTERM)

    def register(self) -> None:
        """Appear in `rq info`, and listen for commands."""
        self.subscribe()
        # A server without room does not show it; the first beat that it has room for makes up for that.
        with suppress(errors.BackendFull), connections.naming_refusals(self._url):
            self.register_birth()
            self.set_state(WorkerStatus.IDLE)
            self.heartbeat(self._time_to_live)

    def beat(self, *, busy: bool, tally: int) -> None:
        """Say that we live, and how many runs we have ended since the last beat.

        Raises BackendFull if the server has no room for that; it goes on to show us as we were.
        """
        with connections.naming_refusals(self._url):
            try:
                self._beat(busy, tally)
            except OutOfMemoryError:
                self.connection.expire(self.key, self._time_to_live)
                raise

    def _beat(self, busy: bool, tally: int) -> None:
        connection: Any = self.connection
        with connection.pipeline() as pipeline:
            # All fields again: the registration may have expired during an outage.
            pipeline.hset(
                self.key, mapping=self.serialize() | {"state": WorkerStatus.BUSY if busy else WorkerStatus.IDLE}
            )
            for queue in self.queue_names():
                pipeline.sadd(f"rq:workers:{queue}", self.key)
            pipeline.sadd(self.redis_workers_keys, self.key)
            pipeline.hincrby(self.key, "successful_job_count", tally)
            self.heartbeat(self._time_to_live, pipeline=pipeline)
            pipeline.execute()

    def is_suspended(self) -> bool:
        """Whether `rq suspend` has told all workers to pause."""
        # RQ asks in a transaction, which a server without room refuses.
        return bool(self.connection.exists(WORKERS_SUSPENDED))

    def maintain(self) -> None:
        """RQ's own upkeep of registries, every ten minutes, for the jobs that stock workers left there."""
        if time.monotonic() >= self._maintain_at:
            self._maintain_at = time.monotonic() + _SECONDS_BETWEEN_MAINTENANCE
            with connections.naming_refusals(self._url):
                self.clean_registries()

    def unregister(self) -> None:
        """Disappear from `rq info`."""
        with connections.naming_refusals(self._url):
            self._say_dead()
        # RQ's own `unsubscribe` tells the thread to stop only after the message that would have woken it: a second is
        # lost.
        thread, pubsub = self.pubsub_thread, cast("Any", self.pubsub)
        if thread:
            thread.stop()
            pubsub.unsubscribe()
            thread.join(timeout=1)

    def _say_dead(self) -> None:
        try:
            self.register_death()
        except OutOfMemoryError:
            # RQ would note the time of death too, and a server without room takes no transaction at all.
            connection: Any = self.connection
            with connection.pipeline(transaction=False) as pipeline:
                worker_registration.unregister(self, pipeline)
                pipeline.delete(self.key)
                pipeline.execute()


def current_job() -> tuple[str, Any]:
    """Id and Redis client of the job that a stock `rq worker` executes here. Raises RuntimeError anywhere else."""
    job = get_current_job()
    if job is None:
        raise RuntimeError("Only an RQ worker calls this: use `millstream worker start`, or `rq worker`.")
    return job.id, job.connection
