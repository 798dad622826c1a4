"""What Redis knows of flow runs as such: lists of them, and what becomes of one after it has ended."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from millstream_shared import errors, keys, orders, records, rq_queue
from millstream_shared.kept import Kept
from millstream_shared.records import Record
from millstream_shared.states import StateType
from millstream_shared.store import Store

_FIRST_PAGE, _LARGEST_PAGE = 25, 500


class FlowRuns:
    """The part of `store` that is about flow runs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept = Kept(store)

    # -- looking

    def read(self, run_id: str) -> Record | None:
        """The record of one flow run."""
        stored = self._store.records([run_id]).get(run_id)
        return None if stored is None else records.decode(run_id, stored)

    def newest(
        self, *, state: StateType | None = None, flow: str | None = None, deployment_id: str | None = None
    ) -> Iterator[Record]:
        """Flow runs, the newest first, read as they are taken: however many there are, the first cost the same.

        Those in a state, of the flow of a name, or of a deployment, if that is said.
        """
        lists = [
            *([keys.flow_runs_of("state", records.letter_of(state))] if state else []),
            *([keys.flow_runs_of("deployment", deployment_id)] if deployment_id else []),
            *([keys.flow_runs_of("flow", flow)] if flow else []),
        ]
        # The shortest list, and of that what fits the rest.
        name = min(lists, key=self._length) if lists else keys.FLOW_RUNS
        for found in self._in_list(name):
            fits = (state in (None, found.state_type), flow in (None, found.function_name))
            if all(fits) and deployment_id in (None, (found.details or {}).get("deployment")):
                yield found

    def subflows(self, run_id: str) -> list[Record]:
        """The flow runs that were begun within one, by itself or by its tasks, as far as they are known."""
        names = self._kept.subflows(run_id)
        stored = self._store.records(names)
        return [records.decode(name, stored[name]) for name in names if name in stored]

    def flows(self) -> list[str]:
        """The names of all flows of which there were runs lately, by name."""
        oldest = (time.time() - self._store.settings.retention_seconds) * 1000
        self._store.command("ZREMRANGEBYSCORE", keys.FLOWS, "-inf", f"({oldest}")
        return sorted(name.decode() for name in self._store.command("ZRANGE", keys.FLOWS, 0, -1))

    def _length(self, name: str) -> int:
        return self._store.command("ZCARD", name)

    def _in_list(self, name: str) -> Iterator[Record]:
        at, size = 0, _FIRST_PAGE
        while found := self._store.command("ZREVRANGE", name, at, at + size - 1):
            run_ids = [entry.decode() for entry in found]
            stored = self._store.records(run_ids)
            if gone := [run_id for run_id in run_ids if run_id not in stored]:
                self._store.command("ZREM", name, *gone)
            yield from (records.decode(run_id, stored[run_id]) for run_id in run_ids if run_id in stored)
            at, size = at + size - len(gone), min(2 * size, _LARGEST_PAGE)

    # -- being stopped

    def cancel(self, found: Sequence[Record]) -> list[str]:
        """Say of these, which some process executes, that they are to end, and tell it so; the outermost ones first.

        Gives the ids of those whose record is another one now.
        """
        args: list[str | bytes] = []
        for run in found:
            after = replace(run, state_type=StateType.CANCELLING, state_name="Cancelling", message=None)
            args += (run.run_id, run.encode(), after.encode())
        if not args:
            return []
        return [name.decode() for name in self._store.script("cancel", self._store.settings.retention_seconds, *args)]

    # -- pauses

    def suspend(self, owner: str, run_id: str, attempt: int, record: bytes, key: str, until: float | None) -> bool:
        """Let a run leave its process, as this record says, until it is resumed; False if it is to end instead.

        After `until`, in seconds since the epoch, it is executed again all the same.
        """
        ends = "" if until is None else round(until * 1000)
        retention = self._store.settings.retention_seconds
        return bool(self._store.script("suspend", owner, run_id, attempt, record, retention, key, ends))

    def unpause(self, found: Record, after: Record, key: str, given: str, owner: str) -> bool:
        """Have a paused run go on with what it is `given`, JSON; False if its record is another one now.

        `owner` is the process that waits for that; one that left its process is queued anew.
        """
        order = orders.to_resume(found.run_id)
        records_of_it = (found.encode(), after.encode())
        retention = self._store.settings.retention_seconds
        return bool(self._store.script("unpause", found.run_id, *records_of_it, retention, key, given, owner, order))

    def input(self, run_id: str, key: str) -> tuple[str | None, float | None]:
        """What a run was given at a pause, JSON, or None; and until when that lasts, if it had left its process."""
        given, until = self._store.command("HMGET", keys.inputs(run_id), f"input {key}", f"until {key}")
        return given and given.decode(), until and float(until) / 1000

    def forget_input(self, run_id: str, key: str) -> None:
        """Take back what a run was given at a pause."""
        self._store.command("HDEL", keys.inputs(run_id), f"input {key}")

    # -- going on

    def resume(self, run_id: str, message: str, queue: str, payload: bytes = b"") -> bool:
        """Queue a run anew that has ended, or is suspended; False if it went on meanwhile.

        `payload` says how to execute it, where it was not queued before. Raises ObjectNotFound if nothing says that.
        """
        stored = self._store.records([run_id]).get(run_id)
        if stored is None:
            return False
        before = records.decode(run_id, stored)
        after = replace(
            before,
            state_type=StateType.SCHEDULED,
            state_name="AwaitingRetry",
            message=message,
            ended=None,
            data_kind=records.ABSENT,
            data=None,
        )
        answer = self._store.script(
            "resume",
            run_id,
            stored,
            after.encode(),
            keys.flow_queue(queue),
            rq_queue.JOB_DATA,
            payload,
            self._store.settings.retention_seconds,
        )
        if answer < 0:
            raise errors.ObjectNotFound(
                f"Flow run {before.name!r} cannot be executed again: what it was called with is not kept any more."
            )
        return bool(answer)

    def delete(self, run_id: str) -> bool:
        """Keep nothing of a flow run, nor of its task runs; False if it has not ended, or goes on by now.

        Flow runs that it called have records of their own, which stay.
        """
        stored = self._store.records([run_id]).get(run_id)
        if stored is None or not records.has_ended(stored):
            return False
        found = [name for key in (keys.runs(run_id), keys.logged(run_id)) for name in self._store.command("HKEYS", key)]
        for at in range(0, len(found), 500):
            self._store.script("erase", *found[at : at + 500])
        run = records.decode(run_id, stored)
        # As it is written in lists of flows, where a line is a field.
        flow, deployment = run.function_name.replace("\n", " "), (run.details or {}).get("deployment", "")
        return bool(self._store.script("erase_flow_run", run_id, stored, flow, deployment, run.flow_run_id or ""))

    def forget_unfinished(self, run_id: str) -> None:
        """Forget those runs of the flow run's own calls that ended without completing: they are to be made anew."""
        self.forget(
            [
                run.run_id
                for run in self._store.tree(run_id)
                if run.kind == "task" and run.parent_run_id is None and run.state_type is not StateType.COMPLETED
            ]
        )

    def forget(self, run_ids: Sequence[str]) -> None:
        """Forget these, as far as they have ended without completing."""
        for at in range(0, len(run_ids), 500):
            self._store.script("forget", *run_ids[at : at + 500])
