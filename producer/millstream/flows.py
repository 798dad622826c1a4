"""Flows: functions that call and submit tasks, and whose calls are flow runs."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Self, TypeVar, Unpack, overload

from millstream import dependencies, flow_engine, functions, names, runs, task_runners, validation
from millstream.options import FlowKeywords, FlowOptions
from millstream.runners.base import TaskRunner
from millstream_shared import states
from millstream_shared.states import State

P = ParamSpec("P")
Rest = ParamSpec("Rest")
R = TypeVar("R", covariant=True)


class Flow(functions.Function[P, R, FlowOptions]):
    """A function whose calls are flow runs. Made by `@flow`, or by `Flow(fn, **options)`."""

    def __init__(self, fn: Callable[P, R], **given: Unpack[FlowKeywords]) -> None:
        name, description = functions.described(functions.checked(fn, "flow"))
        super().__init__(fn, FlowOptions.for_function(names.flow_name(name), description, given))

    @property
    def name(self) -> str:
        """The flow's name; default: the function's, with dashes."""
        return self.options.name

    @property
    def description(self) -> str | None:
        """What the flow does; default: the docstring."""
        return self.options.description

    @property
    def version(self) -> str | None:
        """Free text."""
        return self.options.version

    @property
    def task_runner(self) -> TaskRunner[Any]:
        """The runner of which every run of the flow gets a duplicate; default: as the settings say."""
        return self.options.task_runner or task_runners.default_task_runner()

    @property
    def should_validate_parameters(self) -> bool:
        """Whether arguments are validated against the annotations."""
        return self.options.validate_parameters

    def with_options(self, **given: Unpack[FlowKeywords]) -> "Flow[P, R]":
        """A copy with other options; those not given stay."""
        return self._derived(self.options.updated(**given))

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """`parameters` validated against the annotations and cast to them, so that `"5"` for an `int` gives 5.

        Raises ParameterTypeError for a value that does not fit.
        """
        return self._validator.validate(parameters)

    @functools.cached_property
    def _validator(self) -> validation.Validator:
        return validation.Validator(self.fn, self.parameters)

    if TYPE_CHECKING:
        # For type checkers: on an instance the first parameter is given.
        @overload
        def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
        @overload
        def __get__(
            self: "Flow[Concatenate[Any, Rest], R]", instance: object, owner: type[Any] | None = None
        ) -> "Flow[Rest, R]": ...
        def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any: ...

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(self, *args: Any, return_state: Literal[True], wait_for: Any = None, **kwargs: Any) -> State[R]: ...
    @overload
    def __call__(self, *args: Any, wait_for: Any, **kwargs: Any) -> R: ...
    def __call__(self, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
        """Run the flow here and now, and give its value, or its state with `return_state`.

        An async flow gives a coroutine. Inside a flow or task it runs as a child of that run, with a task runner of its
        own. Before it is over it waits for all runs that it submitted. Futures that it returns are replaced by states.
        Raises what the function raises; ParameterBindError for arguments that do not fit the signature,
        ParameterTypeError for those that do not fit the annotations, UnfinishedRun when a future among the arguments or
        in `wait_for` did not complete.
        """
        parameters = self.bind(args, kwargs)
        upstream = dependencies.as_sequence(wait_for)
        if self.isasync:
            return self._call_async(parameters, upstream, return_state)
        state = flow_engine.run_flow(self.unbound, runs.new_flow_run(self.name, parameters), upstream)
        return state if return_state else states.value_of(state)

    async def _call_async(self, parameters: dict[str, Any], upstream: tuple[Any, ...], return_state: bool) -> Any:
        state = await flow_engine.run_flow_async(self.unbound, runs.new_flow_run(self.name, parameters), upstream)
        return state if return_state else states.value_of(state)


@overload
def flow(fn: Callable[P, R], /, **given: Unpack[FlowKeywords]) -> Flow[P, R]: ...
@overload
def flow(fn: None = None, /, **given: Unpack[FlowKeywords]) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
def flow(fn: Any = None, /, **given: Unpack[FlowKeywords]) -> Any:
    """Make a function a flow: `@flow`, `@flow(name=...)`, or `flow(fn, name=...)`.

    Options: `name` (default: the function's, with dashes), `description` (default: its docstring), `version`,
    `task_runner` (an instance or a class; default: as the settings say), `validate_parameters` (default: true).
    Raises TypeError for what is not callable or a name that is not text, InvalidNameError for a name with `/ % & > <`,
    ReservedArgumentError for a function with a parameter `return_state` or `wait_for`.
    """
    if fn is not None:
        return Flow(fn, **given)

    def decorate(fn: Callable[P, R]) -> Flow[P, R]:
        return Flow(fn, **given)

    return decorate
