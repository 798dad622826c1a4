"""Deployments as the store keeps them: which flow, where its code is, with which parameters, on which queue, when."""

import hmac
import logging
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from millstream_shared import errors, ids, keys
from millstream_shared.limits import Limits
from millstream_shared.schedules import ScheduleRecord
from millstream_shared.store import Store

CollisionStrategy = Literal["ENQUEUE", "CANCEL_NEW"]
OnCrash = Literal["crash", "resume"]

_logger: Final = logging.getLogger("millstream.deployments")

_FORBIDDEN: Final = "/%&><\n"
_LONGEST_NAME: Final = 200
_KEPT_BESIDE: Final = frozenset({"id", "created", "updated", "revision", "paused"})


class GitSource(BaseModel):
    """A repository that the code is fetched from: a branch or tag, or one commit; neither: its default branch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    url: str
    branch: str | None = None
    commit: str | None = None


class DeploymentRecord(BaseModel):
    """A deployment. Times are seconds since the epoch; `revision` counts the changes that were made to it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    flow_name: str
    name: str
    entrypoint: str
    """`folder/file.py:flow` or `module:flow`."""
    path: str | None = None
    """The folder in which a file entrypoint lies, and that comes first on `sys.path`. With a source: one in that."""
    source: GitSource | None = None
    queue: str | None = None
    """None: the default queue of who triggers it."""
    parameters: dict[str, Any] = {}
    """JSON values. What a run is given, and what its schedule says, goes before these."""
    parameter_schema: dict[str, Any] = {}
    enforce_parameter_schema: bool = True
    tags: tuple[str, ...] = ()
    description: str | None = None
    version: str | None = None
    schedules: tuple[ScheduleRecord, ...] = ()
    paused: bool = False
    """Its schedules do not fire; it can be triggered."""
    concurrency_limit: Annotated[int, Field(ge=1)] | None = None
    """How many of its runs may be executed at once."""
    collision_strategy: CollisionStrategy = "ENQUEUE"
    """What becomes of a run over that limit: it waits, or it is cancelled."""
    on_crash: OnCrash = "crash"
    """What becomes of a run whose process died: it is Crashed, or it is resumed."""
    id: str = Field(default_factory=ids.new_flow_run_id)
    created: float = 0.0
    updated: float = 0.0
    revision: int = 0

    @property
    def full_name(self) -> str:
        """`flow/deployment`, by which it is triggered."""
        return f"{self.flow_name}/{self.name}"

    @property
    def limit_tag(self) -> str:
        """The tag that its runs have for the limit on how many are executed at once."""
        return f"deployment:{self.id}"


class Deployments:
    """The deployments of one store, each under its full name, which it keeps for good."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, record: DeploymentRecord, *, keeps_paused: bool = False) -> DeploymentRecord:
        """Make the deployment, or put it in place of the one with its name; the record as it is kept now.

        One that is replaced keeps its id, and when it was made; with `keeps_paused`, also whether it is paused.
        """
        paused = "" if keeps_paused else _flag(record.paused)
        written = self._write(record, paused, "any")
        self._limit(written)
        return written

    def _limit(self, record: DeploymentRecord) -> None:
        limits, name = Limits(self._store.script), f"tag:{record.limit_tag}"
        if record.concurrency_limit is None:
            limits.delete(name)
        else:
            limits.write(name, "any", limit=record.concurrency_limit)

    def change(self, name: str, change: Callable[[DeploymentRecord], DeploymentRecord]) -> DeploymentRecord | None:
        """Keep what `change` makes of the record, which it is called with again if another was faster; None: no such.

        The names, the id and the times are not changed.
        """
        while record := self.read(name):
            wanted = change(record)
            if wanted == record:
                return record
            wanted = wanted.model_copy(update={"flow_name": record.flow_name, "name": record.name})
            if written := self._write(wanted, _flag(wanted.paused), str(record.revision)):
                return written
        return None

    def set_paused(self, name: str, paused: bool) -> DeploymentRecord | None:
        """Have its schedules not fire, or fire again; None if there is no such deployment."""
        return self.change(name, lambda record: record.model_copy(update={"paused": paused}))

    def read(self, name: str) -> DeploymentRecord | None:
        """The deployment of this full name, or with this id, which may have dashes.

        Raises UnreadableDeployment for one that another version has written in a way that this one does not know.
        """
        full_name = name if "/" in name else self._store.command("HGET", keys.DEPLOYMENT_IDS, _digits(name))
        found = full_name and self._store.command("HGET", keys.DEPLOYMENTS, full_name)
        return self._decoded(full_name, found) if found else None

    def read_all(self) -> list[DeploymentRecord]:
        """All of them, by full name, but for those that cannot be read: these must not keep others from running."""
        found: dict[bytes, bytes] = self._store.command("HGETALL", keys.DEPLOYMENTS)
        records: list[DeploymentRecord] = []
        for name, kept in found.items():
            try:
                records.append(self._decoded(name, kept))
            except errors.UnreadableDeployment as failure:
                _logger.warning("%s", failure)
        return sorted(records, key=lambda record: record.full_name)

    def delete(self, name: str) -> DeploymentRecord | None:
        """Have no such deployment any more; what it was, or None if there was none. Its runs stay."""
        record = self.read(name)
        if record is not None:
            self._store.script("deployment_delete", record.full_name, record.id)
            Limits(self._store.script).delete(f"tag:{record.limit_tag}")
            self._store.script("schedules_forget", f"{record.id}/")
        return record

    def changes(self) -> int:
        """A number that is another one after any deployment was made, changed or deleted."""
        return int(self._store.command("HGET", keys.COUNTERS, "deployments") or 0)

    def _write(self, record: DeploymentRecord, paused: str, expected: str) -> Any:
        body = self._signed(record.model_dump_json(exclude=set(_KEPT_BESIDE)))
        kept = self._store.script("deployment_write", record.full_name, record.id, paused, expected, body)
        if not kept:
            return None
        written = self._decoded(record.full_name, kept)
        # What does not fire now has missed nothing when it fires again.
        silent = ("",) if written.paused else [f"{each.slug}/" for each in written.schedules if not each.active]
        if silent and written.schedules:
            self._store.script("schedules_forget", *(f"{written.id}/{slug}" for slug in silent))
        return written

    # -- a worker makes runs of what it reads here, so with a signing key it must not read what others have put here

    def _signed(self, body: str) -> str:
        key = self._store.settings.signing_key
        return f"{_signature(key, body)}\n{body}" if key else body

    def _decoded(self, name: str | bytes, kept: bytes) -> DeploymentRecord:
        full_name = name if isinstance(name, str) else name.decode()
        try:
            head, _, rest = kept.decode().partition("\n")
            signature, body = ("", rest) if rest.startswith("{") else rest.split("\n", 1)
            key = self._store.settings.signing_key
            if key and not hmac.compare_digest(signature, _signature(key, body)):
                raise ValueError("its signature is missing or wrong")
            record = DeploymentRecord.model_validate_json(body)
            if record.full_name != full_name:
                raise ValueError(f"it is {record.full_name!r} in place of it")
            id, created, updated, revision, paused = head.split(" ")
        except ValueError as failure:
            raise errors.UnreadableDeployment(full_name, str(failure)) from failure
        own = {"created": float(created), "updated": float(updated), "revision": int(revision), "paused": paused == "1"}
        return record.model_copy(update={"id": id, **own})


def check_name(name: object) -> str:
    """`name` if a deployment can be called so. Raises InvalidNameError, or TypeError for what is no text."""
    if not isinstance(name, str):
        raise TypeError(f"The name of a deployment is a text, got {type(name).__name__}: {name!r}.")
    if not name.strip() or len(name) > _LONGEST_NAME or any(sign in name for sign in _FORBIDDEN):
        raise errors.InvalidNameError(
            f"The name of a deployment is one line of at most {_LONGEST_NAME} characters, without any of / % & > <; "
            f"got {name!r}."
        )
    return name


def not_found(name: str) -> errors.ObjectNotFound:
    """The error for a name that no deployment has."""
    return errors.ObjectNotFound(
        f"There is no deployment {name!r}: `millstream deployment ls` shows those there are, as FLOW/DEPLOYMENT."
    )


def _signature(key: str, body: str) -> str:
    return hmac.new(key.encode(), b"deployment\n" + body.encode(), "sha256").hexdigest()


def _digits(id: str) -> str:
    return id.replace("-", "").lower()


def _flag(value: bool) -> str:
    return "1" if value else "0"
