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


@cache
def _source(name: str) -> tuple[str, str]:
    def read(part: str) -> str:
        return (resources.files("millstream_shared") / "lua" / f"{part}.lua").read_text()

    script = read(name)
    parts = [read("common"), script]
    if "-- uses slots.lua\n" in script:
        parts.insert(1, read("slots"))
    elif "-- may use slots.lua\n" in script:
        parts.insert(1, _LATER.format(slots=read("slots")))
    text = "\n".join(parts)
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def run(client: Any, name: str, args: list[Any]) -> Any:
    """Run the script `name`; a server that does not know it yet, or has forgotten it, is given it first."""
    text, digest = _source(name)
    try:
        return client.execute_command("EVALSHA", digest, 0, *args)
    except NoScriptError:
        return client.execute_command("EVAL", text, 0, *args)
