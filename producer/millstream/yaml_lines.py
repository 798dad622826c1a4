"""YAML files of which one can tell in which line each of their fields stands."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from millstream_shared import errors


class Document:
    """What a file holds, and where."""

    def __init__(self, file: Path, content: Any, root: yaml.Node) -> None:
        self.content = content
        self._file = file
        self._root = root

    def told(self, place: Sequence[str | int], problem: str) -> str:
        """The problem, with the file, the line and the name of a field; one that is missing is told of where it is."""
        line, name = self._find(place)
        return f"{self._file}:{line}: {f'{name}: ' if name else ''}{problem}"

    def line_of(self, place: Sequence[str | int]) -> int:
        """The line of a field, from 1."""
        return self._find(place)[0]

    def _find(self, place: Sequence[str | int]) -> tuple[int, str]:
        line, name = self._root.start_mark.line, ""
        node: yaml.Node | None = self._root
        for at, part in enumerate(place):
            found = _child(node, part)
            if found is None:
                # The last part may be a field that is missing. Others are what a validator called its choices.
                name += f".{part}" if at == len(place) - 1 and _is_missing(node, part) else ""
                break
            line, node = found
            name += f"[{part}]" if isinstance(part, int) else f".{part}"
        return line + 1, name.lstrip(".")


def read(file: Path) -> Document:
    """Read the file. Raises DeploymentFileError if it cannot be read, or is not YAML, or says a thing twice."""
    try:
        loader = yaml.SafeLoader(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as failure:
        raise errors.DeploymentFileError([f"{file}: cannot be read: {failure}"]) from failure
    try:
        root = loader.get_single_node()
        if root is None:
            raise errors.DeploymentFileError([f"{file}:1: there is nothing in it; it needs `deployments:`."])
        if twice := [f"{file}:{key.start_mark.line + 1}: {key.value}: is there twice" for key in _repeated(root)]:
            raise errors.DeploymentFileError(twice)
        return Document(file, cast("Any", loader).construct_document(root), root)
    except yaml.MarkedYAMLError as failure:
        mark = failure.problem_mark
        told = f"{file}:{mark.line + 1 if mark else 1}: is not YAML: {failure.problem}"
        raise errors.DeploymentFileError([told]) from failure
    finally:
        loader.dispose()  # pyright: ignore[reportUnknownMemberType]


def _child(node: Any, part: str | int) -> tuple[int, yaml.Node] | None:
    """The line of an entry of the node, and what is there."""
    if isinstance(node, yaml.MappingNode):
        for key, value in cast("list[tuple[Any, Any]]", node.value):
            if key.value == str(part):
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        value: Any = node.value[part]
        return value.start_mark.line, value
    return None


def _is_missing(node: Any, part: str | int) -> bool:
    return isinstance(node, yaml.MappingNode) and isinstance(part, str)


def _repeated(node: Any) -> list[Any]:
    """The keys that a mapping has a second time, wherever in the node."""
    if isinstance(node, yaml.SequenceNode):
        return [key for item in cast("list[Any]", node.value) for key in _repeated(item)]
    if not isinstance(node, yaml.MappingNode):
        return []
    found: list[Any] = []
    seen: set[Any] = set()
    for key, value in cast("list[tuple[Any, Any]]", node.value):
        if isinstance(key, yaml.ScalarNode) and key.value != "<<":
            found += [key] if key.value in seen else []
            seen.add(key.value)
        found += _repeated(value)
    return found
