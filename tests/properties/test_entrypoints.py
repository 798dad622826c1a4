"""A name that is given to a function leads back to that very function, or no name is given."""

import collections
import dataclasses
import functools
import json
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_shared import entrypoints
from millstream_shared.errors import FunctionUnavailable

MODULES = (json, collections, dataclasses, functools, types)
members = st.sampled_from([(module, name) for module in MODULES for name in sorted(vars(module))])


@given(members)
def test_a_reference_leads_back(member: tuple[types.ModuleType, str]) -> None:
    """For whatever a module holds, by whatever name."""
    module, name = member
    found = getattr(module, name)
    ref = entrypoints.reference(found, module.__name__, name)
    assert ref == f"{module.__name__}:{name}"
    assert entrypoints.load(ref) is found


@given(members, members)
def test_no_reference_is_given_to_another_thing(one: tuple[types.ModuleType, str], other: tuple) -> None:
    """Where the name leads elsewhere, as it does to a task's undecorated function, there is none."""
    wanted, found = getattr(*one), getattr(*other)
    ref = entrypoints.reference(wanted, other[0].__name__, other[1])
    assert (ref is not None) == (wanted is found)


def test_nested_names_are_followed() -> None:
    """A function in a class is found by its qualified name."""
    ref = entrypoints.reference(json.JSONDecoder.decode, "json", json.JSONDecoder.decode.__qualname__)
    assert ref == "json:JSONDecoder.decode"
    assert entrypoints.load(ref) is json.JSONDecoder.decode


@pytest.mark.parametrize("module", ["__main__", "__mp_main__", "not_loaded_yet"])
def test_what_another_process_cannot_import_has_no_reference(module: str) -> None:
    """The script itself is another module there."""
    assert entrypoints.reference(json.loads, module, "loads") is None


@given(st.sampled_from(["<locals>", "<lambda>"]), st.text())
def test_local_functions_have_no_reference(part: str, rest: str) -> None:
    """They travel by value."""
    assert entrypoints.reference(json.loads, "json", f"outer.{part}.{rest}") is None


nowhere = st.text(".:/ ").map("nowhere{}".format) | st.text(".:/").map("json:{}?".format)


@given(nowhere)
def test_a_name_that_leads_nowhere_has_one_error(ref: str) -> None:
    """Which says what was looked for; nothing else is ever raised."""
    with pytest.raises(FunctionUnavailable) as raised:
        entrypoints.load(ref)
    assert raised.value.reference == ref


@pytest.mark.parametrize("ref", ["", ":", "json", "json:", ".json:loads", "json:loads.", "json: loads", "\0:x"])
def test_a_misshapen_name_has_the_same_error(ref: str) -> None:
    """Whatever the import system makes of it."""
    with pytest.raises(FunctionUnavailable):
        entrypoints.load(ref)
