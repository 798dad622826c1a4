"""Tests of users' flows, with `millstream.testing`: everything in one process, assertions about what has been run."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from millstream import flow, get_run_logger, limits, sessions, task, testing
from millstream.cache_policies import INPUTS
from millstream.cli.main import main
from millstream.deployments import run_deployment
from millstream.exceptions import ConfigurationError, UnpicklableArgument
from millstream.task_runners import ProcessPoolTaskRunner, SequentialTaskRunner, TaskRunner, ThreadPoolTaskRunner
from millstream.testing import Runs
from millstream_shared.settings import get_settings
from tests.harness import eventually


@pytest.fixture
def runs() -> Iterator[Runs]:
    """As users write it."""
    with testing.workflows() as runs:
        yield runs


@task
def twice(x: int) -> int:
    return 2 * x


@flow
def submitted(x: int) -> tuple[int, int]:
    return twice.submit(x).result(), os.getpid()


@flow
def asks_for_two() -> list[int]:
    return [value for value, _ in submitted.map([1, 2]).result()]


@task
def count_words(text: str, least: int = 1) -> int:
    return sum(len(word) >= least for word in text.split())


@flow
def count(texts: list[str]) -> int:
    return sum(count_words.map(texts).result())


@task(retries=2, retry_delay_seconds=[60, 3600])
def fails(why: str) -> None:
    get_run_logger().warning("about to fail: %s", why)
    raise ValueError(why)


# --- what has been run ------------------------------------------------------------------------------------------------


def test_flows_give_what_they_give_elsewhere(runs: Runs) -> None:
    """And their runs can be looked at, in the order in which they began."""
    assert count(["to be", "or", ""]) == 3
    assert [run.parameters["text"] for run in runs.of(count_words)] == ["to be", "or", ""]
    assert [run.result() for run in runs.of(count_words)] == [2, 1, 0]
    (flow_run,) = runs.of(count)
    assert flow_run.state.is_completed()
    assert {run.parent_id for run in runs.of(count_words)} == {flow_run.id}


@pytest.mark.parametrize("runner", [ThreadPoolTaskRunner(), SequentialTaskRunner()])
def test_the_same_goes_for_runs_in_threads(runs: Runs, runner: TaskRunner) -> None:
    """For all that runs in this process."""
    count.with_options(task_runner=runner)(["a", "b c"])
    assert sorted(run.result() for run in runs.of(count_words)) == [1, 2]
    assert runs.assert_completed(count) == [3]


def test_parameters_are_those_of_the_function(runs: Runs) -> None:
    """With defaults, and with values in the place of futures."""

    @flow
    def chain() -> int:
        return count_words.submit("a bc", least=count_words.submit("x y")).result()

    assert chain() == 1
    assert [run.parameters for run in runs.of(count_words)] == [
        {"text": "x y", "least": 1},
        {"text": "a bc", "least": 2},
    ]


def test_nobody_waits_before_a_retry(runs: Runs) -> None:
    """A task with an hour before its second retry fails for good at once."""

    @flow(retries=1, retry_delay_seconds=60)
    def patient() -> None:
        fails.submit("no").result()

    with pytest.raises(ValueError, match="no"):
        patient()
    assert [run.run_count for run in runs.of(fails)] == [3, 3]
    assert [run.run_count for run in runs.of(patient)] == [2]


def test_assertions_about_outcomes(runs: Runs) -> None:
    """They take futures, states, runs, tasks and flows, and give values and errors."""

    @flow
    def mixed() -> None:
        future = fails.submit("no")
        assert str(runs.assert_failed(future, ValueError, match="^n")) == "no"
        runs.assert_failed(future.state, ValueError)
        assert runs.assert_completed(count_words.submit("a")) == 1

    assert mixed(return_state=True).is_completed()
    runs.assert_failed(fails)
    assert runs.assert_completed(count_words) == [1]
    assert runs.assert_completed(runs.of(mixed)[0]) is None
    with pytest.raises(TypeError, match="got 3"):
        runs.assert_completed(3)


def test_assertions_about_calls(runs: Runs) -> None:
    """How often, and with which arguments, in whichever way these are written."""
    count(["a", "b"])
    runs.assert_called(count_words)
    runs.assert_called(count_words, times=2)
    runs.assert_called(fails, times=0)
    runs.assert_called_with(count_words, "a")
    runs.assert_called_with(count_words, text="b", least=1)
    runs.assert_called_with(count, ["a", "b"])
    with pytest.raises(AssertionError, match="Expected 3 runs of 'count_words', found 2"):
        runs.assert_called(count_words, times=3)
    with pytest.raises(AssertionError, match="Expected any runs of 'fails', found 0"):
        runs.assert_called(fails)
    with pytest.raises(AssertionError) as failed:
        runs.assert_called_with(count_words, "c")
    assert "count_words(text='c', least=1) among the calls:\n  count_words(text='a', least=1)" in str(failed.value)


def test_a_failed_assertion_tells_what_happened(runs: Runs) -> None:
    """The tree of runs, and of those that did not complete the log, with the traceback."""

    @flow(name="outer")
    def outer() -> None:
        count(["a"])
        fails.with_options(retries=0).submit("too bad")

    outer()
    with pytest.raises(AssertionError) as failed:
        runs.assert_completed(fails)
    told = str(failed.value)
    assert told.startswith("Expected run 'fails-")
    outer_line, count_line, word_line, fails_line = (
        line for line in told.splitlines() if line.lstrip().startswith(("flow ", "task "))
    )
    assert " of outer(): " in outer_line
    assert count_line.startswith("  flow ")
    assert word_line.startswith("    task count_words-")
    assert "text='a'" in word_line
    assert word_line.endswith("): Completed")
    assert fails_line.startswith("  task fails-")
    assert "      | about to fail: too bad\n" in told
    assert "raise ValueError(why)" in told


def test_only_errors_that_were_asked_for_pass(runs: Runs) -> None:
    """Another kind, another text or another state fail."""

    @flow
    def failing() -> None:
        fails("no")

    failing(return_state=True)
    for error, match in ((KeyError, None), (ValueError, "^o"), (ValueError, "yes")):
        with pytest.raises(AssertionError, match="Runs:"):
            runs.assert_failed(failing, error, match=match)
    count(["a"])
    with pytest.raises(AssertionError, match="but it is Completed"):
        runs.assert_failed(count)


# --- as with a real worker --------------------------------------------------------------------------------------------


def test_tasks_work_on_copies(runs: Runs) -> None:
    """What cannot be sent is an error here too."""

    @task
    def spoil(values: list[int]) -> list[int]:
        values.append(0)
        return values

    @flow
    def copying() -> tuple[list[int], list[int]]:
        mine = [1]
        return mine, spoil.submit(mine).result()

    assert copying() == ([1], [1, 0])

    @flow
    def locked() -> None:
        spoil.submit([threading.Lock()])

    with pytest.raises(UnpicklableArgument):
        locked()
    runs.assert_called(spoil, times=1)


def test_one_thread_is_enough() -> None:
    """A run that waits for others lets them go on; in the same order each time."""

    @task
    def leaf(at: int) -> list[int]:
        return [at]

    @task
    def tree(depth: int, at: int) -> list[int]:
        if depth == 0:
            return leaf.submit(at).result()
        left, right = (tree.submit(depth - 1, 2 * at + side) for side in (0, 1))
        return left.result() + right.result()

    @flow
    def grow() -> list[int]:
        return tree.submit(3, 0).result()

    orders: list[list[int]] = []
    for _ in range(3):
        with testing.workflows() as runs:
            assert grow() == list(range(8))
            orders.append([run.parameters["at"] for run in runs.of(leaf)])
    assert orders[0] == orders[1] == orders[2]


_meeting = threading.Barrier(2)


@task
def meet() -> int:
    return _meeting.wait(10)


def test_more_threads_execute_more_at_once() -> None:
    """Two runs can meet."""

    @flow
    def two() -> list[int]:
        futures = [meet.submit(), meet.submit()]
        return sorted(future.result() for future in futures)

    with testing.workflows(threads=2):
        assert two() == [0, 1]


async def test_in_async_tests(runs: Runs) -> None:
    """With the loop of the test running; async tasks go on side by side."""
    arrived: list[int] = []

    @task
    async def pause(at: int) -> int:
        await asyncio.sleep(0.05)
        return at

    @flow
    async def pausing() -> list[int]:
        arrived.extend([future.result() for future in pause.map(range(10))])
        return await pause.map(range(10))

    began = time.monotonic()
    assert await pausing() == arrived == list(range(10))
    assert time.monotonic() - began < 0.9
    runs.assert_called(pause, times=20)


_present: list[int] = []


@task(tags=["few"])
def crowded(at: int) -> int:
    _present.append(at)
    together = len(_present)
    time.sleep(0.01)
    _present.remove(at)
    return together


def test_limits_hold() -> None:
    """For as long as the environment lasts, in which they were made."""

    @flow
    def crowd() -> int:
        return max(crowded.map(range(6)).result())

    with testing.workflows(threads=6):
        limits.create(limits.of_tag("few"), 2)
        assert crowd() == 2
    with testing.workflows():
        assert limits.read_all() == []


def test_processes_of_other_task_runners_work_too(runs: Runs) -> None:
    """What they have executed is known as well."""
    assert count.with_options(task_runner=ProcessPoolTaskRunner(1))(["a b"]) == 2
    runs.assert_called_with(count_words, "a b")
    assert runs.assert_completed(count_words) == [2]


def test_commands_find_the_server(runs: Runs) -> None:
    """When they are called in the process of the test."""
    count(["a"])
    said = CliRunner().invoke(main, ["flow-run", "logs", str(runs.of(count)[0].id)])
    assert said.exit_code == 0, said.output
    assert "Finished in state Completed()" in said.output


def test_results_are_cached(runs: Runs) -> None:
    """Within one environment; the next one knows nothing of it."""
    cached = count_words.with_options(cache_policy=INPUTS, cache_expiration=timedelta(hours=1))

    @flow
    def twice() -> None:
        for _ in range(2):
            cached.submit("a").wait()

    twice()
    assert [run.state.name for run in runs.of(cached)] == ["Completed", "Cached"]
    assert [run.run_count for run in runs.of(cached)] == [1, 0]


def test_hooks_are_called_in_this_process(runs: Runs) -> None:
    """So a test can look at what they did."""
    told.clear()
    runs.assert_completed(hooked_flow(return_state=True))
    assert told == ["Completed"]


told: list[str] = []


@task(on_completion=[lambda _task, _run, state: told.append(state.name)])
def hooked() -> None: ...


@flow
def hooked_flow() -> None:
    hooked.submit()


def test_tasks_can_be_replaced(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a task finds in its module when it runs is what the test has put there."""
    monkeypatch.setattr(f"{__name__}.told", ["replaced"])

    @flow
    def look() -> list[str]:
        return looking.submit().result()

    assert look() == ["replaced"]
    runs.assert_called(looking, times=1)


@task
def looking() -> list[str]:
    return told


# --- runs that nobody waits for ---------------------------------------------------------------------------------------


def test_background_runs_can_be_waited_for(runs: Runs) -> None:
    """`finish` waits for all that is under way."""
    count_words.delay("a b")
    runs.finish()
    runs.assert_completed(count_words)
    assert runs.of(count_words)[0].parent_id is None


def test_background_runs_are_waited_for_at_the_end() -> None:
    """What they submit included."""
    with testing.workflows() as runs:
        count_words.delay("a b")
    assert runs.assert_completed(count_words) == [2]


_gate = threading.Event()


@task
def stuck() -> None:
    _gate.wait(10)


def test_what_does_not_end_is_an_error_at_the_end() -> None:
    """Which names it, also what waits for it."""
    _gate.clear()

    def leave_two() -> None:
        with testing.workflows(timeout=0.1) as runs:
            stuck.delay()
            stuck.delay()
            eventually(lambda: runs.of(stuck))
            with pytest.raises(AssertionError, match=r"unfinished runs after 0\.01 seconds"):
                runs.finish(timeout=0.01)

    with pytest.raises(AssertionError, match=r"after 0\.1 seconds: 'stuck-...', 'stuck-...'\.") as left:
        leave_two()
    assert ": Running" in str(left.value)
    _gate.set()


def test_an_error_of_the_test_is_not_hidden() -> None:
    """It counts, and not what was left because of it."""
    _gate.clear()

    def fail() -> None:
        with testing.workflows(timeout=0.1):
            stuck.delay()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    _gate.set()


# --- one environment after the other ----------------------------------------------------------------------------------


def test_each_begins_empty_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No runs, no limits on what the next one sees, no threads, no settings."""
    monkeypatch.setenv("MILLSTREAM_CRASH_LIMIT", "7")
    sessions.close_current()
    before, threads_before = dict(os.environ), _threads()
    for _ in range(3):
        with testing.workflows() as runs:
            assert get_settings().crash_limit == 3
            assert runs.all() == []
            assert runs.tree() == "Nothing has been run."
            assert count(["a"]) == 1
    assert _threads() <= threads_before
    assert dict(os.environ) == before
    get_settings.cache_clear()
    assert get_settings().crash_limit == 7


def _threads() -> set[threading.Thread]:
    # These two serve all that the process does.
    return {thread for thread in threading.enumerate() if not thread.name.endswith(("-chores", "-time-limits"))}


def test_settings_can_be_given() -> None:
    """By the names of their variables; others are as they are by default."""
    with testing.workflows(default_task_runner="threads", task_default_retries=1) as runs:
        assert get_settings().default_task_runner == "threads"
        fails.with_options(retries=None)("no", return_state=True)
        assert runs.of(fails)[0].run_count == 2
    with (
        pytest.raises(ConfigurationError, match="none named 'crash_limits'"),
        testing.workflows(crash_limits=1),
    ):
        pass
    with pytest.raises(ConfigurationError, match="MILLSTREAM_CRASH_LIMIT"), testing.workflows(crash_limit=0):
        pass
    with pytest.raises(ValueError, match="got threads=0"), testing.workflows(threads=0):
        pass
    with testing.workflows():
        pass


@pytest.mark.usefixtures("runs")
def test_they_are_not_nested() -> None:
    """It would not be known whose runs these are."""
    with pytest.raises(ConfigurationError, match="entered already"), testing.workflows():
        pass
    assert count(["a"]) == 1


def test_without_fakeredis_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of the extra."""
    monkeypatch.setitem(sys.modules, "fakeredis", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'millstream\[testing\]'"), testing.workflows():
        pass


def test_it_takes_milliseconds() -> None:
    """To enter and to leave, once what it needs is imported."""
    took: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        with testing.workflows():
            pass
        took.append(time.perf_counter() - began)
    assert min(took) < 0.05


_USERS_TESTS = """
import unittest
import pytest
from millstream import flow, task, testing

@task
def double(x: int) -> int:
    return 2 * x

@flow
def doubled(n: int) -> list[int]:
    return double.map(range(n)).result()

@pytest.fixture
def runs():
    with testing.workflows() as runs:
        yield runs

@pytest.mark.parametrize("n", range(4))
def test_doubled(runs, n):
    assert doubled(n) == [2 * x for x in range(n)]
    runs.assert_called(double, times=n)

async def test_async(runs):
    assert doubled(1) == [0]

class TestDoubled(unittest.TestCase):
    def setUp(self):
        self.runs = self.enterContext(testing.workflows())

    def test_one(self):
        self.assertEqual(doubled(1), [0])
        self.runs.assert_called_with(double, 0)
"""


def test_in_a_suite_of_a_users_own(tmp_path: Path) -> None:
    """With fixtures and with unittest; warnings are errors."""
    (tmp_path / "test_theirs.py").write_text(_USERS_TESTS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )
    options = ["-q", "-p", "no:valkey", "-p", "no:xdist", "-p", "no:hypothesispytest"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_theirs.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "6 passed" in done.stdout, done.stdout + done.stderr


def test_flows_that_are_submitted_run_in_the_process_too() -> None:
    """As do runs of deployments, each as a child of the flow that asks for it; nobody waits for a worker."""
    with testing.workflows() as runs:
        assert submitted.submit(2).result() == (4, os.getpid())
        assert asks_for_two() == [2, 4]
        submitted.deploy("here", parameters={"x": 5})
        assert run_deployment("submitted/here").state.result()[0] == 10
        runs.assert_called(twice, times=4)
