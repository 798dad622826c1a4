"""Tasks: functions whose calls are runs, and can be handed to a task runner to run beside each other."""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Self, TypeVar, Unpack, overload

from millstream import background, context, dependencies, engine, functions, result_options, signatures
from millstream.futures import Future
from millstream.names import Template
from millstream.options import TaskKeywords, TaskOptions
from millstream.retries import exponential_backoff as exponential_backoff
from millstream.runners.base import TaskRunner
from millstream.signatures import Upstream
from millstream.utilities.annotations import unmapped
from millstream_shared import errors, states
from millstream_shared.settings import get_settings
from millstream_shared.states import State

if TYPE_CHECKING:
    from millstream.cache_policies import CachePolicy, task_input_hash
    from millstream.transactions import TransactionHook

__all__ = ["Task", "exponential_backoff", "task", "task_input_hash"]

P = ParamSpec("P")
Rest = ParamSpec("Rest")
R = TypeVar("R", covariant=True)
T = TypeVar("T")
TH = TypeVar("TH", bound="TransactionHook")


class Task(functions.Function[P, R, TaskOptions]):
    """A function whose calls are runs. Made by `@task`, or by `Task(fn, **options)`."""

    _naming_option = "task_run_name"

    def __init__(self, fn: Callable[P, R], **given: Unpack[TaskKeywords]) -> None:
        name, description = functions.described(functions.checked(fn, "task"))
        super().__init__(fn, TaskOptions.for_function(name, description, given))

    tags = functions.option[frozenset[str]]()
    queue = functions.option["str | None"]()
    task_run_name = functions.option[Template | None]()
    retry_jitter_factor = functions.option["float | None"]()
    retry_condition_fn = functions.option["Callable[..., Any] | None"]()
    cache_key_fn = functions.option[Callable[..., str | None] | None]()
    cache_expiration = functions.option[timedelta | float | None]()
    refresh_cache = functions.option["bool | None"]()
    result_storage_key = functions.option["str | None"]()
    on_commit_hooks = functions.option["tuple[TransactionHook, ...]"]("on_commit")
    on_rollback_hooks = functions.option["tuple[TransactionHook, ...]"]("on_rollback")

    @property
    def retries(self) -> int:
        """How often the task is tried again when it failed; default: as the settings say."""
        given = self.options.retries
        return get_settings().task_default_retries if given is None else given

    @functools.cached_property
    def task_key(self) -> str:
        """Which code this is, in every process the same: the function's name and the beginning of a hash of its code.

        For a callable object it is the full name of its class.
        """
        return functions.key_of(self.fn)

    @property
    def cache_policy(self) -> "CachePolicy":
        """What makes two runs the same; it counts when results are persisted."""
        return result_options.policy_of(self.options)

    def on_commit(self, hook: TH) -> TH:
        """Have `hook(transaction)` called when the transaction in which a run completed commits."""
        return self._with_hook("on_commit", hook)

    def on_rollback(self, hook: TH) -> TH:
        """Have `hook(transaction)` called when the transaction in which a run completed is rolled back."""
        return self._with_hook("on_rollback", hook)

    def with_options(self, **given: Unpack[TaskKeywords]) -> "Task[P, R]":
        """A copy with other options; those not given stay. Tags replace the old ones."""
        return self._derived(self.options.updated(**given))._checked()

    if TYPE_CHECKING:
        # For type checkers: on an instance the first parameter is given.
        @overload
        def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
        @overload
        def __get__(
            self: "Task[Concatenate[Any, Rest], R]", instance: object, owner: type[Any] | None = None
        ) -> "Task[Rest, R]": ...
        def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any: ...

    # The last three are for futures among the arguments, as far as types can tell; see `signatures`.
    @overload
    def __call__(
        self: "Task[..., Coroutine[Any, Any, T]]",
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
        """Run the task here and now, and give its value, or its state with `return_state`.

        An async task gives a coroutine. A generator task gives a generator, an async one an async generator, whose
        items come as the function yields them; the run goes on until there are no more, or it is closed. If it is
        tried again, it begins anew and gives its items again; nothing of it is cached.
        Futures and states in arguments are replaced by their values; when one of them, or of `wait_for`, did not
        complete, the task is not run: None is returned, or no items, or a `NotReady` state.
        Raises what the function raises, ParameterBindError for arguments that do not fit, and ValueError for
        `return_state` with a generator task.
        """
        parameters = self.bind(args, kwargs)
        upstream = dependencies.as_sequence(wait_for)
        if self.isgenerator:
            self._refuse_state(return_state)
            stream = engine.stream_async if self.isasync else engine.stream
            return stream(self.unbound, parameters, upstream)
        if self.isasync:
            return self._like_its_function(self._call_async(parameters, upstream, return_state))
        return _returned(engine.call(self.unbound, parameters, upstream), return_state)

    @signatures.submitting
    def submit(self, /, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
        """Hand one run of the task to the flow run's task runner; gives a future at once, for async tasks too.

        The run waits for futures in its arguments and in `wait_for`. With `return_state` this call waits, and gives the
        final state. Raises MissingContextError outside of a flow run, ParameterBindError for arguments that do not fit;
        what the function raises is in the future.
        """
        runner = self._runner("submit")
        future = runner.submit(self.unbound, self.bind(args, kwargs), wait_for)
        if not return_state:
            return future
        future.wait()
        return future.state

    @signatures.mapping
    def map(
        self, *args: Any, return_state: bool = False, wait_for: Any = None, deferred: bool = False, **kwargs: Any
    ) -> Any:
        """Submit one run per element of the arguments that are iterable; the others go to every run as they are.

        Text is not iterated over, nor what stands in `unmapped()`, nor defaults of the signature. A future that holds
        an iterable is waited for here; a list of futures gives a run for each future. Gives the futures in input
        order, or, with `return_state`, waits and gives the states. With `deferred` they are runs in the background, as
        `delay` makes them, in a flow run or outside.
        Raises MappingMissingIterable, MappingLengthMismatch, UpstreamTaskError when a future to map over failed, and
        as `submit` does.
        """
        runner = None if deferred else self._runner("map")
        given = self.parameters.bind_given((*self._bound, *args), kwargs)
        if self._bound:
            first = self.parameters.names[0]
            given[first] = unmapped(given[first])
        if runner is None:
            futures = background.map_over(self.unbound, given, wait_for)
        else:
            futures = runner.map(self.unbound, given, wait_for)
        if not return_state:
            return futures
        futures.wait()
        return [future.state for future in futures]

    @overload
    def delay(self: "Task[P, Coroutine[Any, Any, T]]", /, *args: P.args, **kwargs: P.kwargs) -> Future[T]: ...
    @overload
    def delay(
        self: "Task[P, Iterator[T] | AsyncIterator[T]]", /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[list[T]]: ...
    @overload
    def delay(self, /, *args: P.args, **kwargs: P.kwargs) -> Future[R]: ...
    @overload
    def delay(self, first: Upstream, /, *args: Any, **kwargs: Any) -> Future[Any]: ...
    @overload
    def delay(self, first: Any, second: Upstream, /, *args: Any, **kwargs: Any) -> Future[Any]: ...
    def delay(self, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a worker run the task in the background, and give a future at once; in a flow run or outside.

        The run belongs to no flow: nobody waits for it, and it goes on when this process has ended. Its future can be
        pickled, or be made again from the id by `millstream.futures.future_of`, and asked for its outcome elsewhere.
        Raises ParameterBindError for arguments that do not fit, UnpicklableArgument for those that cannot be sent,
        RedisUnavailable when the server stays away.
        """
        return background.submit(self.unbound, [self.bind(args, kwargs)])[0]

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        wait_for: Any = None,
        dependencies: Mapping[str, Any] | None = None,
    ) -> Future[Any]:
        """What `delay(*args, **kwargs)` does, for a run that begins only when others have ended.

        These stand in `wait_for`, or, by names of your own, in `dependencies`; when one of them did not complete, the
        run is not begun. Raises as `delay` does, and TypeError for arguments that are not several.
        """
        args, kwargs = background.checked_call(args, kwargs)
        upstream = background.upstream_of(wait_for, dependencies)
        return background.submit(self.unbound, [self.bind(args, kwargs)], upstream)[0]

    def serve(self, limit: int | None = 10) -> None:
        """Execute background runs of this task until SIGTERM or Ctrl-C; see `millstream.task_worker.serve`."""
        from millstream import task_worker  # only who serves needs it

        task_worker.serve(self, limit=limit)

    def _runner(self, method: str) -> TaskRunner[Any]:
        found = context.FlowRunContext.get()
        if found is None:
            raise errors.MissingContextError(
                f"{self.name}.{method}() needs a flow run around it, whose task runner it uses: call it inside a "
                f"function with @flow, call the task directly, {self.name}(...), or have a worker run it in the "
                f"background, {self.name}.{'delay(...)' if method == 'submit' else 'map(..., deferred=True)'}."
            )
        return found.task_runner

    async def _call_async(self, parameters: dict[str, Any], upstream: tuple[Any, ...], return_state: bool) -> Any:
        return _returned(await engine.call_async(self.unbound, parameters, upstream), return_state)


def _returned(state: State[Any], return_state: bool) -> Any:
    if return_state:
        return state
    return None if state.is_pending() else states.value_of(state)


@overload
def task(fn: Callable[P, R], /, **given: Unpack[TaskKeywords]) -> Task[P, R]: ...
@overload
def task(fn: None = None, /, **given: Unpack[TaskKeywords]) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(fn: Any = None, /, **given: Unpack[TaskKeywords]) -> Any:
    """Make a function a task: `@task`, `@task(name=...)`, or `task(fn, name=...)`.

    Options, all with defaults:

    `name` (the function's), `description` (its docstring), `version` (free text), `tags`; `queue`, the queue for its
    runs under a queue runner and in the background; `task_run_name`, a text with `{parameters}` in it or a function
    that gives one.
    `retries` (0), how often a failed run is tried again; `retry_delay_seconds` (0): a number, a list of which the last
    goes on being used, or a function from `retries` to a list, such as `exponential_backoff(2)`; `retry_jitter_factor`
    f spreads each delay between delay / (1 + f) and delay * (1 + f); `retry_condition_fn(task, run, state)` may refuse.
    `timeout_seconds` (none): a run that takes longer is interrupted and Failed, named `TimedOut`; retries apply.
    `log_prints` (as around it): what the task prints goes to its log.
    `on_completion`, `on_failure`, `on_running`: lists of functions `hook(task, run, state)`.
    `persist_result` (as around it): the result is stored also where it is not needed to hand it over; then it is cached
    as `cache_policy` (DEFAULT) or `cache_key_fn(context, parameters)` say, for `cache_expiration` (the retention), a
    timedelta or seconds; with `refresh_cache` it is computed anew. `result_storage` is a folder, an fsspec URL or an
    object with `read_path` and `write_path`; `result_serializer` a name such as "json", a class or an instance;
    `result_storage_key` a text with `{parameters[name]}` in it, under which the result can be found. Each of these
    turns `persist_result` on. With `cache_result_in_memory` false the result is read from there when it is asked for.
    `on_commit`, `on_rollback`: lists of functions `hook(transaction)`, see `millstream.transactions`.

    Raises TypeError or ValueError for what an option does not take and for what is not callable,
    ReservedArgumentError for a function with a parameter `return_state` or `wait_for`.
    """
    if fn is not None:
        return Task(fn, **given)

    def decorate(fn: Callable[P, R]) -> Task[P, R]:
        return Task(fn, **given)

    return decorate


def __getattr__(name: str) -> Any:
    # Slow to import, and used by few.
    if name == "task_input_hash":
        from millstream.cache_policies import task_input_hash

        return task_input_hash
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
