"""Run ids: 32 hex digits of a random UUID, of which the runs of one flow run share the first twelve.

The shared beginning (the *tree*) names the Redis key that holds a run's record, so an id alone is enough to find
the record and the records of one flow run lie, expire and move together. A background run, which belongs to no flow
run, has a tree of its own. The 17th digit says what a run is: 8 a task run, 9 one in the background, a a flow run.
"""

import os
import re
import uuid
from typing import cast

from millstream_shared import errors

_TREE_DIGITS = 12
_WORKER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIANT_AT = 16
_TASK, _BACKGROUND, _FLOW = "8", "9", "a"
DIGEST_BYTES = 15
"""What an id is made of that is not drawn at random: as much of a hash as there is room for."""


def new_flow_run_id() -> str:
    """A fresh id with a tree of its own."""
    return _uuid4_hex(os.urandom(6).hex(), _FLOW)


def flow_run_id_of(digest: bytes) -> str:
    """The id, with a tree of its own, that belongs to a hash."""
    digits = digest.hex()
    return _uuid4_hex(digits[:_TREE_DIGITS], _FLOW, digits[_TREE_DIGITS:])


def task_run_id_of(flow_run_id: str, digest: bytes) -> str:
    """The id in the tree of `flow_run_id` that belongs to a hash."""
    return _uuid4_hex(tree_of(flow_run_id), _TASK, digest.hex())


def is_flow(run_id: str) -> bool:
    """Whether this is the id of a flow run."""
    return run_id[_VARIANT_AT] == _FLOW


def new_task_run_id(flow_run_id: str | None) -> str:
    """A fresh id in the tree of `flow_run_id`; with None (a task called outside any flow) in one of its own."""
    return _uuid4_hex(tree_of(flow_run_id) if flow_run_id else os.urandom(6).hex())


def new_background_run_id() -> str:
    """A fresh id for a run in the background."""
    return _uuid4_hex(os.urandom(6).hex(), _BACKGROUND)


def is_background(run_id: str) -> bool:
    """Whether this is the id of a run in the background."""
    return run_id[_VARIANT_AT] == _BACKGROUND


def digits_of(given: object) -> str:
    """The 32 hex digits of the id of a run, given as a UUID or as text. Raises ValueError for what is none."""
    if isinstance(given, uuid.UUID):
        return given.hex
    try:
        return uuid.UUID(cast("str", given)).hex
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"The id of a run is a UUID, or its 32 hex digits; got {given!r}.") from None


def tree_of(run_id: str) -> str:
    """The part of the id that all runs of one flow run share."""
    return run_id[:_TREE_DIGITS]


def new_owner_id(kind: str) -> str:
    """A name for one incarnation of a process that holds leases: never reused, so it serves as its fencing token."""
    return f"{kind}-{os.getpid()}-{os.urandom(5).hex()}"


def check_worker_name(name: str) -> None:
    """Raises InvalidNameError for what is no name of a worker."""
    if not _WORKER_NAME.fullmatch(name):
        raise errors.InvalidNameError(
            f"{name!r} is no name of a worker: take up to 64 letters, digits, '.', '_' and '-', the first a letter "
            "or digit."
        )


def label_of(owner: str) -> str:
    """What an owner id begins with: the kind of process, or the name that somebody gave a worker."""
    return owner.rsplit("-", 2)[0]


def lives_here(owner: str) -> bool:
    """Whether the process of an owner id lives on this machine; True for what is no such id.

    To be asked only where all owners are on this machine, as with a private server.
    """
    pid = owner.rsplit("-", 2)[1] if owner.count("-") >= 2 else ""
    if not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def lives_beside(owner: str) -> bool:
    """The same of other processes than this one: its own number in an id is that of an earlier one, or life.

    In a container that is started again each process is likely to have the number that it had before.
    """
    return lives_here(owner) and owner.rsplit("-", 2)[1:2] != [str(os.getpid())]


def _uuid4_hex(tree: str, variant: str = _TASK, digits: str | None = None) -> str:
    # os.urandom rather than `random`: a user's random.seed() must not make two processes draw the same ids.
    digits = digits or os.urandom(9).hex()
    return f"{tree}4{digits[:3]}{variant}{digits[3:18]}"
