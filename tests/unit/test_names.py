"""Names of flows and runs."""

import random
import re

import pytest

from millstream import names
from millstream.exceptions import InvalidNameError


def test_flow_run_names_are_two_words() -> None:
    """And there are thousands of them."""
    drawn = {names.flow_run_name() for _ in range(200)}
    assert all(re.fullmatch("[a-z]+-[a-z]+", name) for name in drawn)
    assert len(drawn) > 150


def test_names_do_not_follow_the_seed_of_the_program() -> None:
    """Nor do they use up its random numbers."""
    random.seed(1)
    expected = random.random()
    random.seed(1)
    drawn = [names.flow_run_name() for _ in range(20)]
    assert random.random() == expected
    random.seed(1)
    assert [names.flow_run_name() for _ in range(20)] != drawn


def test_task_run_names_end_as_their_ids() -> None:
    """By three digits."""
    assert names.task_run_name("count_words", "0" * 29 + "01a") == "count_words-01a"


def test_names_are_checked() -> None:
    """For what breaks addresses."""
    assert names.check("my flow: 1") == "my flow: 1"
    with pytest.raises(InvalidNameError, match="a/b"):
        names.check("a/b")
