"""What runs log is kept, and can be read by the flow run's id: from whichever process they were executed in."""

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millstream import flow, sessions, task
from millstream.context import FlowRunContext
from millstream.logging import LogLine, follow_logs, get_run_logger, read_logs
from millstream.task_runners import ProcessPoolTaskRunner, QueueTaskRunner, SequentialTaskRunner, ThreadPoolTaskRunner
from millstream_shared import errors, settings
from tests.harness import eventually


@pytest.fixture(scope="module")
def _talkative_worker(_served: str) -> Iterator[None]:
    """Serves the queue `logs`; that of the other tests is told to log nothing."""
    environment = os.environ | {
        "MILLSTREAM_REDIS_URL": _served,
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
    }
    command = [sys.executable, "-m", "millstream_worker", "-q", "logs", "--processes", "1"]
    worker = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    yield
    worker.send_signal(signal.SIGTERM)
    try:
        assert worker.wait(20) == 0
    finally:
        worker.kill()


@pytest.fixture(params=["queue", "threads", "sequential"])
def runner(request: pytest.FixtureRequest) -> Any:
    """Each task runner, on a worker that keeps what runs log."""
    if request.param == "queue":
        request.getfixturevalue("_talkative_worker")
        return QueueTaskRunner(queue="logs")
    return {"threads": ThreadPoolTaskRunner, "sequential": SequentialTaskRunner}[request.param]()


def log_of(flow_run_id: Any, **wanted: Any) -> list[str]:
    """The log of a flow run, a text for each line."""
    return [told(line) for line in read_logs(flow_run_id, **wanted)]


def told(line: LogLine) -> str:
    name = line.run_name if line.kind == "flow" else line.run_name.rpartition("-")[0]
    return f"{line.level_name} {name}: {line.message}"


def run_id_of(called: Any) -> str:
    return called(return_state=True).run_id


@task
def count(upto: int) -> int:
    logger = get_run_logger()
    for number in range(upto):
        logger.info("number %d", number)
    return upto


@task(log_prints=True)
def speak(words: str) -> None:
    print("one says:", words)
    get_run_logger().debug("in private")
    get_run_logger().warning("enough")


@task
def be_silent() -> None: ...


@task
def fail() -> None:
    raise ValueError("not today")


def test_the_log_of_a_flow_run_is_there_when_it_has_ended(runner: Any) -> None:
    """What it logged, what its tasks logged, when they began and how they ended, by time."""

    @flow(task_runner=runner, flow_run_name="counted")
    def counting() -> None:
        get_run_logger().info("here we go")
        count.submit(3).wait()
        speak.submit("hello").wait()
        be_silent.submit().wait()

    assert log_of(run_id_of(counting)) == [
        "INFO counted: Beginning flow run 'counted' for flow 'counting'",
        "INFO counted: here we go",
        "INFO count: number 0",
        "INFO count: number 1",
        "INFO count: number 2",
        "INFO count: Finished in state Completed()",
        "INFO speak: one says: hello",
        "WARNING speak: enough",
        "INFO speak: Finished in state Completed()",
        "INFO be_silent: Finished in state Completed()",
        "INFO counted: Finished in state Completed()",
    ]


def test_runs_in_processes_of_a_pool_have_logs_too() -> None:
    """Their lines come home by the process that they work for."""

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def counting() -> None:
        count.submit(2).wait()
        calls_another.submit().wait()

    lines = log_of(run_id_of(counting), level="INFO")
    assert [line for line in lines if line.startswith("INFO count: number")] == [
        "INFO count: number 0",
        "INFO count: number 1",
        "INFO count: number 0",
    ]


@task
def die_when_told(folder: str) -> None:
    get_run_logger().info("last words")
    eventually(lambda: os.path.exists(os.path.join(folder, "die")))
    os._exit(1)


def test_what_was_logged_in_a_process_that_dies_is_there(folder: Path) -> None:
    """If it has had a moment to be sent."""

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def losing() -> None:
        future = die_when_told.submit(str(folder))
        flow_run = FlowRunContext.get().flow_run
        eventually(lambda: "INFO die_when_told: last words" in log_of(flow_run.run_id))
        (folder / "die").touch()
        future.wait()

    first, *_, last = log_of(run_id_of(losing), task="die_when_told")
    assert first == "INFO die_when_told: last words"
    assert last.startswith("ERROR die_when_told: Finished in state Crashed")


@task
def calls_another() -> None:
    count(1)


def test_a_task_that_a_task_calls_has_logged_when_the_flow_ends(runner: Any) -> None:
    """Also where that is in another process, which goes on."""

    @flow(task_runner=runner)
    def calling() -> None:
        calls_another.submit().wait()

    assert "INFO count: number 0" in log_of(run_id_of(calling))


def test_the_newest_lines_of_a_run_are_kept(runner: Any) -> None:
    """A thousand by default; how many there were before them is said. Other runs are not touched by it."""

    @flow(task_runner=runner)
    def talking() -> None:
        few, many = count.submit(2), count.submit(2_500)
        few.wait()
        many.wait()

    lines = [line for line in read_logs(run_id_of(talking), task="count") if not line.message.startswith("Fin")]
    runs = {line.run_id: [each for each in lines if each.run_id == line.run_id] for line in lines}
    few, many = sorted(runs.values(), key=len)
    assert [line.message for line in few] == ["number 0", "number 1"]
    assert (many[0].message, many[0].dropped) == ("... 1,500 earlier lines dropped", 1500)
    assert [line.message for line in many[1:]] == [f"number {number}" for number in range(1500, 2500)]


def test_one_line_is_bounded_too(runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut off is counted in bytes. What is no text, or cannot be encoded, does no harm."""
    # Pytest shall not capture it: pytest-xdist, which sends what was captured, cannot encode it either.
    monkeypatch.setattr(logging.getLogger("millstream"), "propagate", False)

    @task
    def long() -> None:
        get_run_logger().info("x" * 10_000)
        get_run_logger().info("\udcff %s", {"a": 1})

    @flow(task_runner=runner)
    def logging_much() -> None:
        long.submit().wait()

    first, second, _ = log_of(run_id_of(logging_much), task="long")
    assert first == f"INFO long: {'x' * 8192}... (1,808 bytes more)"
    assert second == "INFO long: ? {'a': 1}"


def test_lines_are_chosen_by_level_task_and_flow() -> None:
    """By the name of a task, or the name or id of a run; the id of a task run alone gives its lines, too."""

    @flow
    def inner() -> None:
        speak("inside")

    @flow
    def outer() -> str:
        speak("outside")
        inner()
        return be_silent(return_state=True).run_id

    state = outer(return_state=True)
    flow_run_id, silent_id = state.run_id, state.result()
    assert log_of(flow_run_id, level="WARNING") == ["WARNING speak: enough"] * 2
    assert log_of(flow_run_id, level=logging.ERROR) == []
    assert [line for line in log_of(flow_run_id, task="speak") if "says" in line] == [
        "INFO speak: one says: outside",
        "INFO speak: one says: inside",
    ]
    assert "INFO speak: one says: inside" not in log_of(flow_run_id, subflows=False)
    silent = ["INFO be_silent: Finished in state Completed()"]
    assert log_of(flow_run_id, task=silent_id) == log_of(silent_id) == silent
    assert log_of(flow_run_id, task=f"be_silent-{silent_id[-3:]}") == silent


def test_flows_in_flows_and_tasks_are_part_of_the_log(runner: Any) -> None:
    """Of any depth."""

    @flow(flow_run_name="innermost", log_prints=True)
    def innermost() -> None:
        print("deep down")

    @task
    def calls_a_flow() -> None:
        innermost()

    @flow(task_runner=runner)
    def middle() -> None:
        calls_a_flow.submit().wait()

    @flow
    def outer() -> None:
        middle()

    assert "INFO innermost: deep down" in log_of(run_id_of(outer))


def test_failures_are_told_with_their_tracebacks(runner: Any) -> None:
    """That of the last try is in its record; those before it, which were followed by another, are logged."""

    @flow(task_runner=runner)
    def failing() -> None:
        fail.with_options(retries=1).submit().wait()

    lines = log_of(run_id_of(failing), task="fail")
    assert [line.splitlines()[0] for line in lines] == [
        "ERROR fail: Encountered an exception: ValueError('not today')",
        "INFO fail: Failed; it is tried again at once (retry 1)",
        "ERROR fail: Encountered an exception:",
        "ERROR fail: Finished in state Failed('Task run encountered an exception: ValueError: not today')",
    ]
    assert all('raise ValueError("not today")' in lines[at] for at in (0, 2))


def test_an_exception_that_is_logged_is_kept_with_its_traceback() -> None:
    """As on stderr."""

    @flow
    def careful() -> None:
        try:
            raise KeyError("gone")
        except KeyError:
            get_run_logger().exception("it went wrong")

    (line,) = log_of(run_id_of(careful), level="ERROR")
    assert line.startswith("ERROR")
    assert "it went wrong\nTraceback (most recent call last):" in line
    assert line.endswith("KeyError: 'gone'")


def test_a_run_that_logs_nothing_costs_the_store_nothing(runner: Any) -> None:
    """There is no key for its lines."""

    @flow(task_runner=runner)
    def silent() -> None:
        be_silent.submit().wait()

    run_id = run_id_of(silent)
    store = sessions.current().store
    assert not [key for key in store.command("KEYS", "ms:log*") if run_id[:12].encode() in key]


@pytest.fixture
def _unshipped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process has a session that ships no lines."""
    end_session()
    monkeypatch.setenv("MILLSTREAM_LOGS_TO_REDIS", "false")
    settings.get_settings.cache_clear()
    yield
    end_session()


def end_session() -> None:
    """Close the session of this process, and its connections."""
    session = sessions.current()
    sessions.close_current()
    session.store.close()


@pytest.mark.usefixtures("_unshipped")
def test_shipping_can_be_turned_off() -> None:
    """What records say can be read all the same."""

    @flow(flow_run_name="quiet")
    def quiet() -> None:
        get_run_logger().info("for stderr")

    assert log_of(run_id_of(quiet)) == [
        "INFO quiet: Beginning flow run 'quiet' for flow 'quiet'",
        "INFO quiet: Finished in state Completed()",
    ]


def test_handlers_and_filters_of_the_program_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter on the logger decides what is kept, and in which words; handlers get each line once."""
    handled: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            handled.append(record.getMessage())

    def hide(record: logging.LogRecord) -> bool:
        record.msg = str(record.msg).replace("secret", "***")
        return "nothing" not in record.msg

    logger = logging.getLogger("millstream.flow_runs")
    monkeypatch.setattr(logger, "filters", [])
    handler = Handler()
    logger.addHandler(handler)
    logger.addFilter(hide)

    @flow
    def discreet() -> None:
        get_run_logger().info("the secret")
        get_run_logger().info("nothing")

    try:
        lines = log_of(run_id_of(discreet))
    finally:
        logger.removeHandler(handler)
        logger.removeFilter(hide)
    assert [line.partition(": ")[2] for line in lines[1:-1]] == ["the ***"]
    assert handled.count("the ***") == 1
    assert "nothing" not in handled


def test_a_line_that_cannot_be_put_together_does_no_harm(runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept as it was written; so is one with attributes that are the run's own."""
    monkeypatch.setattr(logging, "raiseExceptions", False)

    @task
    def careless() -> None:
        get_run_logger().info("%d of them", "many")
        get_run_logger(task_run_name=7).info("%s", "fine", extra={"parent_task_run_id": 5})

    @flow(task_runner=runner)
    def caring() -> None:
        careless.submit().wait()

    lines = [line.message for line in read_logs(run_id_of(caring)) if line.kind == "task"]
    assert lines[:2] == ["%d of them", "fine"]


def test_a_run_logger_can_be_pickled() -> None:
    """As an argument of a task, for instance; it stays that of its run."""

    @flow
    def sending() -> None:
        pickle.loads(pickle.dumps(get_run_logger(color="green"))).info("from a copy")

    assert any(line.endswith(": from a copy") for line in log_of(run_id_of(sending)))


def test_a_log_can_be_followed(runner: Any) -> None:
    """Each line comes once, while the flow goes on; the end comes when that has ended."""
    go_on, ids = threading.Event(), []

    @flow(task_runner=runner)
    def slow() -> None:
        get_run_logger().info("first")
        count.submit(2).wait()
        ids.append(FlowRunContext.get().flow_run.run_id)
        assert go_on.wait(10)
        get_run_logger().info("last")
        count.submit(1).wait()

    thread = threading.Thread(target=slow)
    thread.start()
    try:
        eventually(lambda: ids)
        lines: list[str] = []
        for line in follow_logs(ids[0]):
            lines.append(line.message)
            if "number 1" in line.message:
                go_on.set()
    finally:
        go_on.set()
        thread.join()
    assert sorted(lines[1:]) == sorted(
        ["first", "number 0", "number 1", "last", "number 0", *["Finished in state Completed()"] * 3]
    )
    # Lines of one moment may come in any order, as they come from several processes.
    assert lines.index("number 1") < lines.index("last")


def test_a_flow_run_is_found_by_the_beginning_of_its_id() -> None:
    """By twelve digits or more, also as a UUID."""

    @flow
    def some() -> None: ...

    state = some(return_state=True)
    whole = log_of(state.run_id)
    assert whole == log_of(state.run_id[:12]) == log_of(state.run_id[:20].upper())
    dashed = f"{state.run_id[:8]}-{state.run_id[8:12]}-{state.run_id[12:]}"
    assert log_of(dashed) == whole


def test_what_is_no_flow_run_is_refused() -> None:
    """At once, before any line is asked for."""
    with pytest.raises(errors.ObjectNotFound, match=r"There is no flow run 'abcdefabcdef' in the Redis of"):
        read_logs("abcdefabcdef")
    for wrong in ("abc", "some-name-of-words", "a" * 33):
        with pytest.raises(ValueError, match=r"32 hex digits"):
            follow_logs(wrong)
    with pytest.raises(ValueError, match=r"There is no level 'LOUD'"):
        read_logs("abcdefabcdef", level="LOUD")
