"""The totals of many files, which can be added up in any order."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from millstream import State

EXAMPLES = 10
"""How many of the files that failed are kept by name."""


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """A file that could not be analyzed: the kind of the error, and what it says."""

    path: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True, order=True)
class LongestLine:
    """The longest line: how many characters, in which file, at which line."""

    length: int = 0
    path: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """What was found in `files` files.

    `emails` and `common` tell for each address, and for each word, in how many files it stands, or is among the ten
    that are used most. `failures` counts files by kind of error, and the first of them by path are in `examples`.
    """

    files: int = 0
    words: int = 0
    lines: int = 0
    functions: int = 0
    classes: int = 0
    longest: LongestLine = LongestLine()
    emails: Counter[str] = field(default_factory=Counter[str])
    common: Counter[str] = field(default_factory=Counter[str])
    failures: Counter[str] = field(default_factory=Counter[str])
    examples: tuple[Failure, ...] = ()


def of_file(path: str, found: Mapping[str, State[Any]]) -> Totals:
    """The totals of one file, from the final states of all operations on it: nothing but a failure if one failed."""
    failed = next((state for state in found.values() if not state.is_completed()), None)
    if failed is not None:
        failure = _failure(path, failed)
        return Totals(failures=Counter([failure.kind]), examples=(failure,))
    value = {name: state.data for name, state in found.items()}
    lines, definitions = value["measure_lines"], value["find_definitions"]
    return Totals(
        files=1,
        words=value["count_words"],
        lines=lines.count,
        functions=definitions.functions,
        classes=definitions.classes,
        longest=LongestLine(lines.longest, path, lines.number),
        emails=Counter(value["extract_emails"]),
        common=Counter(value["common_words"]),
    )


def add_up(parts: Iterable[Totals]) -> Totals:
    """The totals of all parts together."""
    parts = list(parts)
    return Totals(
        files=sum(part.files for part in parts),
        words=sum(part.words for part in parts),
        lines=sum(part.lines for part in parts),
        functions=sum(part.functions for part in parts),
        classes=sum(part.classes for part in parts),
        longest=max((part.longest for part in parts), default=LongestLine()),
        emails=_together(part.emails for part in parts),
        common=_together(part.common for part in parts),
        failures=_together(part.failures for part in parts),
        examples=tuple(sorted(failure for part in parts for failure in part.examples)[:EXAMPLES]),
    )


def _together(counters: Iterable[Counter[str]]) -> Counter[str]:
    # Adding them with `+` would copy the sum once for each.
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def _failure(path: str, state: State[Any]) -> Failure:
    error = state.data
    if isinstance(error, OSError):
        return Failure(path, type(error).__name__, error.strerror or str(error))
    if isinstance(error, Exception):
        return Failure(path, type(error).__name__, getattr(error, "reason", None) or str(error))
    return Failure(path, state.name, state.message or "")
