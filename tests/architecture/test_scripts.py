"""The Lua scripts hang together: what is called, also where that is rare, is there."""

import re
from pathlib import Path

import pytest

LUA = Path(__file__).parents[2] / "shared" / "millstream_shared" / "lua"
PARTS = {file.stem: file.read_text() for file in (LUA / "parts").glob("*.lua")}
SOURCES = {file.stem: file.read_text() for file in LUA.glob("*.lua")} | PARTS
DEFINITION = re.compile(r"^local function (\w+)", re.MULTILINE)


def listed(heading: str, source: str) -> list[str]:
    found = re.search(rf"^-- {heading}: (.+)$", source, re.MULTILINE)
    return found[1].split(", ") if found else []


def code(source: str) -> str:
    return re.sub(r"--.*|'[^'\n]*'", "", source)


def in_reach(source: str) -> set[str]:
    """The functions that a script or part has, with those of the parts that it uses."""
    names = set(re.findall(r"local function (\w+)|^(?:local )?(\w+) = function", source, re.MULTILINE))
    mine = {name for pair in names for name in pair if name}
    return mine.union(*(in_reach(PARTS[part]) for part in listed("uses", source)))


@pytest.mark.parametrize("name", SOURCES)
def test_a_script_calls_only_what_its_parts_define(name: str) -> None:
    """A function of a part that is named neither by the script nor by its parts would be missed when it is called."""
    source = SOURCES[name]
    defined = {function for part in PARTS.values() for function in DEFINITION.findall(part)}
    called = set(re.findall(r"(?<![.\w:])(\w+)\(", code(source)))
    assert (called & defined) - in_reach(source) == set()


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_made_later_is_named_and_given(name: str) -> None:
    """`part().function(...)` needs the part in the script's head, or a part's, and the function in the part's head."""
    source = SOURCES[name]
    made_later = set(re.findall(r"(\w+)\(\)\.(\w+)", code(source)))
    assert {part for part, _ in made_later} <= set(listed("may use", source)) | {
        later for part in listed("uses", source) for later in listed("may use", PARTS[part])
    }
    for part, function in made_later:
        assert function in listed("gives", PARTS[part])
        assert function in in_reach(PARTS[part])
