"""Whatever a user passes arrives as it was, in a process that has never seen the script it was defined in."""

import dataclasses
import enum
import pickle
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_shared import values

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.uuids()
)
hashable = st.integers() | st.text() | st.tuples(st.integers(), st.text())
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
    ),
    max_leaves=20,
)


@given(plain)
def test_data_arrives_as_it_was(value: object) -> None:
    """Of the same type, equal, and by plain pickle, which any Python can read."""
    data = values.dumps(value)
    again = values.loads(data)
    assert type(again) is type(value)
    assert again == value
    assert pickle.loads(data) == value


@given(st.lists(st.text(), max_size=3), st.text())
def test_text_that_speaks_of_main_is_only_text(before: list[str], after: str) -> None:
    """The name of the script's module in a user's own string is no reason to change anything."""
    value = [*before, "__main__", b"__main__", {"__main__." + after: "__main__"}]
    assert values.loads(values.dumps(value)) == value


@given(st.integers(), st.lists(st.integers()))
def test_functions_keep_what_they_close_over(constant: int, arguments: list[int]) -> None:
    """Lambdas, closures and their defaults compute the same afterwards."""

    def add(x: int, y: int = constant) -> int:
        return x + y + constant

    for function in (add, lambda x: [x, constant], lambda x, more=(add,): more[0](x)):
        again: Callable[[int], Any] = values.loads(values.dumps(function))
        assert [again(x) for x in arguments] == [function(x) for x in arguments]


@given(st.recursive(st.integers(), lambda inner: st.lists(inner, min_size=1, max_size=3)))
def test_what_is_shared_stays_shared(value: object) -> None:
    """Two references to one object are that again, and a list that holds itself does."""
    circle: list[Any] = [value]
    circle.append(circle)
    first, second, round_about = values.loads(values.dumps((circle, circle, circle[1])))
    assert first is second is round_about
    assert first[1] is first


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that for the time being is `__main__`, as the script is in which users define things."""
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    exec(
        """
import dataclasses, enum

@dataclasses.dataclass
class Point:
    x: int

    def moved(self):
        return shift(self)

class Colour(enum.Enum):
    RED = 1

class Odd(Exception):
    pass

def shift(point, by=1):
    return Point(point.x + by)
""",
        module.__dict__,
    )
    return module


def test_what_a_script_defines_needs_no_script(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its classes, functions, enums and exceptions travel by value: another process has another `__main__`."""
    data = values.dumps([script.Point(1), script.shift, script.Colour.RED, script.Odd("so"), script.Point])
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    point, shift, colour, odd, kind = values.loads(data)
    assert dataclasses.asdict(point.moved()) == {"x": 2}
    assert shift(point, by=5) == kind(6)
    assert isinstance(colour, enum.Enum)
    assert (colour.name, odd.args, type(odd).__name__) == ("RED", ("so",), "Odd")


def test_things_of_a_script_are_known_again_where_they_come_from(script: ModuleType) -> None:
    """A result that comes back is an instance of the script's own class, so `isinstance` and `except` work."""
    point, odd = values.loads(values.dumps([script.Point(1), script.Odd("so")]))
    assert isinstance(point, script.Point)
    assert isinstance(odd, script.Odd)


SENDER = """
import functools, sys
from millstream_shared import values

class Base:
    def __init__(self, x): self.x = x
class Derived(Base):
    def double(self): return twice(self.x)
class Failed(RuntimeError):
    def __init__(self, x): super().__init__(x); self.x = x
def twice(x): return 2 * x

def counted(n): return 1 if n < 1 else n * counted(n - 1)

things = [Derived(4), functools.partial(twice, 8), counted, lambda x: Derived(x).double(), Failed(5), Derived]
sys.stdout.buffer.write(values.dumps(things))
"""
RECEIVER = """
import sys
from millstream_shared import values

derived, partial, counted, function, failed, kind = values.loads(sys.stdin.buffer.read())
print(derived.double(), partial(), counted(4), function(6), failed.x, type(derived) is kind, kind.__base__.__name__)
"""


def test_a_fresh_interpreter_can_use_it_all() -> None:
    """Inheritance, recursion, partial functions, exceptions with fields: sent by one script, used in another."""
    sent = subprocess.run([sys.executable, "-c", SENDER], capture_output=True, check=True).stdout
    received = subprocess.run([sys.executable, "-c", RECEIVER], input=sent, capture_output=True, check=True).stdout
    assert received.split() == b"8 16 24 12 5 True Base".split()
