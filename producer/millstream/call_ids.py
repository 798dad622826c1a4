"""The ids of runs that a flow run starts, made so that a second execution of it gives them again.

A flow run whose process died can be resumed: its function is called anew. A call that it makes again, of the same task
or flow with the same arguments, then has the id that it had, and so leads to the run that was made for it before, be it
queued, executed or ended.
"""

import hashlib
import threading
from collections.abc import Iterable
from functools import partial

from millstream_shared import ids

_blake2b = partial(hashlib.blake2b, digest_size=ids.DIGEST_BYTES)


class CallIds:
    """Ids for the calls that one try of a flow run makes; safe to use from several threads.

    Equal calls are told apart by their order: the second one gets the second id.
    """

    def __init__(self, flow_run_id: str, tries: int) -> None:
        self._flow_run_id = flow_run_id
        self._seed = f"{flow_run_id} {tries}".encode()
        self._keys: dict[str, bytes] = {}
        self._given: set[str] = set()
        self._lock = threading.Lock()

    def of_tasks(self, task: str, batch: Iterable[bytes]) -> list[str]:
        """Ids for runs of `task`, one for each of these arguments."""
        key, tree, given, make = self._key(f"task {task}"), self._flow_run_id, self._given, ids.task_run_id_of
        run_ids: list[str] = []
        with self._lock:
            for arguments in batch:
                digest = _blake2b(arguments, key=key).digest()
                while (run_id := make(tree, digest)) in given:
                    digest = _blake2b(digest, key=key).digest()
                given.add(run_id)
                run_ids.append(run_id)
        return run_ids

    def of_flow(self, flow: str, arguments: bytes = b"") -> str:
        """The same for a flow; where it is called and not submitted, the arguments are left out."""
        key = self._key(f"flow {flow}")
        digest = _blake2b(arguments, key=key).digest()
        with self._lock:
            while (run_id := ids.flow_run_id_of(digest)) in self._given:
                digest = _blake2b(digest, key=key).digest()
            self._given.add(run_id)
        return run_id

    def _key(self, what: str) -> bytes:
        key = self._keys.get(what)
        if key is None:
            key = self._keys[what] = hashlib.blake2b(what.encode(), key=self._seed).digest()
        return key
