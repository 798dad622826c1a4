"""From a call to parameters by name, and back."""

import pytest

from millstream.exceptions import ParameterBindError
from millstream.parameters import Parameters


def plain(a, b=2, c=3):
    return a, b, c


def rich(a, /, b, *rest, c, d=4, **more):
    return a, b, rest, c, d, more


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((1,), {}), ((1, 5), {"c": 6}), ((), {"a": 1, "c": 0}), ((1, 2, 3), {}), ((), {"c": 1, "a": 2})],
)
def test_plain_calls_are_bound_as_python_does(args: tuple, kwargs: dict) -> None:
    """With defaults, in order, and called with the same outcome."""
    takes = Parameters(plain, "plain")
    bound = takes.bind(args, kwargs)
    assert takes.invoke(plain, bound) == plain(*args, **kwargs)
    assert list(bound) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, 2, 3, 4), {}), ((1,), {"a": 2}), ((1,), {"d": 2}), ((), {"b": 1, "d": 1})]
)
def test_calls_that_python_refuses_are_refused(args: tuple, kwargs: dict) -> None:
    """With the name and signature in the message."""
    with pytest.raises(TypeError):
        plain(*args, **kwargs)
    with pytest.raises(ParameterBindError, match=r"plain\(a, b=2, c=3\)"):
        Parameters(plain, "plain").bind(args, kwargs)


def test_all_kinds_of_parameters() -> None:
    """Those that are collected are kept under their own names."""
    takes = Parameters(rich, "rich")
    bound = takes.bind((1, 2, 3), {"c": 5, "e": 6})
    assert bound == {"a": 1, "b": 2, "rest": (3,), "c": 5, "d": 4, "more": {"e": 6}}
    assert takes.invoke(rich, bound) == rich(1, 2, 3, c=5, e=6)
    assert takes.variadic_keyword == "more"


def test_given_parameters_are_those_of_the_call() -> None:
    """Without defaults."""
    assert Parameters(plain, "plain").bind_given((1,), {"c": 4}) == {"a": 1, "c": 4}


def test_a_builtin_that_tells_nothing_is_called_by_position() -> None:
    """Such as `max`, which has no signature."""
    takes = Parameters(max, "max")
    assert takes.invoke(max, takes.bind((1, 3, 2), {})) == 3
