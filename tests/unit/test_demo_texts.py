"""What the demo says of one text, and which files it looks at."""

import os
import pickle
from pathlib import Path

import pytest

from millstream.demo import files, texts
from millstream.demo.texts import Definitions, Lines

SOURCE = """class Parser:
    def parse(self): ...
    async def read(self): ...
    # def is a word here
"""


def test_words_are_what_stands_between_blanks():
    """Line ends count as blanks, and punctuation belongs to its word."""
    assert texts.word_count("one two,\n\tthree -") == 4


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", Lines(0, 0, 0)),
        ("\n\n", Lines(2, 0, 0)),
        ("ab\nabcd\nabcd", Lines(3, 4, 2)),
        ("a\fb\n", Lines(1, 3, 1)),
    ],
)
def test_lines_are_counted_as_an_editor_does(text, found):
    """The first of the longest lines counts; a form feed ends no line."""
    assert texts.lines(text) == found


def test_emails_are_found_once_each():
    """In small letters and sorted; what only looks like an address is none."""
    text = "Z@b.org, <a.b+c@mail.example.com>; z@B.ORG. @decorator a@b"
    assert texts.emails(text) == ["a.b+c@mail.example.com", "z@b.org"]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("text", ["a" * 3_000_000, "a.b-" * 1_000_000, "a@" * 1_000_000, "a@" + "b." * 1_000_000])
def test_emails_take_no_time_in_what_has_none(text):
    """Encoded data, megabytes without a blank, is looked at once."""
    assert texts.emails(text) == []


def test_definitions_begin_a_line():
    """Functions, async ones too, and classes."""
    assert texts.definitions(SOURCE) == Definitions(functions=2, classes=1)


def test_common_words_are_long_and_no_keywords():
    """The commonest first; words of three letters and those that Python keeps for itself do not count."""
    assert texts.common_words("return the Value; value of Import and import, WORD") == ["value", "word"]


def test_a_text_is_read_whatever_its_line_ends(tmp_path):
    """A mark at the beginning that says UTF-8 is no part of the text."""
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeffä\r\nb".encode())
    assert texts.read_text(str(file)) == "ä\nb"


@pytest.mark.parametrize(("content", "reason"), [(b"ab\xe9", "byte 0xe9 at position 2"), (b"a\0", "zero bytes")])
def test_what_is_not_text_says_why(tmp_path, content, reason):
    """The error names the file and the reason, also after it has crossed processes."""
    file = tmp_path / "a.bin"
    file.write_bytes(content)
    with pytest.raises(texts.NotText, match=reason) as caught:
        texts.read_text(str(file))
    travelled = pickle.loads(pickle.dumps(caught.value))
    assert (travelled.path, travelled.reason, str(travelled)) == (str(file), caught.value.reason, str(caught.value))


def test_a_large_file_is_not_read(tmp_path):
    """Its size is looked at first."""
    file = tmp_path / "large"
    with file.open("wb") as large:
        large.truncate(texts.LARGEST + 1)
    with pytest.raises(texts.TooLarge, match="10,000,001 bytes") as caught:
        texts.read_text(str(file))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_files_are_found_in_order(tmp_path):
    """Below the folder, without what is hidden, compiled or installed, and without what is not a regular file."""
    for name in ("b.txt", "a/z.py", "a/b/c", ".hidden", ".git/config", "__pycache__/x.pyc", "site-packages/y.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    found = [str(Path(path).relative_to(tmp_path)) for path in files.find_files(tmp_path)]
    assert found == ["b.txt", "a/z.py", "a/b/c"]


def test_files_can_be_fewer(tmp_path):
    """By a limit, by the end of their name, or because one is asked for."""
    for name in ("a.txt", "b.py", "c.py"):
        (tmp_path / name).touch()
    assert files.find_files(tmp_path, limit=1) == [str(tmp_path / "a.txt")]
    assert files.find_files(tmp_path, limit=1, suffix=".py") == [str(tmp_path / "b.py")]
    assert files.find_files(tmp_path / "c.py") == [str(tmp_path / "c.py")]


def test_the_standard_library_is_found():
    """It is where this very Python keeps its modules."""
    assert os.__file__ in files.find_files(files.standard_library(), suffix=".py")
