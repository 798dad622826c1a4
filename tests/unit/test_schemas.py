"""Schemas of flows' parameters, and the check of values against them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict

from millstream import exceptions, flow, schemas
from millstream.flows import Flow


class Colour(Enum):
    RED = "red"
    ONE = 1


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Node(pydantic.BaseModel):
    value: int
    children: list["Node"] = []


@dataclass
class Point:
    x: float
    y: float = 0.0


class Size(TypedDict):
    width: int


class Opaque:
    pass


TYPES: list[Any] = [
    int,
    float,
    bool,
    str,
    bytes,
    None,
    Any,
    date,
    datetime,
    time,
    timedelta,
    Decimal,
    UUID,
    Colour,
    Level,
    Node,
    Point,
    Size,
    Opaque,
    int | None,
    str | int,
    int | str | None,
    list[int],
    list[Any],
    set[int],
    frozenset[str],
    tuple[int, str],
    tuple[int, ...],
    dict[str, int],
    dict[int, bool],
    list[Node] | None,
    dict[str, list[int | None]],
    Literal["a", 1, None],
    Annotated[int, pydantic.Field(ge=3)],
    Annotated[str, pydantic.Field(min_length=2, pattern="^a")],
    Callable[[], int],
    Opaque | int,
    list[Opaque],
]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.0, 1.0, 5.0, "", "a", "ab", "5", " 5 ", "5.0", "1e3", "true", "no", "null", "red", "[1]"])
    | st.sampled_from(["2026-03-29", "2026-03-29T02:30:00Z", "10:30", "P1D", '{"x": 1}', "1_000", "-3", "+7"])
    | st.sampled_from(["0d6c2a0e-7d4f-4d4e-9d65-0d6c2a0e7d4f"])
    | st.text(max_size=3)
)
NAMES = st.sampled_from(["x", "y", "value", "children", "width", "1", "a"])
JSON = st.recursive(
    SCALARS, lambda some: st.lists(some, max_size=3) | st.dictionaries(NAMES, some, max_size=3), max_leaves=6
)


def declared(hint: Any) -> Flow[..., Any]:
    def take(it: Any) -> None: ...

    take.__annotations__["it"] = hint
    return flow(take)


FLOWS = [declared(hint) for hint in TYPES]


@given(st.integers(0, len(FLOWS) - 1), JSON)
def test_what_a_flow_takes_as_json_its_schema_takes(which: int, value: Any) -> None:
    """And what the check makes of it the flow still takes."""
    taker = FLOWS[which]
    try:
        wanted = taker.validate_parameters({"it": value})
    except exceptions.ParameterTypeError:
        return
    schema = json.loads(json.dumps(schemas.of_flow(taker)))
    checked = schemas.checked(schema, {"it": value}, flow_name="taker")
    assert repr(taker.validate_parameters(checked)) == repr(wanted)


def test_the_schema_says_what_is_required_and_what_the_defaults_are() -> None:
    """Defaults that JSON cannot express are left out, and types that it cannot express are open."""

    @flow
    def many(a: int, b: str = "x", c: Opaque = Opaque(), d=None, *, e: list[int] = [1]) -> None: ...  # type: ignore[no-untyped-def]  # noqa: B006, B008

    schema = schemas.of_flow(many)
    assert schema["required"] == ["a"]
    assert list(schema["properties"]) == ["a", "b", "c", "d", "e"]
    assert {name: rule.get("default", ...) for name, rule in schema["properties"].items()} == {
        "a": ...,
        "b": "x",
        "c": ...,
        "d": None,
        "e": [1],
    }
    assert schema["additionalProperties"] is False
    assert "type" not in schema["properties"]["c"]


@pytest.mark.parametrize(
    ("hint", "text", "meant"),
    [
        (int, "5", 5),
        (float, "2.5", 2.5),
        (bool, "true", True),
        (bool, "off", False),
        (int | None, "null", None),
        (int | None, "5", 5),
        (str | int, "5", "5"),
        (list[int], "[1, 2]", [1, 2]),
        (list[int], ["1", "2"], [1, 2]),
        (dict[str, bool], '{"a": "no"}', {"a": False}),
        (Node, {"value": "1", "children": [{"value": "2"}]}, {"value": 1, "children": [{"value": 2}]}),
        (tuple[int, str], ["1", "1"], [1, "1"]),
        (str, "5", "5"),
        (Any, "5", "5"),
    ],
)
def test_a_text_becomes_what_it_clearly_means(hint: Any, text: Any, meant: Any) -> None:
    """Where the schema asks for that, however deep; a text that is asked for stays one."""
    found = schemas.checked(schemas.of_flow(declared(hint)), {"it": text}, flow_name="f")["it"]
    assert (found, type(found)) == (meant, type(meant))


def test_values_of_python_become_those_of_json() -> None:
    """As they are about to be kept as such."""
    schema = schemas.of_flow(declared(Any))
    value = {"day": date(2026, 1, 2), "sizes": {3}, "node": Node(value=1), "colour": Colour.RED}
    assert schemas.checked(schema, {"it": value}, flow_name="f")["it"] == {
        "day": "2026-01-02",
        "sizes": [3],
        "node": {"value": 1, "children": []},
        "colour": "red",
    }
    for unfit in (Opaque(), float("nan"), [float("inf")], "\ud800"):
        with pytest.raises(exceptions.ParameterTypeError, match="it: cannot be written as JSON"):
            schemas.checked(schema, {"it": unfit}, flow_name="f")


@pytest.mark.parametrize(
    ("hint", "text"),
    [(date, "3x"), (datetime, "tomorrow"), (time, "25:00"), (timedelta, "long"), (UUID, "0d6c"), (date | None, "3x")],
)
def test_a_text_that_stands_for_something_else_is_read(hint: Any, text: str) -> None:
    """By what reads it in the end: it takes no more and no less."""
    with pytest.raises(exceptions.ParameterTypeError, match=f"it: '{text}' is not"):
        schemas.checked(schemas.of_flow(declared(hint)), {"it": text}, flow_name="f")


def test_what_is_wrong_deep_inside_is_told_by_its_place() -> None:
    """Though the value as a whole may be one of several."""
    schema = schemas.of_flow(declared(list[Node] | None))
    with pytest.raises(exceptions.ParameterTypeError) as caught:
        schemas.checked(schema, {"it": [{"value": 1}, {"value": "x", "children": 3}]}, flow_name="f")
    assert "it.1." in str(caught.value)


def test_missing_parameters_are_named() -> None:
    """Unless some may be missing, as among those of a deployment."""

    @flow
    def pair(left: int, right: int) -> None: ...

    schema = schemas.of_flow(pair)
    with pytest.raises(exceptions.ParameterBindError, match=r"left: .* missing\n  right: .* missing"):
        schemas.checked(schema, {}, flow_name="pair")
    assert schemas.checked(schema, {"left": 1}, flow_name="pair", partial=True) == {"left": 1}


def test_further_names_go_to_a_flow_that_takes_them() -> None:
    """Those that it has itself are its own, in whatever way it takes them."""

    @flow
    def loose(first: int, /, second: int = 2, *rest: int, third: int = 3, **more: int) -> None: ...

    schema = schemas.of_flow(loose)
    values = schemas.checked(schema, {"first": "1", "rest": ["4"], "extra": "5"}, flow_name="loose")
    assert loose.parameters.bind_names(values) == {
        "first": 1,
        "second": 2,
        "rest": (4,),
        "third": 3,
        "more": {"extra": 5},
    }
    with pytest.raises(exceptions.ParameterTypeError, match=r"extra: 'x' is not of type 'integer'"):
        schemas.checked(schema, {"first": 1, "extra": "x"}, flow_name="loose")


def test_values_are_bound_only_where_they_fit() -> None:
    """For deployments whose parameters are not checked against the schema."""
    taker = declared(int)
    assert taker.parameters.bind_names({"it": "5"}) == {"it": "5"}
    with pytest.raises(exceptions.ParameterBindError, match="missing: it"):
        taker.parameters.bind_names({})
    with pytest.raises(exceptions.ParameterBindError, match="unknown: that"):
        taker.parameters.bind_names({"it": 1, "that": 2})
