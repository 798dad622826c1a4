"""Names of runs: two random words for a flow run, the task's name and the end of its id for a task run.

A user may give a template instead, or a function that makes the name.
"""

import inspect
import re
import string
from collections.abc import Callable, Collection, Iterator
from random import SystemRandom
from typing import Any, cast

from millstream_shared import errors

_FORBIDDEN = re.compile(r"[/%&><]")
_END_OF_NAME = re.compile(r"[.\[]")

# A source of its own: a user's `random.seed()` must not make runs share names, nor our draws disturb the user's.
_random = SystemRandom()

_ADJECTIVES = """
    able agile amber ample azure bold brave brisk calm careful cheerful clever crimson curious daring dapper
    eager earnest fair fancy fearless fleet gentle gifted glad golden graceful hardy hasty honest humble jolly
    keen kind lively loyal lucky merry mighty mellow modest neat nimble noble patient placid playful polite
    proud quick quiet ready robust rustic serene sharp shiny silent silver sincere sleek smart solid spry
    steady stout sturdy subtle sunny swift tidy tranquil trusty upbeat valiant vivid warm wary wise witty
    young zealous zesty
"""
_ANIMALS = """
    ant badger bat bear beaver bee bison boar bream buzzard carp cat cheetah chough cobra condor coot cow crab
    crane cricket crow deer dingo dog dolphin dove duck eagle eel elk falcon ferret finch fox frog gecko
    gibbon goat goose grouse gull hare hawk hen heron horse ibex ibis jackal jay kite koala lark lemur lion
    lizard llama lobster lynx magpie marmot marten mole moose mouse newt octopus orca otter owl ox panda
    parrot pike pony puffin quail rabbit raven robin salmon seal shrew skunk snail sparrow squid stoat stork
    swan tapir tern tiger toad trout turtle viper vole walrus wasp weasel whale wolf wren yak zebra
"""


def flow_name(function_name: str) -> str:
    """The default name of a flow: the function's, with dashes for underscores."""
    return "unknown-lambda" if function_name == "<lambda>" else function_name.replace("_", "-")


def check(name: str) -> str:
    """`name` if it can be a flow's name. Raises InvalidNameError for `/ % & > <`."""
    if _FORBIDDEN.search(name):
        raise errors.InvalidNameError(f"The name {name!r} must not contain any of / % & > <.")
    return name


def flow_run_name() -> str:
    """Two random words, such as `hilarious-collie`."""
    return f"{_random.choice(_ADJECTIVES.split())}-{_random.choice(_ANIMALS.split())}"


def task_run_name(task_name: str, run_id: str) -> str:
    """The task's name and the last three digits of the run's id, such as `count_words-01a`."""
    return f"{task_name}-{run_id[-3:]}"


Template = str | Callable[..., str]
"""A text with `{parameter}` in it, or a function that gives the name."""


def checked_template(given: Any, option: str) -> Template | None:
    """`task_run_name` or `flow_run_name` as the option takes it. Raises TypeError for neither text nor a function."""
    if given is None or isinstance(given, str):
        return given
    if not callable(given) or inspect.iscoroutinefunction(given):
        raise TypeError(f"{option} takes a text with {{parameters}} in it, or a function that is not async: {given!r}.")
    return cast("Callable[..., str]", given)


def check_fields(template: Template | None, parameters: Collection[str], option: str) -> None:
    """Raises ValueError for a text that asks for something else than one of these parameters, or cannot be read."""
    if not isinstance(template, str):
        return
    try:
        unknown = next((field for field in _fields(template) if field not in parameters), None)
    except ValueError as error:
        raise ValueError(f"{option}={template!r} cannot be read: {error}.") from None
    if unknown is not None:
        known = ", ".join(map(repr, parameters))
        raise ValueError(f"{option}={template!r} asks for {unknown!r}; the parameters are {known or 'none'}.")


def _fields(template: str) -> Iterator[str]:
    for _, field, form, _ in string.Formatter().parse(template):
        if field is not None:
            yield _END_OF_NAME.split(field, 1)[0]
            yield from _fields(form or "")


def rendered(template: Template, parameters: dict[str, Any], option: str) -> str:
    """The name that `template` gives for a run with these parameters.

    A function is called without arguments, or with `parameters` if it has a parameter of that name. Raises TypeError
    when it gives something else than a text.
    """
    if isinstance(template, str):
        return template.format(**parameters)
    takes = inspect.signature(template).parameters
    name: Any = template(parameters=parameters) if "parameters" in takes else template()
    if not isinstance(name, str):
        raise TypeError(f"{option} gave {name!r}: the function must return a text.")
    return name
