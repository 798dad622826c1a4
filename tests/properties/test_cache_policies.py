"""Cache policies add up as sets do, and keys are equal exactly when what counts is equal."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from millstream import fingerprints
from millstream.cache_policies import FLOW_PARAMETERS, INPUTS, NO_CACHE, RUN_ID, TASK_SOURCE, CachePolicy

policies = st.recursive(
    st.sampled_from((INPUTS, TASK_SOURCE, FLOW_PARAMETERS, RUN_ID, NO_CACHE)),
    lambda inner: (
        st.builds(lambda one, other: one + other, inner, inner)
        | st.builds(lambda one, name: one - name, inner, st.sampled_from("xyz"))
    ),
    max_leaves=6,
)
atoms = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
plain = st.recursive(
    atoms,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
inputs = st.dictionaries(st.sampled_from("xyz"), plain)


def key(policy: CachePolicy, given_inputs: dict[str, Any]) -> str | None:
    run = SimpleNamespace(flow_run_id="f", run_id="r")
    context: Any = SimpleNamespace(task=SimpleNamespace(fn=key), task_run=run)
    return policy.compute_key(context, given_inputs, {"p": 1})


@given(policies, policies, policies, inputs)
def test_the_order_of_adding_does_not_count(a: CachePolicy, b: CachePolicy, c: CachePolicy, values: dict) -> None:
    """Nor how the sums are grouped, nor adding the same twice."""
    assert key(a + b, values) == key(b + a, values)
    assert key((a + b) + c, values) == key(a + (b + c), values)
    assert key(a + a, values) == key(a, values)


@given(policies, inputs)
def test_no_cache_adds_nothing(policy: CachePolicy, values: dict) -> None:
    """On either side."""
    assert policy + NO_CACHE == NO_CACHE + policy == policy
    assert key(policy + NO_CACHE, values) == key(policy, values)


@given(policies, st.sampled_from("xyz"), plain, plain, inputs)
def test_what_is_left_out_does_not_count(policy: CachePolicy, name: str, one: Any, other: Any, values: dict) -> None:
    """Whatever it is; and leaving it out twice is leaving it out."""
    without = policy - name
    assert key(without, {**values, name: one}) == key(without, {**values, name: other})
    assert key(without - name, values) == key(without, values)


@given(plain, plain)
def test_fingerprints_are_equal_for_equal_values(one: Any, other: Any) -> None:
    """And differ otherwise, also where types differ only: 1, 1.0 and True are three arguments."""
    assert (fingerprints.of(one) == fingerprints.of(other)) == (repr(_sorted(one)) == repr(_sorted(other)))


@given(st.lists(atoms.map(repr), unique=True))
def test_the_order_within_sets_and_dictionaries_does_not_count(members: list[str]) -> None:
    """As it differs from process to process."""
    backwards = members[::-1]
    assert fingerprints.of(set(members)) == fingerprints.of(set(backwards))
    assert fingerprints.of(dict.fromkeys(members)) == fingerprints.of(dict.fromkeys(backwards))
    assert fingerprints.of(set(members)) != fingerprints.of(frozenset(members))


def _sorted(value: Any) -> Any:
    """`value` with dictionaries in one order, so that equal ones look equal."""
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return type(value)(map(_sorted, value)) if isinstance(value, list | tuple) else value
