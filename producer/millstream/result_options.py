"""Options about results and caching: what they take, and what follows from them."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from millstream.cache_policies import CachePolicy
    from millstream.options import TaskOptions

_logger: Final = logging.getLogger("millstream.tasks")


@dataclass(frozen=True, slots=True)
class Manner:
    """Whether results are persisted, where, and by which serializer; what is None is as in the run around."""

    persist: bool | None = None
    storage: Any = None
    serializer: Any = None


def manner(persist: bool | None, storage: Any, serializer: Any, *, has_key: bool = False) -> Manner | None:
    """What the options say about results: whoever says where or how they are kept wants them to be kept."""
    if persist is None and (has_key or storage is not None or serializer is not None):
        persist = True
    return None if persist is None else Manner(persist, storage, serializer)


def policy_of(options: "TaskOptions") -> "CachePolicy":
    """The cache policy of a task: its key function, else the one given, else DEFAULT."""
    from millstream import cache_policies  # only for tasks whose results are kept, or that are asked

    if options.persist_result is False:
        return cache_policies.NO_CACHE
    if options.cache_key_fn is not None:
        return cache_policies.CacheKeyFnPolicy(options.cache_key_fn)
    if options.cache_policy is not None:
        return options.cache_policy
    return cache_policies.DEFAULT if options.result_storage_key is None else cache_policies.NO_CACHE


def warn_of_contradictions(name: str, given: Mapping[str, Any]) -> None:
    """Say so where one of the options given makes another one idle."""
    policy, key_fn = given.get("cache_policy"), given.get("cache_key_fn")
    if policy is not None and key_fn is not None:
        _logger.warning("Task %r has both a cache_policy and a cache_key_fn: the function counts.", name)
    if given.get("persist_result") is False and (key_fn is not None or (policy is not None and caches(policy))):
        _logger.warning("The cache_policy of task %r does not count, as persist_result is False.", name)


def caches(policy: "CachePolicy | None") -> bool:
    """Whether this is a policy under which anything is cached."""
    from millstream import cache_policies

    return policy is not None and not isinstance(policy, cache_policies.NoCache)


def _policy(given: Any) -> Any:
    from millstream import cache_policies

    if given is None:
        return cache_policies.NO_CACHE
    if not isinstance(given, cache_policies.CachePolicy):
        raise TypeError(f"cache_policy takes a policy of millstream.cache_policies, such as INPUTS; got {given!r}.")
    return given


def _key_fn(given: Any) -> Any:
    if given is not None and not callable(given):
        raise TypeError(f"cache_key_fn takes a function of context and parameters, got {given!r}.")
    return given


def _expiration(given: Any) -> Any:
    if given is None:
        return None
    if not isinstance(given, timedelta | int | float) or isinstance(given, bool):
        raise TypeError(f"cache_expiration takes a timedelta or a number of seconds, got {given!r}.")
    if (given if isinstance(given, int | float) else given.total_seconds()) <= 0:
        raise ValueError(f"cache_expiration is more than 0, got {given!r}.")
    return given


def _storage(given: Any) -> Any:
    from millstream_shared import storages

    if given is not None:
        storages.at(given)
    return given


def _serializer(given: Any) -> Any:
    from millstream_shared import serializers

    if given is not None:
        serializers.resolve(given)
    return given


def _key(given: Any) -> Any:
    if given is not None and not isinstance(given, str):
        raise TypeError(f"result_storage_key takes a text, such as 'report-{{parameters[day]}}'; got {given!r}.")
    return given


def _choice(option: str, *, may_be_none: bool = True) -> Callable[[Any], Any]:
    def check(given: Any) -> Any:
        if not isinstance(given, bool) and not (given is None and may_be_none):
            raise TypeError(f"{option} takes True{', False or None' if may_be_none else ' or False'}, got {given!r}.")
        return given

    return check


CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "cache_policy": _policy,
    "cache_key_fn": _key_fn,
    "cache_expiration": _expiration,
    "refresh_cache": _choice("refresh_cache"),
    "persist_result": _choice("persist_result"),
    "result_storage": _storage,
    "result_serializer": _serializer,
    "result_storage_key": _key,
    "cache_result_in_memory": _choice("cache_result_in_memory", may_be_none=False),
}
