"""How functions become tasks and flows."""

import functools
import re
from typing import Any

import pytest

from millstream import Flow, Task, flow, task
from millstream.exceptions import InvalidNameError, ReservedArgumentError
from millstream.task_runners import SequentialTaskRunner, ThreadPoolTaskRunner


def double_it(x: int) -> int:
    """Twice as much."""
    return 2 * x


@pytest.mark.parametrize("decorate", [task, flow])
def test_the_function_stays_what_it_was(decorate: type[Task]) -> None:
    """Its name, docstring and body are kept."""
    made = decorate(double_it)
    assert made.__name__ == "double_it"
    assert made.__doc__ == made.description == "Twice as much."
    assert made.fn is double_it
    assert made(4) == 8


@pytest.mark.parametrize("decorate", [task, flow])
def test_decorators_work_with_and_without_options(decorate: type[Task]) -> None:
    """Bare, with options, and as a plain call with options."""
    assert decorate()(double_it)(1) == 2
    assert decorate(name="twice")(double_it).name == "twice"
    assert decorate(double_it, name="twice", version="2").version == "2"


def test_default_names() -> None:
    """A task takes the function's name, a flow puts dashes for underscores."""
    assert task(double_it).name == "double_it"
    assert flow(double_it).name == "double-it"
    assert task(lambda: 1).name == "<lambda>"
    assert flow(lambda: 1).name == "unknown-lambda"


def test_any_callable_can_be_a_task() -> None:
    """An instance with `__call__` is named after its class, a partial after its function."""

    class Adder:
        def __call__(self, x: int) -> int:
            return x + 1

    assert task(Adder()).name == "Adder"
    assert task(Adder())(1) == 2
    assert task(functools.partial(double_it, 4)).name == "double_it"
    assert task(max)(3, 4) == 4


def test_the_kind_of_function_is_known() -> None:
    """`isasync` and `isgenerator` can be read."""

    async def later() -> None: ...

    async def stream():
        yield 1

    def count():
        yield 1

    kinds = [(made.isasync, made.isgenerator) for made in map(task, (double_it, later, stream, count))]
    assert kinds == [(False, False), (True, False), (True, True), (False, True)]


@pytest.mark.parametrize("decorate", [task, flow])
def test_what_is_not_callable_is_refused(decorate: type[Task]) -> None:
    """With a TypeError that shows it."""
    with pytest.raises(TypeError, match="5"):
        decorate(5)


@pytest.mark.parametrize("decorate", [task, flow])
def test_parameters_that_calls_take_themselves_are_refused(decorate: type[Task]) -> None:
    """`return_state` and `wait_for` would never reach the function."""
    with pytest.raises(ReservedArgumentError, match="wait_for"):
        decorate(lambda wait_for: wait_for)
    with pytest.raises(TypeError, match="return_state"):
        decorate(lambda return_state: return_state)


@pytest.mark.parametrize("decorate", [task, flow])
def test_an_option_that_does_not_exist_is_refused(decorate: type[Task]) -> None:
    """Here and in `with_options`."""
    with pytest.raises(TypeError, match="colour"):
        decorate(double_it, colour="red")
    with pytest.raises(TypeError, match="colour"):
        decorate(double_it).with_options(colour="red")


@pytest.mark.parametrize("name", ["a/b", "a%b", "a&b", "a<b", "a>b"])
def test_a_flow_name_has_no_characters_that_break_addresses(name: str) -> None:
    """They are refused, by an error that is a ValueError."""
    with pytest.raises(InvalidNameError):
        flow(double_it, name=name)


@pytest.mark.parametrize("declare", [flow, task])
def test_a_name_is_text(declare: Any) -> None:
    """Anything else is a TypeError."""
    with pytest.raises(TypeError, match="A name is a str, got int: 5"):
        declare(double_it, name=5)


@pytest.mark.parametrize(
    ("declare", "option", "told"),
    [
        (task, "retrys", r"A task has no option 'retrys': did you mean 'retries'\?"),
        (flow, "task_runer", r"A flow has no option 'task_runer': did you mean 'task_runner'\?"),
        (flow, "qqq", r"A flow has no option 'qqq': it has name, description, version, queue, task_runner, "),
    ],
)
def test_an_option_that_does_not_exist_is_named(declare: Any, option: str, told: str) -> None:
    """With the one that was meant, or all that there are."""
    with pytest.raises(TypeError, match=told):
        declare(double_it, **{option: 1})
    with pytest.raises(TypeError, match=told):
        declare(double_it).with_options(**{option: 1})


def test_with_options_gives_a_copy() -> None:
    """What is not given stays; the original does too; tags are replaced."""
    original = task(double_it, tags=["a"], version="1", queue="slow")
    changed = original.with_options(name="other", tags=["b"])
    assert (changed.name, changed.tags, changed.version, changed.queue) == ("other", {"b"}, "1", "slow")
    assert (original.name, original.tags) == ("double_it", {"a"})
    assert changed(2) == 4


def test_with_options_keeps_the_name_for_none_and_resets_the_rest() -> None:
    """None is a value like others, except as a name."""
    changed = task(double_it, version="1", queue="slow").with_options(name=None, version=None, queue=None)
    assert (changed.name, changed.version, changed.queue) == ("double_it", None, None)


def test_one_text_is_not_taken_for_several_tags() -> None:
    """Otherwise "slow" would become four tags."""
    with pytest.raises(TypeError, match=r"\['slow'\]"):
        task(double_it, tags="slow")


def test_a_flow_takes_a_runner_or_its_class() -> None:
    """And refuses anything else."""
    assert flow(double_it, task_runner=SequentialTaskRunner).task_runner == SequentialTaskRunner()
    changed = flow(double_it).with_options(task_runner=ThreadPoolTaskRunner(max_workers=2))
    assert changed.task_runner == ThreadPoolTaskRunner(max_workers=2)
    with pytest.raises(TypeError, match="threads"):
        flow(double_it, task_runner="threads")


def test_classes_can_be_subscripted() -> None:
    """User code annotates with them."""
    assert Task[..., int]
    assert Flow[[int], int]


def test_a_task_key_says_which_code_it_is() -> None:
    """The function's name and a hash of its code, whatever the options; of a callable object its class."""

    class Adder:
        def __call__(self, x: int) -> int:
            return x + 1

    def one(x: int) -> int:
        return x + 1

    def other(x: int) -> int:
        return x + 2

    other.__name__ = "one"
    key = task(one).task_key
    assert re.fullmatch(r"one-[0-9a-f]{8}", key)
    assert task(one, name="two").with_options(retries=3).task_key == key
    assert task(other).task_key != key
    assert task(functools.partial(one, 1)).task_key.startswith("one-")
    assert task(max).task_key.startswith("max-")
    assert task(Adder()).task_key.endswith("Adder")
