"""The Lua scripts of the store: each file in `lua/` is one atomic step."""

import hashlib
from functools import cache
from importlib import resources
from typing import Any

from redis.exceptions import NoScriptError


@cache
def _source(name: str) -> tuple[str, str]:
    folder = resources.files("millstream_shared") / "lua"
    script = (folder / f"{name}.lua").read_text()
    # Functions are made anew in each call: 4 microseconds that only those scripts spend which need them.
    parts = ("common", "slots") if "-- uses slots.lua\n" in script else ("common",)
    text = "\n".join([*((folder / f"{part}.lua").read_text() for part in parts), script])
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def run(client: Any, name: str, args: list[Any]) -> Any:
    """Run the script `name`; a server that does not know it yet, or has forgotten it, is given it first."""
    text, digest = _source(name)
    try:
        return client.execute_command("EVALSHA", digest, 0, *args)
    except NoScriptError:
        return client.execute_command("EVAL", text, 0, *args)
