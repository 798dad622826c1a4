"""Whether a script is running what it would run again on being imported."""

import sys
import types
from pathlib import Path

import pytest

from millstream.exceptions import ConfigurationError
from millstream.runners import guards

CALL = "check('A runner')\n"


@pytest.fixture
def run_as_main(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Executes a text as Python would execute a script of that content."""

    def run(text: str, **attributes: object) -> None:
        file = folder / "script.py"
        file.write_text(text)
        main = types.ModuleType("__main__")
        main.__dict__.update({"__file__": str(file), "check": guards.check} | attributes)
        monkeypatch.setitem(sys.modules, "__main__", main)
        exec(compile(text, str(file), "exec"), main.__dict__)

    return run


@pytest.mark.parametrize(
    "text",
    [
        f"if __name__ == '__main__':\n    {CALL}",
        f"def main():\n    {CALL}\nif '__main__' == __name__:\n    main()\n",
        f"import sys\nif __name__ == '__main__' and sys.argv:\n    {CALL}",
    ],
)
def test_a_guarded_call_is_good(run_as_main, text: str) -> None:
    """However it is written, and however deep it is."""
    run_as_main(text)


@pytest.mark.parametrize("text", [CALL, f"\ndef main():\n    {CALL}\nmain()\n", f"if True:\n    {CALL}"])
def test_a_call_without_a_guard_is_refused(run_as_main, text: str) -> None:
    """With the line of the script."""
    with pytest.raises(ConfigurationError, match=r"A runner starts .*script\.py again, .* line \d"):
        run_as_main(text)


def test_the_main_of_a_package_is_not_imported_again(run_as_main) -> None:
    """So it needs no guard."""
    run_as_main(CALL, __spec__=types.SimpleNamespace(name="package.__main__"))


def test_what_has_no_file_is_good(run_as_main) -> None:
    """Such as an interactive session."""
    run_as_main(CALL, __file__=None)


def test_a_test_is_no_script() -> None:
    """Here no statement of a script calls, or one that is guarded."""
    guards.check("A runner")
