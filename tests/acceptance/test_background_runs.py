"""Background runs and real processes: who makes them ends, who serves them is stopped, and none is lost."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from millstream.embedded import homes
from tests.acceptance.test_embedded_flows import SOON, nothing_left
from tests.acceptance.test_worker_faults import start_worker
from tests.harness import eventually
from tests.harness.processes import Process, Processes
from tests.harness.servers import RealServer

SCRIPT = """
import asyncio, os, sys, time
from millstream import task
from millstream.futures import future_of
from millstream.task_worker import aserve, serve

def note(what):
    with open("ledger", "a") as ledger:
        print(what, file=ledger)

def until(name):
    while not os.path.exists(name):
        time.sleep(0.005)

@task(queue="slow")
def step(i, file=""):
    note(f"begun {i}")
    if file:
        until(file)
    note(f"done {i}")
    return 10 * i

@task(queue="slow")
async def async_step(i, file):
    note(f"begun {i}")
    while not os.path.exists(file):
        await asyncio.sleep(0.005)
    note(f"done {i}")
    return 10 * i

@task(queue="slow")
def chain(i):
    note(f"begun {i}")
    if i:
        chain.delay(i - 1)
    time.sleep(0.1)
    note(f"done {i}")

if __name__ == "__main__":
    exec(sys.argv[1])
    print("all right", flush=True)
"""


@pytest.fixture
def program(running: Processes, folder: Path) -> Callable[..., Process]:
    """Starts a script that has the tasks above and executes the statements that it is given."""
    (folder / "program.py").write_text(SCRIPT)
    running.environment["MILLSTREAM_WORKER_PROCESSES"] = "1"
    return lambda statements, **environment: running.python(folder / "program.py", statements, **environment)


@pytest.fixture
def noted(folder: Path) -> Callable[[str], list[int]]:
    """The numbers of the runs that have `begun` or are `done`, in order."""

    def read(what: str) -> list[int]:
        ledger = folder / "ledger"
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith(what)]

    return read


@pytest.fixture
def home(folder: Path) -> homes.Home:
    return homes.describe_home(folder / "home")


@pytest.fixture
def shared(running: Processes, valkey: RealServer) -> RealServer:
    """A server for all processes of the test."""
    running.environment |= {"MILLSTREAM_REDIS_URL": valkey.url, "MILLSTREAM_LOGGING_LEVEL": "WARNING"}
    return valkey


# -- with a server for all


@pytest.mark.usefixtures("shared")
def test_a_result_is_read_by_another_process(running: Processes, program: Callable[..., Process]) -> None:
    """The script that asked for it has long ended, before a worker even began."""
    output = program("print(step.delay(4).run_id)").succeed()
    run_id = re.search(r"\b[0-9a-f]{32}\b", output)[0]
    assert "No worker serves the queue 'slow'" in output
    reader = program(f"print('result:', future_of({run_id!r}).result())")
    start_worker(running, "-q", "slow", "--burst", MILLSTREAM_LOGGING_LEVEL="INFO")
    assert "result: 40" in reader.succeed()
    assert "result: 40" in program(f"print('result:', future_of({run_id!r}).result())").succeed()


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("serving", ["serve(step, limit=2)", "asyncio.run(aserve(step, limit=2))"])
def test_serve_ends_when_what_runs_has_ended(
    program: Callable[..., Process], noted: Callable[[str], list[int]], folder: Path, serving: str
) -> None:
    """On SIGTERM: no more than its limit have begun, what runs ends, the rest stays queued for the next one."""
    output = program("print(*[step.delay(i, 'go').run_id for i in range(4)])").succeed()
    server = program(serving, MILLSTREAM_LOGGING_LEVEL="INFO")
    server.says("worker started")
    eventually(lambda: len(noted("begun")) == 2)
    server.send(signal.SIGTERM)
    server.says("stopping")
    (folder / "go").touch()
    assert "all right" in server.succeed()
    assert sorted(noted("done")) == sorted(noted("begun")) == [0, 1]
    second = program(serving)
    ids = re.findall(r"\b[0-9a-f]{32}\b", output)
    assert "[0, 10, 20, 30]" in program(f"print([future_of(each).result() for each in {ids!r}])").succeed()
    second.send(signal.SIGTERM)
    second.succeed()


@pytest.mark.usefixtures("shared")
def test_the_limit_counts_sync_and_async_runs(
    program: Callable[..., Process], noted: Callable[[str], list[int]], folder: Path
) -> None:
    """Together; when one ends, another begins."""
    server = program("serve(step, async_step, limit=3)")
    program("for i in range(4): step.delay(i, f'go{i}'); async_step.delay(i + 4, f'go{i + 4}')").succeed()
    eventually(lambda: len(noted("begun")) == 3)
    for i in (0, 4, 1, 5, 2, 6, 3, 7):
        (folder / f"go{i}").touch()
        eventually(lambda i=i: i in noted("done"))
        assert len(noted("begun")) <= len(noted("done")) + 3
    assert sorted(noted("done")) == list(range(8))
    server.send(signal.SIGTERM)
    server.succeed()


@pytest.mark.usefixtures("shared")
def test_a_second_signal_hands_back_what_runs(
    program: Callable[..., Process], noted: Callable[[str], list[int]], folder: Path
) -> None:
    """At once; another process executes it again. Ctrl-C is such a signal."""
    program("step.delay(1, 'go')").succeed()
    server = program("step.serve()", MILLSTREAM_LOGGING_LEVEL="INFO")
    eventually(lambda: noted("begun") == [1])
    server.interrupt()
    server.says("stopping")
    server.interrupt()
    assert "all right" in server.succeed(10)
    (folder / "go").touch()
    again = program("step.serve()", MILLSTREAM_LOGGING_LEVEL="INFO")
    again.says("worker started")
    eventually(lambda: noted("done") == [1])
    again.interrupt()
    again.succeed()


@pytest.mark.usefixtures("shared")
def test_ctrl_c_cancels_aserve(program: Callable[..., Process], noted: Callable[[str], list[int]]) -> None:
    """As it does with all that `asyncio.run` runs; what is executed may end."""
    server = program("asyncio.run(aserve(step))")
    program("step.delay(1)").succeed()
    eventually(lambda: noted("done") == [1])
    server.interrupt()
    assert server.wait(20) == -signal.SIGINT, server.output
    assert "all right" not in server.output


@pytest.mark.usefixtures("shared")
def test_what_a_killed_server_executed_is_executed_again(
    program: Callable[..., Process], noted: Callable[[str], list[int]], folder: Path
) -> None:
    """Its worker ends with it, and hands back what it had."""
    server = program("serve(step)")
    program("step.delay(1, 'go')").succeed()
    eventually(lambda: noted("begun") == [1])
    server.kill()
    again = program("serve(step)", MILLSTREAM_LOGGING_LEVEL="INFO")
    again.says("worker started")
    eventually(lambda: noted("begun") == [1, 1], 20)
    (folder / "go").touch()
    eventually(lambda: noted("done") == [1])
    again.send(signal.SIGTERM)
    again.succeed()


def test_serve_says_so_when_there_is_no_server(program: Callable[..., Process], folder: Path) -> None:
    """Within seconds, by an error with the address."""
    server = program("serve(step)", MILLSTREAM_REDIS_URL=f"unix://{folder}/nobody")
    assert server.wait(20) == 1
    assert "RedisUnavailable" in server.output
    assert "nobody" in server.output


# -- on a private server


def test_a_script_waits_for_its_background_runs(
    running: Processes,
    home: homes.Home,
    program: Callable[..., Process],
    noted: Callable[[str], list[int]],
    folder: Path,
) -> None:
    """As their worker ends with it, though by an error; a note says for which. Also for those that these have made."""
    script = program("step.delay(9, 'go'); chain.delay(3); raise ValueError")
    said = script.says_like(r"\d background runs? not ended \(.*step-\w{3}.*waiting")
    assert "ValueError" in said.string
    (folder / "go").touch()
    assert script.wait() == 1
    assert sorted(noted("done")) == [0, 1, 2, 3, 9]
    eventually(lambda: nothing_left(running, home), SOON)


ENDS = {
    "Ctrl-C while it waits": ("step.delay(1, 'go')", Process.interrupt, 0, True),
    "an interrupt of its own": ("step.delay(1, 'go'); raise KeyboardInterrupt", None, -signal.SIGINT, True),
    "SIGTERM in a flow": (
        "from millstream import flow; flow(lambda: (step.delay(1, 'go'), os.kill(os.getpid(), 15)))()",
        None,
        -signal.SIGTERM,
        True,
    ),
    "kill -9": ("step.delay(1, 'go')", Process.kill, -signal.SIGKILL, False),
}


@pytest.mark.parametrize("how", ENDS)
def test_what_a_script_leaves_is_executed_by_the_next_one(
    running: Processes,
    home: homes.Home,
    program: Callable[..., Process],
    noted: Callable[[str], list[int]],
    folder: Path,
    how: str,
) -> None:
    """It stays queued; a script that can say so names it."""
    statements, end, code, says_so = ENDS[how]
    script = program(statements)
    if end:
        script.says("waiting")
        eventually(lambda: noted("begun") == [1])
        end(script)
    assert script.wait() == code, script.output
    assert ("left in the queue" in script.output) is says_so
    eventually(lambda: nothing_left(running, home), SOON)
    assert noted("done") == []
    (folder / "go").touch()
    program("assert step.delay(2).result() == 20").succeed()
    assert sorted(noted("done")) == [1, 2]


def test_a_script_does_not_wait_where_others_serve(
    running: Processes,
    home: homes.Home,
    program: Callable[..., Process],
    noted: Callable[[str], list[int]],
    folder: Path,
) -> None:
    """A process with `serve` on the same private server goes on with its runs."""
    server = program("serve(step)", MILLSTREAM_LOGGING_LEVEL="INFO")
    server.says("worker started")
    eventually(lambda: "waiting" not in program("step.delay(1, 'go')").succeed())
    eventually(lambda: noted("begun") == [1])
    (folder / "go").touch()
    eventually(lambda: noted("done") == [1])
    server.interrupt()
    server.succeed()
    eventually(lambda: nothing_left(running, home), SOON)
