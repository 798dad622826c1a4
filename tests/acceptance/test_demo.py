"""`millstream demo`: what a person sees, from the first line to the exit code."""

import os
import re

import pytest

from tests.harness import eventually

TEXTS = {
    "notes/hello.txt": "Hello you@example.org\nhello hello world\n",
    "notes/world.txt": "Hello world\n",
    "code/parser.py": "class Parser:\n    def parse(self, text): ...\n",
}


@pytest.fixture
def texts(folder):
    """A folder with three small texts."""
    for name, text in TEXTS.items():
        file = folder / "texts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / "texts"


def has_line(output: str, *words: str) -> bool:
    """Whether there is a line of these words, however far apart."""
    return any(line.split() == list(words) for line in output.splitlines())


def test_the_demo_reports_what_it_found(running, texts):
    """Totals that are right, the run's tasks, its worker, its timeline, and nothing of it left behind."""
    output = running.cli("demo", str(texts)).succeed()
    assert output.startswith(f"3 files in {texts}\n5 operations on each: 19 task runs\n")
    assert has_line(output, "files", "3")
    assert has_line(output, "lines", "5")
    assert has_line(output, "words", "13")
    assert has_line(output, "functions", "1")
    assert has_line(output, "e-mails", "1", "most", "often", "you@example.org,", "in", "1", "file")
    assert re.search(r"^  longest line +30   characters, in code/parser\.py:2$", output, re.MULTILINE)
    assert re.search(r"^  hello +2 files ", output, re.MULTILINE)
    assert re.search(r"^The run: 19 task runs in \d.* a second$", output, re.MULTILINE)
    for task, runs in (("analyze_chunk", 3), ("count_words", 3), ("common_words", 3), ("combine", 1)):
        assert re.search(rf"^  {task} +{runs} +{runs} +\d", output, re.MULTILINE)
    assert re.search(r"^  (worker|local)-\d+-\w+ +19 ", output, re.MULTILINE)
    assert re.search(r"^  count_words .*█.* peak \d$", output, re.MULTILINE)
    assert "\x1b" not in output
    assert " | " not in output
    eventually(lambda: running.alive() == {})


def test_files_that_are_not_text_are_named(running, texts):
    """They are counted, with the reason; the others are analyzed, and that is no failure of the demo."""
    (texts / "picture.png").write_bytes(b"\x89PNG\0")
    (texts / "latin.txt").write_bytes(b"caf\xe9")
    with open(os.fsencode(texts) + b"/na\xefve.txt", "w") as strange:
        strange.write("words")
    output = running.cli("demo", str(texts)).succeed()
    assert has_line(output, "files", "4")
    assert "Not analyzed: 2 files (2 NotText)\n" in output
    assert has_line(output, "latin.txt", "NotText", "byte", "0xe9", "at", "position", "3", "is", "not", "UTF-8")
    assert re.search(r"^  measure_lines +6 +4 +2 ", output, re.MULTILINE)
    assert "Traceback" not in output


def test_a_folder_of_no_texts_is_no_failure(running, texts):
    """The run went well, and what it found is that there is nothing."""
    output = running.cli("demo", str(texts), "--limit", "1").succeed()
    assert has_line(output, "files", "1")
    (texts / "only").mkdir()
    (texts / "only" / "zeros").write_bytes(b"\0")
    output = running.cli("demo", str(texts / "only")).succeed()
    assert "Not analyzed: 1 file (1 NotText)\n" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "Path 'missing' does not exist."),
        (["empty"], r"There are no files to analyze in '.*/empty'."),
        (["empty", "--limit", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_analyzed_is_said(running, folder, arguments, message):
    """One line that names it, the exit code of bad usage, and no server is started for it."""
    (folder / "empty").mkdir()
    refused = running.cli("demo", *arguments)
    assert refused.wait() == 2
    assert re.search(f"^Error: .*{message}", refused.output, re.MULTILINE)
    assert "Traceback" not in refused.output
    assert not (folder / "home").exists()


def test_an_interrupted_demo_leaves_nothing_running(running):
    """Ctrl-C is answered with a line and the exit code of shells, while workers are busy."""
    demo = running.cli("demo")
    eventually(lambda: running.named("ms-tasks"), timeout=20)
    demo.interrupt()
    assert demo.wait() == 130
    assert re.search(r"^Interrupted: [\d,]+ of [\d,]+ task runs were done\.\n\Z", demo.output, re.MULTILINE)
    assert "Traceback" not in demo.output
    assert " | " not in demo.output
    eventually(lambda: running.alive() == {})


def test_a_demo_uses_the_redis_it_is_given(running, valkey, texts):
    """With the workers that are there, whose name the report tells."""
    running.cli("worker", "start", MILLSTREAM_REDIS_URL=valkey.url)
    output = running.cli("demo", str(texts), MILLSTREAM_REDIS_URL=valkey.url).succeed()
    assert re.search(r"^  (worker|local)-\d+-\w+ +19 ", output, re.MULTILINE)
    assert not (running.folder / "home" / "server.sock").exists()


def test_a_demo_without_workers_says_so(running, valkey, texts):
    """It waits, as any flow would, and says what to start."""
    demo = running.cli("demo", str(texts), MILLSTREAM_REDIS_URL=valkey.url)
    demo.says("No worker serves the queue 'default'")
    demo.says("0 of 19 runs")
    demo.interrupt()
    assert demo.wait() == 130
    assert demo.output.endswith("Interrupted: 0 of 19 task runs were done.\n")


def test_a_server_that_is_away_is_said(running, texts):
    """One line and exit code 1."""
    lost = running.cli("demo", str(texts), MILLSTREAM_REDIS_URL=f"unix://{texts}/no-socket")
    assert lost.wait() == 1
    assert "Error: No answer from Redis" in lost.output
    assert "Traceback" not in lost.output


def test_log_lines_are_shown_on_demand(running, texts):
    """Who sets the level sees what the runs log."""
    output = running.cli("demo", str(texts), MILLSTREAM_LOGGING_LEVEL="INFO").succeed()
    assert "Finished in state Completed()" in output
