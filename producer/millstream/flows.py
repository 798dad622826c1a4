"""Flows: functions that call and submit tasks, and whose calls are flow runs."""

import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Final, Literal, ParamSpec, Self, TypeVar, Unpack, overload

from millstream import (
    dependencies,
    flow_deployments,
    flow_engine,
    functions,
    names,
    runs,
    signatures,
    task_runners,
    validation,
)
from millstream.hooks import Hook
from millstream.options import FlowKeywords, FlowOptions
from millstream.runners.base import TaskRunner
from millstream.signatures import Upstream
from millstream.utilities.annotations import unmapped
from millstream_shared import states
from millstream_shared.settings import get_settings
from millstream_shared.states import State

P = ParamSpec("P")
Rest = ParamSpec("Rest")
R = TypeVar("R", covariant=True)
T = TypeVar("T")
H = TypeVar("H", bound=Hook)


class Flow(functions.Function[P, R, FlowOptions], flow_deployments.Deployable):
    """A function whose calls are flow runs. Made by `@flow`, or by `Flow(fn, **options)`."""

    _naming_option = "flow_run_name"

    def __init__(self, fn: Callable[P, R], **given: Unpack[FlowKeywords]) -> None:
        name, description = functions.described(functions.checked(fn, "flow"))
        super().__init__(fn, FlowOptions.for_function(names.flow_name(name), description, given))
        if self.should_validate_parameters:
            validation.check_annotations(self.parameters)

    queue = functions.option["str | None"]()
    flow_run_name = functions.option["names.Template | None"]()
    should_validate_parameters = functions.option[bool]("validate_parameters")
    on_cancellation_hooks = functions.option[tuple[Hook, ...]]("on_cancellation")
    on_crashed_hooks = functions.option[tuple[Hook, ...]]("on_crashed")

    @property
    def retries(self) -> int:
        """How often the flow is tried again when it failed; default: as the settings say."""
        given = self.options.retries
        return get_settings().flow_default_retries if given is None else given

    @property
    def task_runner(self) -> TaskRunner[Any]:
        """The runner of which every run of the flow gets a duplicate; default: as the settings say."""
        return self.options.task_runner or task_runners.default_task_runner()

    def on_cancellation(self, hook: H) -> H:
        """Have `hook(flow, run, state)` called when a run is cancelled."""
        return self._with_hook("on_cancellation", hook)

    def on_crashed(self, hook: H) -> H:
        """Have `hook(flow, run, state)` called when a run is ended by an interrupt or an exit."""
        return self._with_hook("on_crashed", hook)

    def with_options(self, **given: Unpack[FlowKeywords]) -> "Flow[P, R]":
        """A copy with other options; those not given stay."""
        derived = self._derived(self.options.updated(**given))._checked()
        derived.place = None  # What is found there has not these options.
        return derived

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """`parameters` validated against the annotations and cast to them, so that `"5"` for an `int` gives 5.

        Raises ParameterTypeError for a value that does not fit.
        """
        return self._validator.validate(parameters)

    @property
    def type_adapter(self) -> Any:
        """Pydantic's adapter for a dictionary of those parameters that have a type, none of them required."""
        return self._validator.adapter

    @functools.cached_property
    def _validator(self) -> validation.Validator:
        return validation.Validator(self.fn, self.parameters)

    def _state(self) -> dict[str, Any]:
        # Names in an annotation that is a text lead to something in this process only.
        return super()._state() | {"hints": self._validator.hints if self.should_validate_parameters else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if state["hints"] is not None:
            self._validator.hints = state["hints"]

    if TYPE_CHECKING:
        # For type checkers: on an instance the first parameter is given.
        @overload
        def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
        @overload
        def __get__(
            self: "Flow[Concatenate[Any, Rest], R]", instance: object, owner: type[Any] | None = None
        ) -> "Flow[Rest, R]": ...
        def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any: ...

    # The last three are for futures among the arguments, as far as types can tell; see `signatures`.
    @overload
    def __call__(
        self: "Flow[..., Coroutine[Any, Any, T]]",
        /,
        *args: Any,
        return_state: Literal[True],
        wait_for: Any = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, State[T]]: ...
    @overload
    def __call__(self, /, *args: Any, return_state: Literal[True], wait_for: Any = None, **kwargs: Any) -> State[R]: ...
    @overload
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(self, first: Upstream, /, *args: Any, **kwargs: Any) -> R: ...
    @overload
    def __call__(self, first: Any, second: Upstream, /, *args: Any, **kwargs: Any) -> R: ...
    @overload
    def __call__(self, /, *args: Any, wait_for: Any, **kwargs: Any) -> R: ...
    def __call__(self, /, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
        """Run the flow here and now, and give its value, or its state with `return_state`.

        An async flow gives a coroutine, a generator flow a generator, as tasks do. Inside a flow or task it runs as a
        child of that run, with a task runner of its own. Before it is over it waits for all runs that it submitted.
        Futures that it returns are replaced by states.
        Raises what the function raises; ValueError for `return_state` with a generator flow; ParameterBindError for
        arguments that do not fit the signature, ParameterTypeError for those that do not fit the annotations,
        UnfinishedRun when a future among the arguments or in `wait_for` did not complete.
        """
        parameters = self.bind(args, kwargs)
        upstream = dependencies.as_sequence(wait_for)
        if self.isgenerator:
            self._refuse_state(return_state)
            stream = flow_engine.stream_async if self.isasync else flow_engine.stream
            return stream(self.unbound, runs.new_flow_run(self, parameters), upstream)
        if self.isasync:
            return self._like_its_function(self._call_async(parameters, upstream, return_state))
        state = flow_engine.run_flow(self.unbound, runs.new_flow_run(self, parameters), upstream)
        return state if return_state else states.value_of(state)

    @signatures.submitting
    def submit(self, /, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
        """Queue a run of the flow, for a worker, which executes it in a process of its own; gives a future at once.

        Works in flows, in tasks and outside of both; in one it is a child of that run, which waits for it before it is
        over. The run waits for futures in its arguments and in `wait_for`. With `return_state` this call waits, and
        gives the final state. Raises ParameterBindError and ParameterTypeError for arguments that do not fit,
        UnpicklableArgument for those that cannot be sent; what the function raises is in the future.
        """
        from millstream import flow_submission  # brings what only those need who submit

        upstream = dependencies.as_sequence(wait_for)
        (future,) = flow_submission.submit(self.unbound, [self.bind(args, kwargs)], upstream)
        if not return_state:
            return future
        future.wait()
        return future.state

    @signatures.mapping
    def map(self, /, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
        """Submit one run per element of the arguments that are iterable; the others go to every run as they are.

        What is iterated over, and what is raised for it, is as in `Task.map`. Gives the futures in input order, or,
        with `return_state`, waits and gives the states.
        """
        from millstream import flow_submission  # as above

        given = self.parameters.bind_given((*self._bound, *args), kwargs)
        if self._bound:
            first = self.parameters.names[0]
            given[first] = unmapped(given[first])
        futures = flow_submission.map_over(self.unbound, given, dependencies.as_sequence(wait_for))
        if not return_state:
            return futures
        futures.wait()
        return [future.state for future in futures]

    async def _call_async(self, parameters: dict[str, Any], upstream: tuple[Any, ...], return_state: bool) -> Any:
        state = await flow_engine.run_flow_async(self.unbound, runs.new_flow_run(self, parameters), upstream)
        return state if return_state else states.value_of(state)


class _Decorator:
    """What `flow` is: it makes flows of functions, and finds those that are kept elsewhere."""

    @overload
    def __call__(self, fn: Callable[P, R], /, **given: Unpack[FlowKeywords]) -> Flow[P, R]: ...
    @overload
    def __call__(self, fn: None = None, /, **given: Unpack[FlowKeywords]) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
    def __call__(self, fn: Any = None, /, **given: Unpack[FlowKeywords]) -> Any:
        """Make a function a flow: `@flow`, `@flow(name=...)`, or `flow(fn, name=...)`.

        Options, all with defaults:

        `name` (the function's, with dashes), `description` (its docstring), `version` (free text); `queue` (the default
        one), for runs that are submitted; `task_runner`, an instance or a class (as the settings say);
        `validate_parameters` (true); `flow_run_name`, a text with `{parameters}` in it or a function that gives one.
        `retries` (0), how often the whole function is called again when it failed, `retry_delay_seconds` (0) before it.
        `timeout_seconds` (none): a run that takes longer is interrupted and Failed, named `TimedOut`.
        `log_prints` (as around it): what the flow and its tasks print goes to their logs.
        `on_completion`, `on_failure`, `on_running`, `on_cancellation`, `on_crashed`: lists of functions
        `hook(flow, run, state)`.
        `persist_result` (as around it), `result_storage` and `result_serializer`: how results of the flow are kept, and
        of the tasks in it that say nothing else; see `task`. `cache_result_in_memory` (true): keep the flow's there
        too.

        Raises TypeError or ValueError for what an option does not take, for what is not callable and for a name that is
        not text, InvalidNameError for a name with `/ % & > <`, ReservedArgumentError for a function with a parameter
        `return_state` or `wait_for`.
        """
        if fn is not None:
            return Flow(fn, **given)

        def decorate(fn: Callable[P, R]) -> Flow[P, R]:
            return Flow(fn, **given)

        return decorate

    from_source = staticmethod(Flow.from_source)
    afrom_source = staticmethod(Flow.afrom_source)


flow: Final = _Decorator()


def load_flow_from_entrypoint(entrypoint: str) -> Flow[..., Any]:
    """The flow of an entrypoint: `folder/file.py:flow`, `module:flow` or `module.flow`.

    A file is executed once in a process; its `if __name__ == "__main__"` does not hold. `:flow` may be left out for a
    file with one flow. Raises MissingFlowError if there is no such file, module or flow, UnspecifiedFlowError if the
    file has several, ScriptError if it cannot be executed.
    """
    from millstream import flow_sources  # only for who loads flows

    return flow_sources.load(entrypoint)
