"""Texts as the demo sees them: how a file is read, and what can be said of what stands in it."""

import keyword
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

LARGEST = 10_000_000
"""Bytes; each of the operations reads the whole file, many of them at a time."""

_MOST_COMMON = 10
_KEYWORDS = frozenset(word.lower() for word in keyword.kwlist)
_WORD = re.compile(r"[^\W\d_]{4,}")
_DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?(def|class)[ \t]+\w", re.MULTILINE)
# Tried only where a word begins, and bounded: on a line of a million letters it must not look at each again and again.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")


class NotText(Exception):
    """The file at `path` does not hold text in UTF-8; `reason` says what it holds instead."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(path, reason)

    def __str__(self) -> str:
        return f"{self.path!r} is not text: {self.reason}"


class TooLarge(Exception):
    """The file at `path` has `size` bytes, more than the demo reads; `reason` says so."""

    def __init__(self, path: str, size: int) -> None:
        self.path, self.size = path, size
        self.reason = f"{size:,} bytes, the limit is {LARGEST:,}"
        super().__init__(path, size)

    def __str__(self) -> str:
        return f"{self.path!r} is too large: {self.reason}"


@dataclass(frozen=True, slots=True)
class Lines:
    """How many lines a text has; the length of the longest one and its number, counted from 1 (0: there is none)."""

    count: int
    longest: int
    number: int


@dataclass(frozen=True, slots=True)
class Definitions:
    """How many functions and classes a Python source defines."""

    functions: int
    classes: int


def read_text(path: str) -> str:
    """What stands in a file. Raises NotText, TooLarge, or the OSError of a file that cannot be read."""
    file = Path(path)
    size = file.stat().st_size
    if size > LARGEST:
        raise TooLarge(path, size)
    content = file.read_bytes()
    if b"\0" in content:
        raise NotText(path, "it holds zero bytes")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as wrong:
        reason = f"byte 0x{content[wrong.start]:02x} at position {wrong.start} is not UTF-8"
        raise NotText(path, reason) from None


def word_count(text: str) -> int:
    """The number of words, as what stands between white space."""
    return len(text.split())


def lines(text: str) -> Lines:
    """How many lines there are, and which is the longest."""
    # Not `splitlines`, which ends lines at form feeds too: no editor would show the same numbers.
    found = text.removesuffix("\n").split("\n") if text else []
    lengths = [len(line) for line in found]
    longest = max(lengths, default=0)
    return Lines(len(found), longest, lengths.index(longest) + 1 if longest else 0)


def emails(text: str) -> list[str]:
    """The e-mail addresses in a text, each once, in small letters, sorted."""
    return sorted({address.lower() for address in _EMAIL.findall(text)})


def definitions(text: str) -> Definitions:
    """The functions and classes that a Python source defines; of other texts, lines that look so."""
    found = Counter(_DEFINITION.findall(text))
    return Definitions(found["def"], found["class"])


def common_words(text: str) -> list[str]:
    """The ten words of four or more letters that a text uses most, in small letters, the commonest first.

    Python's keywords do not count: they are common in every source.
    """
    counted = Counter(_WORD.findall(text.lower()))
    for word in _KEYWORDS:
        counted.pop(word, None)
    return [word for word, _ in counted.most_common(_MOST_COMMON)]
