"""The operations of the demo: tasks that are given the path of a file, read it, and return something small."""

from collections.abc import Mapping
from typing import Any

from millstream import Task, task
from millstream.demo import texts
from millstream.demo.texts import Definitions, Lines


@task
def count_words(path: str) -> int:
    """The number of words in a file."""
    return texts.word_count(texts.read_text(path))


@task
def measure_lines(path: str) -> Lines:
    """How many lines a file has, and which is the longest."""
    return texts.lines(texts.read_text(path))


@task
def extract_emails(path: str) -> list[str]:
    """The e-mail addresses in a file."""
    return texts.emails(texts.read_text(path))


@task
def find_definitions(path: str) -> Definitions:
    """How many functions and classes a Python source defines."""
    return texts.definitions(texts.read_text(path))


@task
def common_words(path: str) -> list[str]:
    """The words that a file uses most."""
    return texts.common_words(texts.read_text(path))


OPERATIONS: Mapping[str, Task[[str], Any]] = {
    operation.name: operation
    for operation in (count_words, measure_lines, extract_emails, find_definitions, common_words)
}
