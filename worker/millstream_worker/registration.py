"""What others see of a worker: its lease, the name that people gave it, RQ's registration, its signs of life."""

from collections.abc import Sequence
from importlib import metadata

from millstream_shared import connections, errors
from millstream_shared.store import Store
from millstream_shared.worker_names import Names
from millstream_worker import worker_logging
from millstream_worker.pulses import Pulse
from millstream_worker.rq_worker import RegisteredWorker


class Registration:
    """The presence of one worker, under the `owner` with which it last began. `label` is its name, if it has one."""

    def __init__(self, store: Store, label: str | None, pulse: Pulse | None) -> None:
        self.owner = ""
        self.is_suspended = False
        """Whether `rq suspend` asks workers to claim nothing."""
        self._store = store
        self._names = Names(store)
        self._label = label
        self._pulse = pulse
        self._rq: RegisteredWorker | None = None
        self._is_unheard = False
        store.during_outage = self.show_life

    def begin(self, owner: str, queues: Sequence[str], *, processes: int, threads: int) -> None:
        """Be there. Raises RedisUnavailable, and WorkerNameTaken."""
        self.owner = owner
        self._store.ping()
        self._store.take_lease(owner)
        if self._label:
            self._names.take(self._label, owner)
        self._rq = RegisteredWorker(self._store, owner, queues, processes=processes, threads=threads)
        self._rq.register()
        if self._pulse:
            self._pulse.begin(owner)

    def versions(self) -> dict[str, str]:
        """Those of server and worker, of one that tells. One that a script has started is silent, and need not ask."""
        if not self._pulse:
            return {}
        return {"server": self._store.server_version(), "millstream": metadata.version("millstream")}

    def show_life(self) -> None:
        """The loop has gone round, or tries again in an outage."""
        if self._pulse:
            self._pulse.beat()

    def renew(self) -> bool:
        """Go on having the lease; False if it had run out."""
        if not self._store.renew_lease(self.owner):
            return False
        if self._label:
            try:
                self._names.take(self._label, self.owner)
            except errors.WorkerNameTaken as taken:
                # After an outage. Leases have names of their own, so it only makes two workers look like one.
                worker_logging.warning("another worker has this name", reason=str(taken))
        return True

    def beat(self, *, busy: bool, tally: int) -> None:
        """Tell RQ's tools that it is there, and hear whether it is to be suspended."""
        assert self._rq is not None
        try:
            self._rq.beat(busy=busy, tally=tally)
            self._rq.maintain()
            suspended = self._rq.is_suspended()
        except (*connections.OUTAGE, errors.BackendFull) as lost:
            if not self._is_unheard:
                worker_logging.warning("a heartbeat was missed", reason=str(lost))
            self._is_unheard = True
            return
        self._is_unheard = False
        if suspended != self.is_suspended:
            self.is_suspended = suspended
            worker_logging.info("suspended, as `rq suspend` asks" if suspended else "resumed")

    def stop(self) -> None:
        """Say that it is about to end."""
        if self._pulse:
            self._pulse.stop()

    def withdraw(self) -> None:
        """Be there under this owner no more; the lease stays, with what is held under it."""
        if self._rq:
            self._rq.unregister()
            self._rq = None

    def end(self) -> None:
        """Give up all of it."""
        self.withdraw()
        if self._label:
            self._names.free(self._label, self.owner)
        self._store.end_lease(self.owner)

    def leave(self) -> None:
        """Leave no sign of life on this machine."""
        if self._pulse:
            self._pulse.end()
