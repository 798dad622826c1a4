"""The Lua scripts of the store: each file in `lua/` is one atomic step, of parts in `lua/parts/`."""

import hashlib
import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources
from typing import Any

from redis.exceptions import NoScriptError

# Functions are made anew in each call, at half a microsecond each where caches are cold. Those of a part that a script
# only may use are made when the part is first called: it is a function, which gives what the part says that it gives.
_MAKER = """
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
def _source(name: str, *, flagged: bool) -> tuple[str, str]:
    script = _read(f"{name}.lua")
    parts = _with_what_they_use(_listed("uses", script))
    makers = _makers([script, *parts.values()], parts)
    text = "\n".join([*(f"local {part}" for part in makers), *parts.values(), *makers.values(), script])
    if _WHEN_FULL in script and flagged:
        text = _FLAGS + text
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _read(path: str) -> str:
    return (resources.files("millstream_shared") / "lua" / path).read_text()


def _listed(heading: str, source: str) -> list[str]:
    """What a script or a part names in its head, as `-- uses: queueing, news`."""
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


def _makers(sources: list[str], present: Iterable[str]) -> dict[str, str]:
    """What makes the parts that these sources only may use, by name, also those that such a part may use."""
    makers: dict[str, str] = {}
    for source in sources:
        for name in _listed("may use", source):
            if name not in makers:
                brought = _with_what_they_use([name], present)
                given = ", ".join(f"{each} = {each}" for each in _listed("gives", brought[name]))
                makers[name] = _MAKER.format(name=name, source="\n".join(brought.values()), given=given)
                sources.extend(brought.values())
    return makers


def run(call: Callable[..., Any], name: str, args: list[Any], *, flagged: bool) -> Any:
    """Run the script `name` with `call`; a server that does not know it yet, or has forgotten it, is given it first.

    With `flagged` the server is told in the first line what it is run in spite of, which a server in memory does not
    understand.
    """
    text, digest = _source(name, flagged=flagged)
    try:
        return call("EVALSHA", digest, 0, *args)
    except NoScriptError:
        return call("EVAL", text, 0, *args)
