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
        self._made: dict[bytes, int] = {}
        self._lock = threading.RLock()

    def of_tasks(self, task: str, batch: Iterable[bytes]) -> list[str]:
        """Ids for runs of `task`, one for each of these arguments."""
        key, tree = self._key(f"task {task}"), self._flow_run_id
        with self._lock:
            return [ids.task_run_id_of(tree, self._digest(key, arguments)) for arguments in batch]

    def of_flow(self, flow: str, arguments: bytes = b"") -> str:
        """The same for a flow; where it is called and not submitted, the arguments are left out."""
        key = self._key(f"flow {flow}")
        with self._lock:
            return ids.flow_run_id_of(self._digest(key, arguments))

    def _digest(self, key: bytes, arguments: bytes) -> bytes:
        digest = _blake2b(arguments, key=key).digest()
        before = self._made.get(digest, 0)
        self._made[digest] = before + 1
        return _blake2b(digest + before.to_bytes(8), key=key).digest() if before else digest

    def _key(self, what: str) -> bytes:
        key = self._keys.get(what)
        if key is None:
            key = self._keys[what] = hashlib.blake2b(what.encode(), key=self._seed).digest()
        return key
