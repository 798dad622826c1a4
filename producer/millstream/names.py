"""Names of runs: two random words for a flow run, the task's name and the end of its id for a task run."""

import re
from random import SystemRandom

from millstream_shared import errors

_FORBIDDEN = re.compile(r"[/%&><]")

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


def check(name: object) -> str:
    """`name` if it can be a flow's name. Raises TypeError when it is not text, InvalidNameError for `/ % & > <`."""
    if not isinstance(name, str):
        raise TypeError(f"A name is a str, got {type(name).__name__}: {name!r}.")
    if _FORBIDDEN.search(name):
        raise errors.InvalidNameError(f"The name {name!r} must not contain any of / % & > <.")
    return name


def flow_run_name() -> str:
    """Two random words, such as `hilarious-collie`."""
    return f"{_random.choice(_ADJECTIVES.split())}-{_random.choice(_ANIMALS.split())}"


def task_run_name(task_name: str, run_id: str) -> str:
    """The task's name and the last three digits of the run's id, such as `count_words-01a`."""
    return f"{task_name}-{run_id[-3:]}"
