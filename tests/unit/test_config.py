"""The file with settings: what it says counts beneath the environment, and commands that change it lose nothing."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from millstream import configuring, testing
from millstream.cli import main
from millstream.exceptions import ConfigurationError
from millstream_shared import config_files, settings


@pytest.fixture
def file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a home of the test's own, not there yet."""
    monkeypatch.setenv("MILLSTREAM_HOME", str(folder / "home"))
    settings.get_settings.cache_clear()
    return folder / "home" / "config.toml"


def config(*arguments: str) -> Result:
    settings.get_settings.cache_clear()
    return CliRunner().invoke(main, ["config", *arguments])


def viewed(name: str) -> tuple[object, str]:
    """The value and source of a setting."""
    found = json.loads(config("view", "--json").output)
    [setting] = [setting for setting in found if setting["name"] == name]
    return setting["value"], setting["source"]


def test_a_setting_in_the_file_counts_unless_the_environment_has_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source is shown with the value; an empty variable says nothing."""
    assert viewed("crash_limit") == (3, "default")
    assert config("set", "crash_limit=7", "MILLSTREAM_LOGGING_LEVEL=debug").exit_code == 0
    assert file.read_text() == 'crash_limit = 7\nlogging_level = "DEBUG"\n'
    assert viewed("crash_limit") == (7, "file")
    assert settings.get_settings().logging_level == "DEBUG"
    monkeypatch.setenv("MILLSTREAM_CRASH_LIMIT", "9")
    assert viewed("crash_limit") == (9, "environment")
    assert "comes first" in config("set", "crash_limit=8").output
    monkeypatch.setenv("MILLSTREAM_CRASH_LIMIT", "")
    assert viewed("crash_limit") == (8, "file")
    assert "comes first" not in config("set", "crash_limit=8").output
    assert config("unset", "MILLSTREAM_CRASH_LIMIT").exit_code == 0
    assert file.read_text() == 'logging_level = "DEBUG"\n'


def test_secrets_are_kept_and_never_shown(file: Path) -> None:
    """The file is readable by its owner alone."""
    config("set", "signing_key=very secret", "redis_url=redis://me:hidden@somewhere:6379/0")
    shown = config("view").output + config("view", "--json").output
    assert "very secret" not in shown
    assert "hidden" not in shown
    assert "somewhere:6379/0" in shown
    assert settings.get_settings().signing_key == "very secret"
    assert "very secret" not in repr(settings.get_settings())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("assignment", "said", "code"),
    [
        ("crash_limit=none", "crash_limit: ", 1),
        ("crash_limt=3", "Is it crash_limit", 1),
        ("home=/somewhere", "MILLSTREAM_HOME", 1),
        ("crash_limit", "NAME=VALUE", 2),
        ("crash_limit=", "unset", 2),
    ],
)
def test_a_mistake_is_named_and_changes_nothing(file: Path, assignment: str, said: str, code: int) -> None:
    """Nor does what was right beside it."""
    result = config("set", "default_queue=gpu", assignment)
    assert result.exit_code == code, result.output
    assert said in result.output
    assert not file.exists()


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("crash_limit", "0", "MILLSTREAM_CRASH_LIMIT: 0 is not in the range x>=1."),
        ("crash_limit", "2.5", "'2.5' is not a valid integer."),
        ("lease_seconds", "0", "0.0 is not in the range x>0"),
        ("lease_seconds", "nan", "'nan' is no number"),
        ("lease_seconds", "soon", "'soon' is not a valid float."),
        ("logs_lines_per_run", "1000001", "is not in the range 1<=x<=1000000"),
        ("logging_level", "loud", "MILLSTREAM_LOGGING_LEVEL: 'loud' is not one of"),
        ("logs_to_redis", "perhaps", "'perhaps' is not a valid boolean"),
    ],
)
def test_a_mistake_in_the_environment_is_named(
    name: str, given: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable, what it is, and what it may be."""
    monkeypatch.setenv(settings.variable_of(name), given)
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        settings.get_settings()


def test_words_are_understood_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a switch is what people write for one."""
    for name, said in {"logging_level": "debug", "logging_format": "JSON", "refresh_cache": "On"}.items():
        monkeypatch.setenv(settings.variable_of(name), said)
    found = settings.get_settings()
    assert (found.logging_level, found.logging_format, found.refresh_cache) == ("DEBUG", "json", True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("crash_limit = [1]\n", r"crash_limit in .*config.toml: \[1\] is not a single value"),
        ("crash_limit = 1.5\n", r"crash_limit in .*config.toml: '1.5' is not a valid integer"),
        ("crash_limit = true\n", r"crash_limit in .*config.toml: 'True' is not a valid integer"),
        ("crash_limit = 0\n", r"crash_limit in .*config.toml: 0 is not in the range x>=1."),
        ("crash_limt = 1\n", "crash_limt in .*config.toml is no setting. Is it crash_limit"),
        ('home = "/else"\n', "home in .* MILLSTREAM_HOME"),
        ("[redis]\nurl = 1\n", "redis in .*config.toml is no setting"),
        ("crash_limit = \n", "config.toml is not TOML: .*line 1"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_the_file(file: Path, text: str, said: str) -> None:
    """By whatever program reads it first; the command that repairs it still works."""
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        settings.get_settings()


def test_what_people_wrote_into_the_file_stays(file: Path) -> None:
    """Comments, order, and any TOML; what cannot be changed line by line is left to them."""
    file.parent.mkdir()
    file.write_text("# ours\ncrash_limit = 0b100  # four\ndefault_queue = 'gpu'")
    assert settings.get_settings().crash_limit == 4
    configuring.set_values({"default_queue": 'a "b" \\ c', "lease_seconds": "2.5"})
    assert file.read_text().startswith("# ours\ncrash_limit = 0b100  # four\ndefault_queue = ")
    assert settings.get_settings().default_queue == 'a "b" \\ c'
    assert settings.get_settings().lease_seconds == 2.5
    file.write_text('default_queue = """\ncrash_limit = 5\n"""\n')
    with pytest.raises(ConfigurationError, match="by hand"):
        configuring.set_values({"crash_limit": "6"})


@pytest.mark.usefixtures("file")
def test_tests_of_users_are_not_changed_by_their_file() -> None:
    """`testing.workflows()` has the defaults, whatever the file says."""
    configuring.set_values({"crash_limit": "7"})
    with testing.workflows():
        assert settings.get_settings().crash_limit == 3


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c_d"]), st.text() | st.integers() | st.booleans() | st.floats(-1, 1))
)
def test_whatever_is_written_is_read_again(values: dict[str, str | int | bool | float]) -> None:
    """By the short way of reading, and by a TOML parser."""
    text = configuring.written("", values, Path("x"))
    assert config_files.read_toml(text, "x") == values
    simple = config_files.read_simple(text)
    assert simple is None or simple == values


def test_changes_from_many_processes_are_all_there(file: Path) -> None:
    """Each takes its turn, and who reads meanwhile never finds half a file."""
    names = ["crash_limit", "logs_lines_per_run", "retention_seconds", "lease_seconds"]
    script = (
        "import sys; from millstream import configuring\n"
        "for number in range(100, 130): configuring.set_values({sys.argv[1]: str(number)})"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, name], env=os.environ) for name in names]
    while any(writer.poll() is None for writer in writers):
        config_files.read_toml(file.read_text() if file.exists() else "", file)
    assert [writer.returncode for writer in writers] == [0] * 4
    expected = {"crash_limit": 129, "logs_lines_per_run": 129, "retention_seconds": 129, "lease_seconds": 129.0}
    assert config_files.read(str(file)) == expected
    assert sorted(path.name for path in file.parent.iterdir()) == ["config.toml", "config.toml.lock"]
