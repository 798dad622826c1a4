"""What the tree of the project looks like: few names at the top, and files that introduce themselves."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP_LEVEL = {"pyproject.toml", "producer", "worker", "shared", "tests", "deploy", "README.md"}
SOURCE_FOLDERS = ("producer", "worker", "shared", "tests")


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def test_top_level_holds_only_what_it_should():
    """A newcomer sees seven names; all else lies in one of them or is a dot-file."""
    names = {file.relative_to(ROOT).parts[0] for file in tracked_files()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def introduces_itself(file: Path) -> bool:
    text = file.read_text()
    if file.suffix == ".lua":
        return text.startswith("-- ")
    docstring = ast.get_docstring(ast.parse(text))
    return bool(docstring and re.search(r"[.:!?]$", docstring.split("\n\n")[0]))


def test_every_source_file_says_what_it_is():
    """Each file begins with a sentence; a module may go on after it."""
    sources = [
        file
        for folder in SOURCE_FOLDERS
        for suffix in ("*.py", "*.lua")
        for file in (ROOT / folder).rglob(suffix)
        if "seeds" not in file.parts
    ]
    assert len(sources) > 20
    assert [str(file.relative_to(ROOT)) for file in sources if not introduces_itself(file)] == []


def test_every_test_says_what_holds():
    """Each test function has a docstring of one sentence."""
    silent = [
        f"{file.relative_to(ROOT)}::{node.name}"
        for file in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_no_test_sleeps_to_wait():
    """Waiting for a time is either too short or too long: tests wait for an event, or by `eventually`.

    The functions that a test has executed may sleep: to take time is what they are there for.
    """
    sleepers = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in (ROOT / "tests").rglob("test_*.py")
        for test in ast.walk(ast.parse(file.read_text()))
        if isinstance(test, _FUNCTIONS) and test.name.startswith("test_")
        for node in _own(test)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "asyncio.sleep")
    ]
    assert sleepers == []


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """All that is in a function, without the functions in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _FUNCTIONS):
            yield child
            yield from _own(child)
