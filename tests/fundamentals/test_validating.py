"""A flow's arguments are validated against its annotations, and cast to them."""

import datetime
import enum
import pickle
import uuid
from dataclasses import dataclass
from typing import Annotated, Any

import pydantic
import pytest

from millstream import flow, task
from millstream.exceptions import ParameterTypeError


class Colour(enum.Enum):
    RED = "red"


class Size(pydantic.BaseModel):
    width: int


@dataclass
class Point:
    x: int


class Plain:
    pass


def annotated(annotation: Any):
    """A flow that gives back its one argument, annotated."""

    def give(value):
        return value

    give.__annotations__ = {"value": annotation}
    return flow(give)


@pytest.mark.parametrize("annotation", ["Lst[", 5, [int], "'Lst['"])
def test_what_can_be_no_annotation_is_refused_when_it_is_declared(annotation: Any) -> None:
    """By name, unless nothing is to be validated."""
    with pytest.raises(ValueError, match="annotation of 'value', a parameter of 'give'"):
        annotated(annotation)

    def give(value):
        return value

    give.__annotations__ = {"value": annotation}
    assert flow(give, validate_parameters=False)(1) == 1


A_UUID = uuid.UUID(int=7)


@pytest.mark.parametrize(
    ("annotation", "given", "expected"),
    [
        (int, "5", 5),
        (int, 5, 5),
        (float, 1, 1.0),
        (list[int], ["1", 2], [1, 2]),
        (dict[str, int], {"a": "1"}, {"a": 1}),
        (int | None, None, None),
        (Colour, "red", Colour.RED),
        (Size, {"width": "3"}, Size(width=3)),
        (Point, {"x": "3"}, Point(3)),
        (uuid.UUID, str(A_UUID), A_UUID),
        (datetime.date, "2024-02-29", datetime.date(2024, 2, 29)),
        ("list[int]", ["1"], [1]),
        (Annotated[int, pydantic.Field(gt=0)], "1", 1),
        (Any, "5", "5"),
    ],
)
def test_values_are_cast(annotation: Any, given: object, expected: object) -> None:
    """As pydantic does."""
    assert annotated(annotation)(given) == expected


@pytest.mark.parametrize(
    ("annotation", "given"),
    [(int, "five"), (list[int], 3), (Plain, 3), (Size, {}), (Annotated[int, pydantic.Field(gt=0)], 0)],
)
def test_values_that_do_not_fit_are_refused(annotation: Any, given: object) -> None:
    """By the call; asked for a state, it is a failed one, and the function is not called."""
    with pytest.raises(ParameterTypeError, match="value"):
        annotated(annotation)(given)
    state = annotated(annotation)(given, return_state=True)
    assert state.is_failed()
    assert isinstance(pickle.loads(pickle.dumps(state.data)), ParameterTypeError)


def test_other_classes_are_checked_by_isinstance() -> None:
    """And passed as they are."""
    given = Plain()
    assert annotated(Plain)(given) is given


def test_a_default_is_not_validated() -> None:
    """It is the function's own affair."""

    @flow
    def defaulting(x: int = None):  # type: ignore[assignment] # noqa: RUF013
        return x

    assert defaulting() is None
    assert defaulting("3") == 3


def test_any_number_of_arguments_is_validated_each() -> None:
    """By position and by name."""

    @flow
    def collecting(*args: int, **kwargs: int):
        return args, kwargs

    assert collecting("1", "2", a="3") == ((1, 2), {"a": 3})


@pytest.mark.parametrize("name", ["schema", "json", "copy", "model_fields", "_private"])
def test_parameters_may_have_any_name(name: str) -> None:
    """Also those that a pydantic model would keep for itself."""
    scope: dict[str, Any] = {}
    exec(f"def give({name}: int): return {name}", scope)
    assert flow(scope["give"])(**{name: "4"}) == 4


def test_validation_can_be_switched_off() -> None:
    """Then anything goes through."""

    @flow(validate_parameters=False)
    def give(x: int):
        return x

    assert give("5") == "5"
    assert give.with_options(validate_parameters=True)("5") == 5


def test_tasks_are_not_validated() -> None:
    """They are called far more often, by code and not by people."""

    @task
    def give(x: int):
        return x

    assert give("5") == "5"


def test_futures_are_resolved_before_validation() -> None:
    """What arrives is validated."""

    @task
    def text() -> str:
        return "5"

    @flow
    def child(x: int):
        return x

    assert flow(lambda: child(text.submit()))() == 5


def test_annotations_of_local_classes_are_understood() -> None:
    """Where the function can see them."""

    class Local(pydantic.BaseModel):
        x: int

    @flow
    def give(value: Local):
        return value

    assert give({"x": "1"}) == Local(x=1)
