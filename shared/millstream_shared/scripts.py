"""The Lua scripts of the store: each file in `lua/` is one atomic step."""

import hashlib
from functools import cache
from importlib import resources
from typing import Any

from redis.exceptions import NoScriptError

# Functions are made anew in each call. Those for slots take 4 microseconds, which most runs need not spend.
_LATER = """
local slots_made
local function slots()
  if not slots_made then
    slots_made = (function()
      {slots}
      return {{ admit = admit, pass_slots_on = pass_slots_on }}
    end)()
  end
  return slots_made
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
    parts = [read("common"), script]
    if "-- uses slots.lua\n" in script:
        parts.insert(1, read("slots"))
    elif "-- may use slots.lua\n" in script:
        parts.insert(1, _LATER.format(slots=read("slots")))
    if "-- uses claiming.lua\n" in script:
        parts.insert(-1, read("claiming"))
    text = "\n".join(parts)
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
