"""The same program started in every way in which Python can be started: its functions are found by workers in each."""

import ast
from pathlib import Path

import pytest

from tests.seeds.programs import SCRIPTS, Programs

_PROGRAM = SCRIPTS / "future_as_argument.py"
_PRINTED = "cool task said sup"

_SESSION = """\
from millstream import flow, task

@task
def cool_task():
    return "sup"

@flow
def my_workflow():
    return cool_task.submit().result()

print("first:", my_workflow())

@task
def cool_task():
    return "yo"

print("second:", my_workflow())
"""

_CONSOLE = """\
import code
import sys

session = open(sys.argv[1]).read()
console = code.InteractiveConsole()
for line in [*session.splitlines(), ""]:
    console.push(line)
"""

_CELLS = """\
import sys

import __main__

cells = [cell for cell in open(sys.argv[1]).read().split("# %%\\n") if cell]
for name in ("__file__", "__spec__", "__loader__", "__cached__"):
    vars(__main__).pop(name, None)
for number, cell in enumerate(cells):
    exec(compile(cell, f"<cell {number}>", "exec"), vars(__main__))
"""

_NOTEBOOK = """\
import sys

import nbclient
import nbformat

cells = [cell for cell in open(sys.argv[1]).read().split("# %%\\n") if cell]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
# Its kernel keeps no history on disk and is talked to by unix sockets.
client = nbclient.NotebookClient(notebook, timeout=50, extra_arguments=["--HistoryManager.enabled=False"])
client.create_kernel_manager().transport = "ipc"
client.execute()
for cell in notebook.cells:
    for output in cell.outputs:
        print(output.get("text", ""), end="")
"""


def _cells(program: Path) -> str:
    """The program as the cells of a notebook: each of its statements is one."""
    return "".join(f"# %%\n{ast.unparse(statement)}\n" for statement in ast.parse(program.read_text()).body)


def test_a_script_from_standard_input(programs: Programs):
    """`python - < script` runs a flow whose functions are in no file that a worker could read."""
    assert programs.run_python("-", stdin=_PROGRAM).lines == [_PRINTED]


def test_a_script_from_the_command_line(programs: Programs):
    """`python -c` runs a flow whose functions are only text."""
    assert programs.run_python("-c", _PROGRAM.read_text()).lines == [_PRINTED]


def test_a_module_of_a_package(programs: Programs, folder: Path):
    """`python -m package.module` runs a flow; what it imports from its package is imported by workers too."""
    package = folder / "lifts"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "words.py").write_text("from millstream import task\n\n\n@task\ndef cool_task():\n    return 'sup'\n")
    program = _PROGRAM.read_text()
    start, end = program.index("@task\ndef cool_task"), program.index("@task\ndef what_did")
    (package / "talk.py").write_text(f"from lifts.words import cool_task\n{program[:start]}{program[end:]}")
    ended = programs.run_python("-m", "lifts.talk")
    assert ended.lines == [_PRINTED]
    assert len(ended.runs_of("cool_task")) == 1


def test_an_interactive_session(programs: Programs, folder: Path):
    """In `python -i` a flow runs as it is typed, and a task that is typed anew is run anew."""
    typed = folder / "typed"
    typed.write_text(_SESSION)
    ended = programs.run_python("-i", "-q", stdin=typed)
    printed = [line.rpartition(">>> ")[2] for line in ended.lines]
    assert [line for line in printed if line.startswith(("first:", "second:"))] == ["first: sup", "second: yo"]


def test_a_console_within_a_program(programs: Programs, folder: Path):
    """A console of the standard library, whose functions belong to no module at all, runs a flow."""
    (folder / "console.py").write_text(_CONSOLE)
    (folder / "typed").write_text(_SESSION)
    assert programs.run_python("console.py", "typed").lines == ["first: sup", "second: yo"]


def test_cells_without_a_file(programs: Programs, folder: Path):
    """Statements executed one by one in a `__main__` that has no file run a flow."""
    (folder / "notebook.py").write_text(_CELLS)
    (folder / "cells").write_text(_cells(_PROGRAM))
    assert programs.run_python("notebook.py", "cells").lines == [_PRINTED]


def test_a_notebook(programs: Programs, folder: Path):
    """A notebook, in whose kernel a loop runs, calls sync flows and awaits async ones."""
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    gathered = (SCRIPTS / "gather_of_futures.py").read_text().partition("# Run the flow")[0]
    (folder / "notebook.py").write_text(_NOTEBOOK)
    (folder / "cells").write_text(f"{_cells(_PROGRAM)}# %%\n{gathered}# %%\nprint(await parallel_flow([1, 2, 3]))\n")
    ended = programs.run_python("notebook.py", "cells")
    assert ended.lines[-3:] == [_PRINTED, "Results: [2, 4, 6]", "[2, 4, 6]"]
    assert len(ended.runs_of("async_task")) == 3
