"""Hooks are called when runs come to a state; runs can be named; what they print can be logged."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from millstream import flow, get_run_logger, task
from millstream.context import FlowRunContext, TaskRunContext
from millstream.states import State
from millstream.task_runners import TaskRunner


def note(what: str, function: Any, run: Any, state: State[Any]) -> None:
    """Write a line to the file that the run was given: it may be in another process."""
    with Path(run.parameters["path"]).open("a") as file:
        file.write(f"{what} {function.name} {state.name}\n")


def running(task: Any, run: Any, state: State[Any]) -> None:
    note("running", task, run, state)


async def ended(task: Any, run: Any, state: State[Any]) -> None:
    note("ended", task, run, state)


def failed(task: Any, run: Any, state: State[Any]) -> None:
    note("failed", task, run, state)


def breaks(*_: Any) -> None:
    raise RuntimeError("the hook itself")


def test_parameters_that_do_not_fit_are_a_failure_for_hooks_too() -> None:
    """The function is not called, and `on_running` is not, but `on_failure` is."""
    called: list[str] = []

    @flow(on_failure=[lambda *_: called.append("failed")], on_running=[lambda *_: called.append("running")])
    def typed(number: int) -> None:
        called.append(f"called with {number}")

    given: Any = "many"
    assert typed(given, return_state=True).is_failed()
    assert called == ["failed"]


HOOKS = {"on_running": [running], "on_completion": [breaks, ended], "on_failure": [failed]}


@task(**HOOKS)
def good(path: Path) -> str:
    return f"done beside {path.name}"


@task(retries=1, **HOOKS)
def bad(path: Path) -> None:
    raise ValueError(path)


@task(task_run_name="load {table} from {source}")
def load(table: str, source: str = "there") -> str:
    assert table
    assert source
    return TaskRunContext.get().task_run.name


@task(task_run_name=lambda parameters: f"by function: {parameters['table']}")
def load_too(table: str) -> str:
    assert table
    return TaskRunContext.get().task_run.name


@task(log_prints=True)
def chatty(path: Path) -> None:
    handler = logging.FileHandler(path)
    logging.getLogger("millstream.task_runs").addHandler(handler)
    logging.getLogger("millstream.task_runs").setLevel("INFO")
    try:
        print("to", "the", "log", sep="-")
        get_run_logger().info("beside it")
    finally:
        logging.getLogger("millstream.task_runs").removeHandler(handler)
        handler.close()


def test_hooks_of_a_run_that_completes(task_runner: TaskRunner, tmp_path: Path) -> None:
    """In order, sync and async; an error in one is logged and changes nothing."""

    @flow(task_runner=task_runner)
    def hooked() -> str:
        return good.submit(tmp_path / "log").result()

    assert hooked() == "done beside log"
    assert (tmp_path / "log").read_text().splitlines() == ["running good Running", "ended good Completed"]


def test_hooks_of_a_run_that_fails(task_runner: TaskRunner, tmp_path: Path) -> None:
    """`on_running` for each try, `on_failure` once, when no retry is left."""

    @flow(task_runner=task_runner)
    def hooked() -> None:
        bad.submit(tmp_path / "log").wait()

    hooked()
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines == ["running bad Running", "running bad Retrying", "failed bad Failed"]


def test_hooks_of_flows() -> None:
    """They run in the flow run's context, and get flow, run and state."""
    seen: list[str] = []

    @flow(flow_run_name="number {number}")
    def hooked(number: int) -> None:
        if number:
            raise ValueError("no")

    @hooked.on_completion
    @hooked.on_failure
    def see(flow: Any, run: Any, state: State[Any]) -> None:
        assert FlowRunContext.get().flow_run is run
        seen.append(f"{flow.name} {run.name} {state.name}")

    hooked(0)
    hooked(1, return_state=True)
    assert seen == ["hooked number 0 Completed", "hooked number 1 Failed"]


def test_hooks_of_a_flow_that_is_interrupted() -> None:
    """`on_crashed` is called, then the interrupt goes on."""
    seen: list[str] = []

    @flow(on_crashed=[lambda *told: seen.append(told[2].name)])
    def leaving() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        leaving()
    assert seen == ["Crashed"]


def test_task_runs_have_the_names_that_they_are_given(task_runner: TaskRunner) -> None:
    """A text with parameters, defaults and resolved futures included, or a function."""

    @flow(task_runner=task_runner)
    def naming() -> tuple[str, str]:
        first = load.submit("users")
        return first.result(), load.submit(first, source="here").result(), load_too.submit("users").result()

    assert naming() == ("load users from there", "load load users from there from here", "by function: users")


def test_a_name_that_cannot_be_made_fails_the_run(task_runner: TaskRunner) -> None:
    """With what its parameter lacks."""
    wrong = load.with_options(task_run_name="{table.nothing}")

    @flow(task_runner=task_runner)
    def naming() -> str:
        return wrong.submit("users", return_state=True).message

    assert "nothing" in naming()


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{tabel}", "task_run_name='{tabel}' asks for 'tabel'; the parameters are 'table', 'source'."),
        ("{tabel.name[0]}", "asks for 'tabel'"),
        ("{table:{width}}", "asks for 'width'"),
        ("{}", "asks for ''"),
        ("{table", "cannot be read: expected '}' before end of string."),
    ],
)
def test_a_name_that_no_run_can_have_is_refused_when_it_is_declared(template: str, message: str) -> None:
    """Of tasks and flows, also as another option; with what may be asked for."""
    with pytest.raises(ValueError, match=re.escape(message)):
        load.with_options(task_run_name=template)
    with pytest.raises(ValueError, match=re.escape(message)):
        task(load.fn, task_run_name=template)
    with pytest.raises(ValueError, match=re.escape(message.replace("task_run", "flow_run"))):
        flow(load.fn, flow_run_name=template)


def test_prints_are_logged(task_runner: TaskRunner, tmp_path: Path) -> None:
    """With `log_prints`, `print` writes to the run's log; afterwards it prints again."""

    @flow(task_runner=task_runner)
    def printing() -> None:
        chatty.submit(tmp_path / "log").result()

    before = print  # another one than Python's, if something else of this process has replaced it
    printing()
    assert (tmp_path / "log").read_text().splitlines()[:2] == ["to-the-log", "beside it"]
    assert print is before


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"on_completion": print}, TypeError),
        ({"on_failure": ["mail"]}, TypeError),
        ({"task_run_name": 3}, TypeError),
        ({"log_prints": "yes"}, TypeError),
    ],
)
def test_bad_options_are_refused_when_they_are_declared(options: dict[str, Any], error: type[Exception]) -> None:
    """With the option's name."""
    with pytest.raises(error, match=next(iter(options))):
        task(print, **options)
