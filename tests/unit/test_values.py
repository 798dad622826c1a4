"""How values are encoded: by plain pickle where that is enough, by value where it is not, else not at all."""

import json
import operator
import pickle
import pickletools
import sys
import threading
from pathlib import Path

import pytest

from millstream_shared import values


def test_plain_data_is_plain_pickle() -> None:
    """Of protocol 5, and nothing in it that would need cloudpickle to be read."""
    data = values.dumps({"a": [1, 2.5, None, b"x"]})
    assert data == pickle.dumps({"a": [1, 2.5, None, b"x"]}, 5)


def test_functions_of_modules_travel_by_name() -> None:
    """They are found where they can be imported."""
    assert len(values.dumps(json.loads)) < 100
    assert values.loads(values.dumps([json.loads, operator.add])) == [json.loads, operator.add]


def test_lambdas_travel_by_value() -> None:
    """With their code, as they have no name to be found by."""
    data = values.dumps(lambda x: x + 1)
    assert values.loads(data)(1) == 2
    assert any("cloudpickle" in str(argument) for _, argument, _ in pickletools.genops(data))


def test_code_that_travels_says_where_it_was_written() -> None:
    """Also the code within it: tracebacks of other processes name the user's file and line."""
    there = values.loads(values.dumps(lambda: lambda: 1 // 0))
    with pytest.raises(ZeroDivisionError) as caught:
        there()()
    assert caught.traceback[-1].path == Path(__file__)
    assert "lambda: lambda: 1 // 0" in str(caught.traceback[-1].statement)


@pytest.mark.parametrize("make", [threading.Lock, lambda: (i for i in ()), sys._getframe])
def test_what_cannot_travel_is_an_error(make) -> None:
    """Raised as pickling raised it: the caller knows what the value was for, and says so."""
    with pytest.raises((TypeError, pickle.PicklingError)):
        values.dumps([make()])


class Fickle:
    """Raises what no pickle would when it is pickled."""

    def __reduce__(self):
        raise ZeroDivisionError("not me")


def test_a_users_own_error_while_pickling_is_raised_as_it_is() -> None:
    """It says best what is wrong."""
    with pytest.raises(ZeroDivisionError, match="not me"):
        values.dumps({"a": Fickle()})
