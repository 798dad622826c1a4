"""Text for terminals: names without surprises, and bars, in what characters the output can show."""

from collections.abc import Sequence
from pathlib import Path

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII = " .:-=+*#@"


def printable(text: str) -> str:
    """`text` on one line, with `?` for whatever a terminal would act upon or cannot show.

    File names may hold any of that: line ends, escape sequences, bytes that are not UTF-8.
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` characters: of a long path the end tells most."""
    return text if len(text) <= width else "..." + text[len(text) - max(width - 3, 0) :]


def short_path(path: str, root: Path) -> str:
    """A path as seen from the folder that was asked for; a file that was asked for is its name."""
    file = Path(path)
    if file == root or not file.is_relative_to(root):
        return printable(file.name)
    return printable(str(file.relative_to(root)))


def bars(values: Sequence[float], encoding: str) -> str:
    """A bar for each value, the largest one full; any value above zero can be seen."""
    levels = _BLOCKS if encoding.lower().startswith("utf") else _ASCII
    highest, top = max(values, default=0.0), len(levels) - 1
    return "".join(levels[max(round(value / highest * top), 1)] if value > 0 else levels[0] for value in values)


def duration(seconds: float) -> str:
    """`0.4 ms`, `12 ms`, `1.23 s`, `2 min 5 s`: three figures at most."""
    if seconds >= 120:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    if seconds >= 1:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 9.95 else f"{milliseconds:.0f} ms"


def counted(number: int, one: str, several: str = "") -> str:
    """`1 file`, `1,790 files`."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"
