"""The Lua scripts of the store: each file in `lua/` is one atomic step, of parts in `lua/parts/`."""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

from redis.exceptions import NoScriptError

# Functions are made anew in each call: those for slots take 4 microseconds, and leave something to be collected. A
# script that only may use a part gets a function that makes it when it is called first, and gives these.
_GIVEN_LATER = {
    "slots": ("admit", "pass_slots_on"),
    "claiming": ("begin_claim", "accept_ready", "take_ready", "search", "end_claim"),
}
_LATER = """
local {name}_made
{name} = function()
  if not {name}_made then
    {name}_made = (function()
      {source}
      return {{ {given} }}
    end)()
  end
  return {name}_made
end
"""

# What ends work, or keeps it with who has it, is also done when the server's memory is full: it makes room.
_WHEN_FULL = "-- also when memory is full\n"
_FLAGS = "#!lua flags=allow-oom\n"


@cache
def _source(name: str, client: type[Any]) -> tuple[str, str]:
    script = _read(f"{name}.lua")
    parts = _with_what_they_use(_listed("uses", script))
    later = [_made_later(part, parts) for part in _listed("may use", script)]
    text = "\n".join([*parts.values(), *later, script])
    # The server in memory, whose memory is never full, knows no such first line.
    if _WHEN_FULL in script and not client.__module__.startswith("fakeredis"):
        text = _FLAGS + text
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _read(path: str) -> str:
    return (resources.files("millstream_shared") / "lua" / path).read_text()


def _listed(heading: str, source: str) -> list[str]:
    """The parts that a script or a part names in its head, as `-- uses: queues, news`."""
    found = re.search(rf"^-- {heading}: ([\w, ]+)", source, re.MULTILINE)
    return found[1].split(", ") if found else []


def _with_what_they_use(names: Iterable[str], present: Iterable[str] = ()) -> dict[str, str]:
    """The sources of these parts by name, each behind those that it uses, without those that are `present`."""
    sources: dict[str, str] = {}
    for name in names:
        if name not in present and name not in sources:
            source = _read(f"parts/{name}.lua")
            sources |= _with_what_they_use(_listed("uses", source), {*present, *sources})
            sources[name] = source
    return sources


def _made_later(name: str, present: Iterable[str]) -> str:
    source = "\n".join(_with_what_they_use([name], present).values())
    given = ", ".join(f"{each} = {each}" for each in _GIVEN_LATER[name])
    return _LATER.format(name=name, source=source, given=given)


def run(client: Any, name: str, args: list[Any]) -> Any:
    """Run the script `name`; a server that does not know it yet, or has forgotten it, is given it first."""
    text, digest = _source(name, client.__class__)
    try:
        return client.execute_command("EVALSHA", digest, 0, *args)
    except NoScriptError:
        return client.execute_command("EVAL", text, 0, *args)
