"""What failed assertions tell: runs as a tree, states and calls in a line."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from millstream_shared.states import State

if TYPE_CHECKING:
    from millstream.testing.observations import Run

_MOST_LINES: Final = 20
_MOST_CHARACTERS: Final = 200


def tree(found: "Sequence[Run]", lines: "Callable[[Run], list[str]]") -> str:
    """The runs, each indented under the one that called it, with the last lines of those that did not complete."""
    known = {run.id for run in found}
    children: dict[uuid.UUID | None, list[Run]] = {}
    for run in found:
        children.setdefault(run.parent_id if run.parent_id in known else None, []).append(run)
    told_lines: list[str] = []

    def tell(parent: uuid.UUID | None, depth: int) -> None:
        for run in children.get(parent, ()):
            indent = "  " * depth
            kind = "flow" if run.is_flow else "task"
            told_lines.append(f"{indent}{kind} {run.name} of {call(run.function, run.parameters)}: {told(run.state)}")
            if not run.state.is_completed():
                told_lines.extend(f"{indent}    | {line}" for line in _last(lines(run)))
            tell(run.id, depth + 1)

    tell(None, 0)
    return "Runs:\n" + "\n".join(told_lines) if told_lines else "Nothing has been run."


def told(state: State[Any]) -> str:
    """A state with what it says of itself."""
    name = state.name if state.name.upper() == state.type else f"{state.name} ({state.type.capitalize()})"
    return f"{name}: {state.message}" if state.message else name


def call(name: str, parameters: Mapping[str, Any], order: Sequence[str] = ()) -> str:
    """A call as it could be written, with the parameters in this order, if they are among these."""
    names = [*(key for key in order if key in parameters), *(key for key in parameters if key not in order)]
    given = ", ".join(f"{key}={_short(parameters[key])}" for key in names)
    return f"{name}({given})"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def _last(lines: list[str]) -> list[str]:
    split = [part for line in lines for part in line.splitlines()]
    return split if len(split) <= _MOST_LINES else ["...", *split[-_MOST_LINES:]]
