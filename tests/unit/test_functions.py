"""How tasks and flows travel: by name where they can be imported, by value elsewhere."""

import pickle
import subprocess
import sys
import textwrap

import cloudpickle
import pytest

from millstream import flow, task
from millstream.task_runners import ThreadPoolTaskRunner


def plain(x: int) -> int:
    return x + 1


@task(tags=["a"])
def by_name(x: int) -> int:
    return by_name(x - 1) + 1 if x else 0


@flow
def flow_by_name(x: int) -> int:
    return x


class Shop:
    def __init__(self, price: int) -> None:
        self.price = price

    @task
    def cost(self, count: int) -> int:
        return self.price * count

    @task
    @classmethod
    def kind(cls) -> str:
        return cls.__name__


def sent(value):
    """`value` after a way through bytes."""
    return pickle.loads(cloudpickle.dumps(value))


@pytest.mark.parametrize("made", [by_name, flow_by_name, Shop.cost])
def test_what_can_be_imported_travels_by_name(made: object) -> None:
    """It arrives as the very object, and takes a few bytes."""
    assert sent(made) is made
    assert len(pickle.dumps(made)) < 150


def test_other_options_travel_beside_the_name() -> None:
    """Of a task that can be imported, the function stays at home."""
    changed = by_name.with_options(name="other", queue="slow")
    again = sent(changed)
    assert again.options == changed.options
    assert again.fn is by_name.fn
    assert again(3) == 3


def test_a_task_of_an_importable_function_travels_with_its_name() -> None:
    """Also by plain pickle."""
    again = pickle.loads(pickle.dumps(task(plain, name="other")))
    assert (again.name, again.fn) == ("other", plain)
    assert again(1) == 2


def test_closures_and_lambdas_travel_by_value() -> None:
    """With what they close over, and with their options."""
    offset = 5
    again = sent(task(lambda x: x + offset, tags=["a"]))
    assert again(1) == 6
    assert again.tags == {"a"}
    assert sent(flow(lambda: offset, task_runner=ThreadPoolTaskRunner(2))).task_runner.max_workers == 2


def test_a_closure_that_refers_to_itself_travels() -> None:
    """A recursive task made inside of a function."""

    @task
    def count(x: int) -> int:
        return count(x - 1) + 1 if x else 0

    assert sent(count)(3) == 3


def test_a_bound_method_travels_with_its_instance() -> None:
    """An instance method by copy, a class method with its class."""
    assert sent(Shop(3).cost)(2) == 6
    assert sent(Shop.kind)() == "Shop"


def test_asking_makes_nothing_that_travels() -> None:
    """What was computed on the way stays at home."""

    @flow
    def local(x: "int") -> int:
        return x

    size = len(cloudpickle.dumps(local))
    assert local.validate_parameters({"x": "4"}) == {"x": 4}
    assert len(cloudpickle.dumps(local)) == size


def test_a_recursive_task_of_a_script_travels() -> None:
    """To a process that does not have the script."""
    script = """
        import base64, sys, cloudpickle
        from millstream import task
        @task
        def count(x):
            return count(x - 1) + 1 if x else 0
        named = count.with_options(name="named")
        sys.stdout.write(base64.b64encode(cloudpickle.dumps([count, named])).decode())
    """
    made = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=20
    )
    reader = (
        "import base64, pickle; count, named = pickle.loads(base64.b64decode(input())); "
        "print(count(4), named(2), named.name)"
    )
    read = subprocess.run(
        [sys.executable, "-c", reader], input=made.stdout, capture_output=True, text=True, check=True, timeout=20
    )
    assert read.stdout.split() == ["4", "2", "named"]
