"""The file in millstream's home that keeps settings for all programs of a user: `config.toml`, a line for each.

Every process reads it when it starts, so lines as `millstream config set` writes them are read without a TOML parser,
which would take longer to import than all of this; any other file is left to that one.
"""

from collections.abc import Mapping
from os.path import expanduser, join
from typing import Any, Final

from millstream_shared import errors

VARIABLE: Final = "MILLSTREAM_CONFIG_FILE"
"""Where the file is, if it is not in the home; empty: there is none."""
_NAME: Final = "config.toml"


def place_of(environment: Mapping[str, str]) -> str:
    """The path of the file for a process with this environment; empty if it is to have none."""
    given = environment.get(VARIABLE)
    if given is not None:
        return given
    return join(environment.get("MILLSTREAM_HOME") or join(expanduser("~"), ".millstream"), _NAME)


def read(path: str) -> dict[str, Any]:
    """What the file says, by name; nothing if there is none.

    Raises ConfigurationError, with the path, if it cannot be read or is not TOML.
    """
    if not path:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return {}  # who needs the home says what is wrong with it
    except (OSError, UnicodeDecodeError) as failure:
        raise errors.ConfigurationError(f"{path} cannot be read: {failure}") from failure
    simple = read_simple(text)
    return read_toml(text, path) if simple is None else simple


def read_simple(text: str) -> dict[str, Any] | None:
    """The content of a file in which each line is plain; None if one is not."""
    found: dict[str, Any] = {}
    for line in text.split("\n"):
        name, _, value = (part.strip() for part in line.partition("="))
        if not name or name[0] == "#":
            continue
        if not (name.isascii() and name.isidentifier()) or name in found:
            return None
        if value.isascii() and value.isdecimal() and (value[0] != "0" or value == "0"):
            found[name] = int(value)
        elif value in ("true", "false"):
            found[name] = value == "true"
        elif len(value) > 1 and value[0] == value[-1] == '"' and "\\" not in value and value.count('"') == 2:
            found[name] = value[1:-1]
        else:
            return None
    return found


def read_toml(text: str, path: object) -> dict[str, Any]:
    """The content of such a file. Raises ConfigurationError, with the path, for what is no TOML."""
    import tomllib  # see above

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as failure:
        raise errors.ConfigurationError(f"{path} is not TOML: {failure}") from failure
