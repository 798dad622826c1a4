"""What makes two runs of a task the same, so that one can take the other's result: policies, and how they add up."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from millstream import fingerprints
from millstream.isolation import IsolationLevel

if TYPE_CHECKING:
    from millstream.context import TaskRunContext

CacheKeyFn = Callable[["TaskRunContext", dict[str, Any]], str | None]


@dataclass(frozen=True, kw_only=True)
class CachePolicy:
    """How the cache key of a run is computed, where what is cached is kept, and whether equal runs wait in line.

    Policies are added with `+`: runs are the same if both say so. `policy - "name"` leaves a parameter out of it.
    """

    key_storage: Any = None
    isolation_level: IsolationLevel | None = None
    lock_manager: Any = None

    @staticmethod
    def from_cache_key_fn(cache_key_fn: CacheKeyFn) -> "CacheKeyFnPolicy":
        """The policy that has `cache_key_fn(context, parameters)` compute the key."""
        return CacheKeyFnPolicy(cache_key_fn)

    def compute_key(
        self, task_ctx: "TaskRunContext", inputs: dict[str, Any], flow_parameters: dict[str, Any]
    ) -> str | None:
        """The key of a run; None: it has no equal. `inputs` are its parameters, resolved and with defaults."""
        del task_ctx, inputs, flow_parameters
        return None

    def configure(
        self, key_storage: Any = None, lock_manager: Any = None, isolation_level: IsolationLevel | None = None
    ) -> Self:
        """A copy that keeps results in `key_storage`, a storage as `result_storage` takes it.

        With IsolationLevel.SERIALIZABLE, runs with the same key wait for each other: by a lock in Redis, or by
        `lock_manager`.
        """
        given = {"key_storage": key_storage, "lock_manager": lock_manager, "isolation_level": isolation_level}
        return self._changed(**{name: value for name, value in given.items() if value is not None})

    def _changed(self, **changes: Any) -> Self:
        new = copy.copy(self)
        for name, value in changes.items():
            object.__setattr__(new, name, value)
        return new

    def __add__(self, other: "CachePolicy") -> "CachePolicy":
        if not isinstance(other, CachePolicy):  # pyright: ignore[reportUnnecessaryIsInstance]
            return NotImplemented
        where = _joined(self, other)
        if isinstance(other, NoCache):
            return self._changed(**where)
        if isinstance(self, NoCache):
            return other._changed(**where)
        members = _flattened([self, other])
        return members[0]._changed(**where) if len(members) == 1 else CompoundCachePolicy(members, **where)

    def __sub__(self, other: str) -> "CachePolicy":
        _check_name(other)
        return self


@dataclass(frozen=True)
class CacheKeyFnPolicy(CachePolicy):
    """A function computes the key: `cache_key_fn(context, parameters)`; None means not to cache."""

    cache_key_fn: CacheKeyFn

    def compute_key(
        self, task_ctx: "TaskRunContext", inputs: dict[str, Any], flow_parameters: dict[str, Any]
    ) -> str | None:
        """What the function says."""
        del flow_parameters
        return self.cache_key_fn(task_ctx, inputs)


@dataclass(frozen=True)
class CompoundCachePolicy(CachePolicy):
    """Several policies: their keys together. Those that have none to give do not count."""

    policies: tuple[CachePolicy, ...] = ()

    def compute_key(
        self, task_ctx: "TaskRunContext", inputs: dict[str, Any], flow_parameters: dict[str, Any]
    ) -> str | None:
        """One key for all of theirs; None if none has any."""
        keys = [policy.compute_key(task_ctx, inputs, flow_parameters) for policy in self.policies]
        found = [key for key in keys if key is not None]
        # Sorted: the order in which policies are added does not count.
        return fingerprints.of(*sorted(found)) if found else None

    def __sub__(self, other: str) -> "CachePolicy":
        _check_name(other)
        return self._changed(policies=tuple(policy - other for policy in self.policies))


@dataclass(frozen=True)
class NoCache(CachePolicy):
    """Runs are never the same."""


@dataclass(frozen=True)
class TaskSource(CachePolicy):
    """Runs of the same code are the same."""

    def compute_key(
        self, task_ctx: "TaskRunContext", inputs: dict[str, Any], flow_parameters: dict[str, Any]
    ) -> str | None:
        """From what the task's function does."""
        del inputs, flow_parameters
        return fingerprints.of_code(task_ctx.task.fn)


@dataclass(frozen=True)
class FlowParameters(CachePolicy):
    """Runs in flow runs with the same parameters are the same."""

    def compute_key(
        self, task_ctx: "TaskRunContext", inputs: dict[str, Any], flow_parameters: dict[str, Any]
    ) -> str | None:
        """From the flow run's parameters; None where there are none."""
        del task_ctx, inputs
        return fingerprints.of(flow_parameters) if flow_parameters else None


@dataclass(frozen=True)
class RunId(CachePolicy):
    """Runs within one flow run are the same; outside of a flow run each task run is by itself."""

    def compute_key(
        self, task_ctx: "TaskRunContext", inputs: dict[str, Any], flow_parameters: dict[str, Any]
    ) -> str | None:
        """The id of the flow run, else of the task run."""
        del inputs, flow_parameters
        return task_ctx.task_run.flow_run_id or task_ctx.task_run.run_id


@dataclass(frozen=True)
class Inputs(CachePolicy):
    """Runs with the same parameters are the same, save those that are `exclude`d."""

    exclude: frozenset[str] = field(default_factory=frozenset[str])

    def compute_key(
        self, task_ctx: "TaskRunContext", inputs: dict[str, Any], flow_parameters: dict[str, Any]
    ) -> str | None:
        """From the parameters that count; None where there are none. Raises ValueError for those that cannot be
        told from others."""
        del task_ctx, flow_parameters
        counting = {name: value for name, value in inputs.items() if name not in self.exclude}
        if not counting:
            return None
        try:
            return fingerprints.of(counting)
        except ValueError as failure:
            raise ValueError(
                f"No cache key can be made of the arguments ({failure}). Leave the one that is to blame out, by "
                'cache_policy=INPUTS - "its name", or set cache_policy=NO_CACHE.'
            ) from failure

    def __sub__(self, other: str) -> "CachePolicy":
        return self._changed(exclude=self.exclude | {_check_name(other)})


def looks_at_flow(policy: CachePolicy) -> bool:
    """Whether a policy may look at the flow run's parameters, which in a worker have to be fetched."""
    if isinstance(policy, CompoundCachePolicy):
        return any(looks_at_flow(member) for member in policy.policies)
    return type(policy) not in (Inputs, TaskSource, RunId, NoCache, CacheKeyFnPolicy)


def _check_name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f'The name of a parameter is subtracted from a policy, such as INPUTS - "x"; got {name!r}.')
    return name


def _joined(one: CachePolicy, other: CachePolicy) -> dict[str, Any]:
    """What both are configured with. Raises ValueError where they contradict each other."""
    joined: dict[str, Any] = {}
    for name in ("key_storage", "isolation_level", "lock_manager"):
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine is not None and theirs is not None and mine != theirs:
            raise ValueError(f"These cache policies cannot be added: one has {name} {mine!r}, the other {theirs!r}.")
        joined[name] = theirs if mine is None else mine
    return joined


def _flattened(policies: list[CachePolicy]) -> tuple[CachePolicy, ...]:
    """The policies, each once; all that look at inputs as one, which leaves out what any of them does."""
    members: list[CachePolicy] = []
    for policy in policies:
        members += policy.policies if isinstance(policy, CompoundCachePolicy) else [policy]
    excluded = frozenset(name for policy in members if isinstance(policy, Inputs) for name in policy.exclude)
    merged: list[CachePolicy] = []
    for policy in members:
        new = Inputs(excluded) if isinstance(policy, Inputs) else policy
        if new not in merged:
            merged.append(new)
    return tuple(merged)


def task_input_hash(context: "TaskRunContext", arguments: dict[str, Any]) -> str | None:
    """A ready `cache_key_fn`: runs of the same task code with the same arguments are the same."""
    return fingerprints.of(fingerprints.of_code(context.task.fn), arguments)


INPUTS: Final = Inputs()
TASK_SOURCE: Final = TaskSource()
FLOW_PARAMETERS: Final = FlowParameters()
RUN_ID: Final = RunId()
NO_CACHE: Final = NoCache()
NONE: Final = NO_CACHE
DEFAULT: Final = INPUTS + TASK_SOURCE + RUN_ID
