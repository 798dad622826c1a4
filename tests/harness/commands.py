"""Commands as a shell would give them, executed in the process of the test: ten times as quick as one of their own."""

import json
from typing import Any

from click.testing import CliRunner

from millstream.cli import main
from millstream_shared import settings


def millstream(url: str, *arguments: str, code: int = 0) -> str:
    """The output of `millstream` with these arguments, on the server at `url`, if it ends with this exit code."""
    settings.get_settings.cache_clear()
    result = CliRunner().invoke(main, arguments, env={"MILLSTREAM_REDIS_URL": url})
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def millstream_json(url: str, *arguments: str, code: int = 0) -> Any:
    """The same of a command that prints JSON."""
    return json.loads(millstream(url, *arguments, "--json", code=code))
