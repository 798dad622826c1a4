"""Files of deployments: what they may hold, and how each mistake in them is told."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from millstream import deployment_files, exceptions
from millstream.cli.deploy import deploy

FLOWS = """
from millstream import flow

@flow
def clean(table: str, days: int = 7) -> None: ...

@flow
def greet() -> None: ...
"""

GOOD = """
deployments:
  - name: nightly
    entrypoint: flows/shop.py:clean
    queue: slow
    parameters: {table: orders}
    tags: [a]
    schedules:
      - cron: "0 3 * * *"
        timezone: Europe/Berlin
        parameters: {days: 3}
      - interval: 3600
    concurrency_limit: {limit: 2, collision_strategy: CANCEL_NEW}
    on_crash: resume
  - name: by-hand
    entrypoint: flows/shop.py:greet
    work_pool_name: quick
    concurrency_limit: 3
"""


@pytest.fixture
def project(folder: Path) -> Iterator[Path]:
    """A folder with flows, forgotten afterwards."""
    before, path = set(sys.modules), list(sys.path)
    (folder / "flows").mkdir()
    (folder / "flows" / "shop.py").write_text(FLOWS)
    (folder / "flows" / "broken.py").write_text("1 / 0\n")
    yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]
    sys.path[:] = path


def written(project: Path, text: str) -> Path:
    file = project / "millstream.yaml"
    file.write_text(text)
    return file


def problems(project: Path, text: str) -> list[str]:
    """What is wrong with such a file, without its name."""
    file = written(project, text)
    with pytest.raises(exceptions.DeploymentFileError) as caught:
        deployment_files.read(file)
    return [problem.removeprefix(f"{file}:") for problem in caught.value.problems]


def test_a_file_describes_several_deployments(project: Path) -> None:
    """Of flows in files that are found from where it lies."""
    nightly, by_hand = (each.record for each in deployment_files.read(written(project, GOOD)))
    assert (nightly.full_name, nightly.queue, nightly.parameters) == ("clean/nightly", "slow", {"table": "orders"})
    assert [(each.slug, each.timezone, each.parameters) for each in nightly.schedules] == [
        ("cron", "Europe/Berlin", {"days": 3}),
        ("interval", "UTC", {}),
    ]
    assert (nightly.concurrency_limit, nightly.collision_strategy, nightly.on_crash) == (2, "CANCEL_NEW", "resume")
    assert (nightly.entrypoint, nightly.path) == ("flows/shop.py:clean", str(project))
    assert (by_hand.full_name, by_hand.queue, by_hand.concurrency_limit) == ("greet/by-hand", "quick", 3)


def test_some_of_them_can_be_chosen(project: Path) -> None:
    """By the name alone, or with the flow's; the flows of the others are not loaded."""
    file = written(project, GOOD + "  - {name: other, entrypoint: 'flows/broken.py:x'}\n")
    assert [each.full_name for each in deployment_files.read(file, ["by-hand"])] == ["greet/by-hand"]
    assert [each.full_name for each in deployment_files.read(file, ["clean/nightly"])] == ["clean/nightly"]
    with pytest.raises(exceptions.ObjectNotFound, match=r"no deployment 'x' .* it has nightly, by-hand, other"):
        deployment_files.read(file, ["nightly", "x"])


def test_all_fields_that_are_wrong_are_told_with_their_lines(project: Path) -> None:
    """So that they are put right at once."""
    text = """deployments:
  - name: nightly
    entrypoint: flows/shop.py:clean
    colour: red
    version: 1.0
    schedules:
      - timezone: UTC
      - cron: every day
    concurrency_limit:
      limit: 0
  - entrypoint: flows/shop.py:greet
    on_crash: explode
    source: {git: --upload-pack=x}
"""
    found = problems(project, text)
    assert "every day" in found.pop(3)
    assert found == [
        "4: deployments[0].colour: there is no such field",
        '5: deployments[0].version: is a text: write it in quotes, as "1.0"',
        "7: deployments[0].schedules[0]: A schedule has one of cron, interval and rrule; got none.",
        "10: deployments[0].concurrency_limit.limit: Input should be greater than or equal to 1 (it is 0)",
        "11: deployments[1].name: is missing",
        "12: deployments[1].on_crash: Input should be 'crash' or 'resume' (it is 'explode')",
        "13: deployments[1].source: The address of a repository does not begin with a dash; got '--upload-pack=x'.",
    ]


def test_what_the_flows_do_not_take_is_told_with_its_line(project: Path) -> None:
    """Once the fields are right; the flows are loaded to know."""
    text = """deployments:
  - name: a
    entrypoint: flows/shop.py:clean
    parameters: {tabel: orders}
  - name: b
    entrypoint: flows/broken.py:clean
  - name: c
    entrypoint: flows/shop.py:none
  - name: "d/e"
    entrypoint: flows/shop.py:greet
  - name: f
    entrypoint: flows/shop.py:greet
  - name: f
    entrypoint: flows/shop.py:greet
  - name: g
    entrypoint: flows/shop.py:clean
    schedules: [cron: 0 3 * * *]
"""
    found = problems(project, text)
    assert [problem.split(": ")[:2] for problem in found] == [
        ["4", "deployments[0].parameters"],
        ["6", "deployments[1].entrypoint"],
        ["8", "deployments[2].entrypoint"],
        ["9", "deployments[3].name"],
        ["13", "deployments[5].name"],
        ["15", "deployments[6].parameters"],
    ]
    assert "tabel: no such parameter" in found[0]
    assert "ZeroDivisionError" in found[1]
    assert "Flows there: clean, greet" in found[2]
    assert "table: it has no default" in found[5]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1: there is nothing in it"),
        ("deployments: [", "1: is not YAML"),
        ("a: b: c", "1: is not YAML"),
        ("deployments:\n  - name: a\n    entrypoint: b\n    name: c\n", "4: name: is there twice"),
        ("[]", "1: Input should be"),
        ("deployments: []", "1: deployments: List should have at least 1 item"),
        ("deployments:\n  - x\n", "2: deployments[0]: Input should be"),
        ("deployments: !!python/name:os.system\n", "1: is not YAML"),
    ],
)
def test_what_is_no_such_file_at_all_is_told_too(project: Path, text: str, told: str) -> None:
    """With the line as far as there is one."""
    assert problems(project, text)[0].startswith(told)


def test_the_command_checks_a_file_before_anything_is_deployed(project: Path) -> None:
    """It says what is wrong, or which deployments have to be chosen."""
    file = written(project, GOOD)
    checked = CliRunner().invoke(deploy, [str(file), "--check"])
    assert (checked.exit_code, checked.output) == (0, f"{file}: clean/nightly, greet/by-hand can be deployed.\n")
    several = CliRunner().invoke(deploy, [str(file)])
    assert several.exit_code == 2
    assert "say --all" in several.output
    assert CliRunner().invoke(deploy, [str(file), "--all", "--name", "x"]).exit_code == 2
    missing = CliRunner().invoke(deploy, [str(project / "none.yaml")])
    assert isinstance(missing.exception, exceptions.DeploymentFileError)
