"""The Lua scripts of the store: each file in `lua/` is one atomic step."""

import hashlib
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
local function {name}()
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
    def read(part: str) -> str:
        return (resources.files("millstream_shared") / "lua" / f"{part}.lua").read_text()

    script = read(name)
    parts = [read("common")]
    for name, given in _GIVEN_LATER.items():
        if f"-- uses {name}.lua\n" in script:
            parts.append(read(name))
        elif f"-- may use {name}.lua\n" in script:
            pairs = ", ".join(f"{each} = {each}" for each in given)
            parts.append(_LATER.format(name=name, source=read(name), given=pairs))
    text = "\n".join([*parts, script])
    # The server in memory, whose memory is never full, knows no such first line.
    if _WHEN_FULL in script and not client.__module__.startswith("fakeredis"):
        text = _FLAGS + text
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def run(client: Any, name: str, args: list[Any]) -> Any:
    """Run the script `name`; a server that does not know it yet, or has forgotten it, is given it first."""
    text, digest = _source(name, client.__class__)
    try:
        return client.execute_command("EVALSHA", digest, 0, *args)
    except NoScriptError:
        return client.execute_command("EVAL", text, 0, *args)
