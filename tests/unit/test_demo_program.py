"""How the demo ends when its flow does not complete."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from millstream.demo import analysis, program
from millstream_shared.records import Record
from millstream_shared.states import Failed, NotReady, State


@pytest.fixture
def _unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no store, and no run in it."""

    def records(_: str) -> list[Record]:
        return []

    monkeypatch.setattr(program, "_records", records)


@pytest.fixture
def levels() -> Iterator[list[logging.Logger]]:
    """The loggers that the demo quietens, as they were."""
    loggers = [logging.getLogger(name) for name in ("millstream", "millstream.flow_runs", "millstream.task_runs")]
    before = [logger.level for logger in loggers]
    yield loggers
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.mark.usefixtures("_unread")
@pytest.mark.parametrize(
    ("state", "reason"), [(Failed(message="out of paper"), "out of paper"), (NotReady(message=None), "NotReady")]
)
def test_a_flow_that_fails_is_an_error(monkeypatch, capsys, tmp_path, state, reason):
    """The reason in one line on standard error, how far the run was, and exit code 1."""

    def analyze(_: list[str], on_start: Any, **__: Any) -> State[Any]:
        on_start("0" * 32)
        return state

    monkeypatch.setattr(analysis, "analyze", analyze)
    assert program.run(["a"], tmp_path, quiet=False) == 1
    said = capsys.readouterr()
    assert said.err == f"Error: The analysis did not complete: {reason}\n"
    assert "The run: 0 task runs" in said.out
    assert "Found" not in said.out


@pytest.mark.usefixtures("_unread")
def test_an_early_interrupt_is_said(monkeypatch, capsys, tmp_path):
    """Before there is a flow run, there is nothing to count; a second Ctrl-C is not heard."""
    ignored: list[object] = []

    def analyze(*_: Any, **__: Any) -> State[Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(analysis, "analyze", analyze)
    monkeypatch.setattr(program.signal, "signal", lambda *given: ignored.append(given))
    with pytest.raises(KeyboardInterrupt):
        program.run(["a"], tmp_path, quiet=False)
    assert capsys.readouterr().out.endswith("Interrupted before it began.\n")
    assert ignored == [(program.signal.SIGINT, program.signal.SIG_IGN)]


def test_an_interrupt_without_a_server_is_said(monkeypatch, capsys, tmp_path):
    """No error hides that it was interrupted, even when there is nobody to ask how far it was."""

    def analyze(_: list[str], on_start: Any, **__: Any) -> State[Any]:
        on_start("0" * 32)
        raise KeyboardInterrupt

    def current() -> Any:
        raise ConnectionError("gone")

    monkeypatch.setattr(analysis, "analyze", analyze)
    monkeypatch.setattr(program.sessions, "current", current)
    monkeypatch.setattr(program.signal, "signal", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        program.run(["a"], tmp_path, quiet=False)
    assert capsys.readouterr().out.endswith("Interrupted. How far it was cannot be told: gone\n")


@pytest.mark.usefixtures("_unread")
def test_quiet_leaves_warnings_of_this_process(monkeypatch, tmp_path, levels):
    """That nobody serves a queue is still told; how runs end is not."""
    monkeypatch.setattr(analysis, "analyze", lambda *_, **__: Failed(message="no"))
    program.run(["a"], tmp_path, quiet=True)
    assert [logger.level for logger in levels] == [logging.WARNING, logging.CRITICAL, logging.CRITICAL]
