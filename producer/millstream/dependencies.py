"""Futures and states inside arguments: finding them at any depth, and putting values in their place."""

import copy
import dataclasses
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeGuard, TypeVar, cast

from millstream.futures import Future
from millstream.utilities.annotations import Annotation, allow_failure, opaque, quote
from millstream_shared import errors, states
from millstream_shared.states import State

T = TypeVar("T")
Visit = Callable[[Any], Any]
_ATOMS: Final = frozenset({str, int, float, bool, bytes, complex, type(None)})


def find_futures(*expressions: Any) -> list[Future[Any]]:
    """Every future in `expressions`, each once."""
    found: dict[Future[Any], None] = {}

    def note(value: Any) -> Any:
        if _is_future(value):
            found[value] = None
        return value

    for expression in expressions:
        if type(expression) not in _ATOMS:
            _Walk(note).visit(expression)
    return list(found)


def find_in_call(parameters: dict[str, Any], wait_for: Iterable[Any]) -> list[Future[Any]]:
    """Every future among the arguments of a call. Most have none, which costs a look at each argument's type."""
    searched = [value for value in parameters.values() if type(value) not in _ATOMS]
    return find_futures(*searched, *wait_for) if searched or wait_for else []


def replace_futures(expression: Any, replacement: Callable[[Future[Any]], Any]) -> Any:
    """`expression` with every future replaced, once all of them are done; the same object if there are none."""
    pending = find_futures(expression)
    if not pending:
        return expression
    _wait(pending)
    return _Walk(lambda value: replacement(value) if _is_future(value) else value).visit(expression)


def resolve(expression: Any) -> Any:
    """`expression` with values in place of futures (which must be done) and states, and without annotations.

    Raises UpstreamTaskError for one that did not complete, unless it stands in `allow_failure`.
    """
    return expression if type(expression) in _ATOMS else _Walk(_value, unwrap=True).visit(expression)


def resolve_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """`resolve` for each parameter; the same dictionary where nothing changed."""
    resolved = parameters
    for key, value in parameters.items():
        if type(value) in _ATOMS:
            continue
        new = resolve(value)
        if new is not value:
            if resolved is parameters:
                resolved = dict(parameters)
            resolved[key] = new
    return resolved


def check_upstream(wait_for: Iterable[Any]) -> None:
    """Raise UpstreamTaskError for anything in `wait_for` that did not complete. Its futures must be done."""
    for item in wait_for:
        resolve(item)


def as_sequence(wait_for: Any) -> tuple[Any, ...]:
    """`wait_for` as a caller gave it: nothing, one future, or several of anything."""
    if wait_for is None:
        return ()
    if isinstance(wait_for, Future | State | Annotation):
        return (cast("Any", wait_for),)
    return tuple(wait_for)


def _is_future(value: Any) -> TypeGuard[Future[Any]]:
    return isinstance(value, Future)


def _wait(pending: list[Future[Any]]) -> None:
    for future in pending:
        future.wait()


def _value(found: Any) -> Any:
    if isinstance(found, allow_failure):
        return _Walk(_value_or_failure, unwrap=True).visit(cast("allow_failure[Any]", found).value)
    if isinstance(found, Future):
        found = cast("Future[Any]", found).state
    if not isinstance(found, State):
        return found
    state = cast("State[Any]", found)
    if not state.is_completed():
        name = state.run_name or state.run_id or "which was passed"
        raise errors.UpstreamTaskError(f"Upstream run {name!r} is {state.name}, not Completed.")
    return states.value_of(state)


def _value_or_failure(found: Any) -> Any:
    state = cast("Future[Any]", found).state if isinstance(found, Future) else found
    if isinstance(state, State):
        state = cast("State[Any]", state)
        if state.is_failed():
            return states.get_state_exception(state)
        if state.name == "NotReady":
            return None
    return _value(found)


class _Walk:
    """One walk through an expression, calling `replace` on whatever is not a container.

    Looks into lists, tuples, sets, dictionaries, dataclasses, pydantic models and annotations; copies one only where a
    member changed. Generators and all other objects are left alone, as is what stands in `quote`, and what is
    deeper in `opaque`.
    """

    def __init__(self, replace: Visit, *, unwrap: bool = False) -> None:
        self._replace = replace
        self._unwrap = unwrap
        self._open: set[int] = set()

    def visit(self, value: Any) -> Any:
        """`value`, or a copy with replacements."""
        if type(value) in _ATOMS:
            return value
        rebuild = self._annotation if _is_annotation(value) else _members_of(value)
        if rebuild is None:
            return self._replace(value)
        if id(value) in self._open:
            return value  # a structure that contains itself
        self._open.add(id(value))
        try:
            return rebuild(self.visit, value)
        finally:
            self._open.discard(id(value))

    def _annotation(self, visit: Visit, value: Annotation[Any]) -> Any:
        if isinstance(value, quote):
            return value.value if self._unwrap else value
        if isinstance(value, opaque):
            visit = self._visit_opaque
        if self._unwrap:
            return self._replace(value) if isinstance(value, allow_failure) else visit(value.value)
        new = visit(value.value)
        return value if new is value.value else value.rewrap(new)

    def _visit_opaque(self, value: Any) -> Any:
        if isinstance(value, Annotation):
            return self.visit(value)
        return self._replace(value) if isinstance(value, Future | State) else value


def _is_annotation(value: Any) -> bool:
    return isinstance(value, Annotation)


def _members_of(value: Any) -> Callable[[Visit, Any], Any] | None:
    """How to look into `value`, or None if it is not a container."""
    if isinstance(value, list | tuple | set | frozenset):
        return _visit_sequence
    if isinstance(value, dict):
        return _visit_dict
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _visit_dataclass
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        return _visit_model
    return None


def _visit_sequence(visit: Visit, value: Any) -> Any:
    new = [visit(member) for member in value]
    if all(one is other for one, other in zip(new, value, strict=True)):
        return value
    kind = cast("Any", type(value))
    if hasattr(kind, "_make"):
        return kind._make(new)
    return new if isinstance(value, list) else kind(new)


def _visit_dict(visit: Visit, value: Any) -> Any:
    new = [(visit(key), visit(member)) for key, member in value.items()]
    if all(k is key and m is member for (k, m), (key, member) in zip(new, value.items(), strict=True)):
        return value
    changed = copy.copy(value)
    changed.clear()
    changed.update(new)
    return changed


def _visit_dataclass(visit: Visit, value: Any) -> Any:
    return _with_attributes(visit, value, [field.name for field in dataclasses.fields(value)])


def _visit_model(visit: Visit, value: Any) -> Any:
    return _with_attributes(visit, value, list(cast("Any", type(value)).model_fields))


def _with_attributes(visit: Visit, value: Any, names: list[str]) -> Any:
    changes: dict[str, Any] = {}
    for name in names:
        if hasattr(value, name):
            old = getattr(value, name)
            new = visit(old)
            if new is not old:
                changes[name] = new
    if not changes:
        return value
    changed = copy.copy(value)
    for name, new in changes.items():
        object.__setattr__(changed, name, new)  # frozen ones too
    return changed
