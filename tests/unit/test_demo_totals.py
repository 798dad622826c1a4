"""How the demo adds up what was found: in chunks, in a tree, with what failed."""

from collections import Counter
from pathlib import Path

import pytest

from millstream import recording
from millstream.demo import analysis, totals
from millstream.demo.texts import NotText
from millstream.demo.totals import Failure, LongestLine, Totals
from millstream_shared.states import Completed, Crashed, Failed


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Flows run in this process; counts the runs that end there, by the name of their task."""
    monkeypatch.setenv("MILLSTREAM_DEFAULT_TASK_RUNNER", "sequential")
    monkeypatch.setattr("millstream.run_logging.task_run_failed", lambda *_: None)
    ended: Counter[str] = Counter()
    for name in ("flow_run_changed", "flow_run_finished"):
        monkeypatch.setattr(recording, name, lambda *_: None)
    monkeypatch.setattr(recording, "run_finished", lambda run, _: ended.update([run.task_name]))
    return ended


def write(folder: Path, number: int) -> list[str]:
    paths = [folder / f"{at:03}.txt" for at in range(number)]
    for path in paths:
        path.write_text(f"words of {path.name}\nme@example.org\n")
    return [str(path) for path in paths]


@pytest.mark.parametrize("number", [1, 9, 17, 100])
def test_every_file_counts_once(tmp_path, submitted, number):
    """However many chunks and levels there are; and the runs are those that were announced."""
    found = analysis.analyze(write(tmp_path, number), lambda _: None)
    assert (found.files, found.lines, found.words) == (number, 2 * number, 4 * number)
    assert found.emails == {"me@example.org": number}
    assert found.common["words"] == number
    assert submitted == analysis.expected_runs(number)


def test_a_file_that_fails_is_counted_by_name(tmp_path, submitted):
    """The others are analyzed all the same."""
    paths = write(tmp_path, 3)
    Path(paths[1]).write_bytes(b"\xff")
    missing = str(tmp_path / "missing")
    found = analysis.analyze([*paths, missing], lambda _: None)
    assert found.files == 2
    assert found.failures == {"NotText": 1, "FileNotFoundError": 1}
    assert found.examples == (
        Failure(paths[1], "NotText", "byte 0xff at position 0 is not UTF-8"),
        Failure(missing, "FileNotFoundError", "No such file or directory"),
    )
    assert submitted == analysis.expected_runs(4)


def test_the_flow_says_which_run_it_is(tmp_path, submitted):
    """Before anything is submitted, so that the first run can be watched."""
    told: list[tuple[str, int]] = []
    analysis.analyze(write(tmp_path, 1), lambda run_id: told.append((run_id, submitted.total())))
    ((run_id, before),) = told
    assert (len(run_id), before) == (32, 0)


def test_thousands_of_files_make_a_tree():
    """Chunks of forty, combined by eight until one is left."""
    expected = analysis.expected_runs(4000)
    assert expected["analyze_chunk"] == 100
    assert expected["combine"] == 13 + 2 + 1
    assert expected["count_words"] == 4000


def test_one_failed_operation_fails_the_file():
    """The first that did not complete says why."""
    states = {"a": Completed(data=1), "b": Failed(data=NotText("x", "why")), "c": Crashed(message="killed")}
    found = totals.of_file("x", states)
    assert found.files == 0
    assert found.examples == (Failure("x", "NotText", "why"),)


def test_a_crash_has_no_exception_to_name():
    """The state stands in for it."""
    (failure,) = totals.of_file("x", {"a": Crashed(message="killed")}).examples
    assert failure == Failure("x", "Crashed", "killed")


def test_totals_add_up_in_any_order():
    """Of the longest lines the longest, of the failures the first ten by path."""
    parts = [
        Totals(
            files=1,
            longest=LongestLine(at, f"{at}", 1),
            failures=Counter(["NotText"]),
            examples=(Failure(f"{at:02}", "NotText", ""),),
        )
        for at in range(20)
    ]
    total = totals.add_up(parts)
    assert total == totals.add_up([totals.add_up(parts[7:]), totals.add_up(reversed(parts[:7]))])
    assert (total.files, total.longest.path, total.failures["NotText"]) == (20, "19", 20)
    assert [failure.path for failure in total.examples] == [f"{at:02}" for at in range(10)]


def test_nothing_adds_up_to_nothing():
    """No parts are no files."""
    assert totals.add_up([]) == Totals()
