"""What validation costs, and what it leaves alone."""

import subprocess
import sys

import pytest

from millstream.exceptions import ParameterTypeError
from millstream.parameters import Parameters
from millstream.validation import Validator


def validator(fn) -> Validator:
    """The validator of a function."""
    return Validator(fn, Parameters(fn, fn.__name__))


def test_parameters_that_need_no_check_are_the_same_object() -> None:
    """Plain numbers and text where they are expected, and whatever has no annotation."""

    def give(x: int, y: str, z): ...

    parameters = {"x": 1, "y": "a", "z": object()}
    assert validator(give).validate(parameters) is parameters


def test_a_boolean_is_cast_where_a_number_is_expected() -> None:
    """It is not exactly an int, so pydantic decides."""

    def give(x: int): ...

    assert validator(give).validate({"x": True}) == {"x": 1}


def test_every_value_that_does_not_fit_is_told() -> None:
    """With the function's name, and what was given."""

    def give(x: int, y: list[int], z: int = 3): ...

    with pytest.raises(ParameterTypeError) as raised:
        validator(give).validate({"x": "a", "y": [1, "b"], "z": 4})
    assert "'give'" in str(raised.value)
    assert "x: " in str(raised.value)
    assert "y.1: " in str(raised.value)
    assert "'b'" in str(raised.value)


def test_a_name_that_cannot_be_found_leaves_its_parameter_alone() -> None:
    """The others are checked all the same."""

    def give(x: "Nowhere", y: "int"): ...  # type: ignore[name-defined] # noqa: F821

    assert validator(give).validate({"x": "a", "y": "1"}) == {"x": "a", "y": 1}


def test_a_script_with_plain_arguments_does_not_wait_for_pydantic() -> None:
    """It is imported when a value needs it."""
    script = (
        "import sys\n"
        "from millstream.parameters import Parameters\n"
        "from millstream.validation import Validator\n"
        "def give(x: int, y: str = 'a'): ...\n"
        "Validator(give, Parameters(give, 'give')).validate({'x': 1, 'y': 'b'})\n"
        "print('pydantic' in sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=20)
    assert told.stdout.strip() == "False"
