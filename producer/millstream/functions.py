"""What a task and a flow have in common: a function with options that is called, bound to instances, and pickled."""

import copyreg
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Generic, ParamSpec, Self, TypeVar, cast

from millstream import names
from millstream.hooks import Hook
from millstream.parameters import Parameters
from millstream_shared import entrypoints

P = ParamSpec("P")
R = TypeVar("R", covariant=True)
Options = TypeVar("Options")
H = TypeVar("H", bound=Callable[..., Any])


T = TypeVar("T")


class option(Generic[T]):
    """An attribute that reads one of the options; `name`: which one, if it is not called like the attribute."""

    def __init__(self, name: str | None = None) -> None:
        self._name = name

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = self._name or name

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> T:
        return cast("T", self if instance is None else getattr(instance.options, cast("str", self._name)))


class Function(Generic[P, R, Options]):
    """A function and its options.

    `fn` is the function itself, `parameters` tells what it takes, `isasync` and `isgenerator` what kind it is. On a
    class it works as a method, also above or below `@classmethod` and `@staticmethod`.
    """

    fn: Callable[..., Any]
    options: Options
    parameters: Parameters
    isasync: bool
    isgenerator: bool
    _naming_option: ClassVar[str]
    """The option that names runs."""

    name = option[str]()
    description = option["str | None"]()
    version = option["str | None"]()
    retry_delay_seconds = option["float | tuple[float, ...]"]()
    timeout_seconds = option["float | None"]()
    log_prints = option["bool | None"]()
    persist_result = option["bool | None"]()
    result_storage = option[Any]()
    result_serializer = option[Any]()
    cache_result_in_memory = option[bool]()
    on_completion_hooks = option[tuple[Hook, ...]]("on_completion")
    on_failure_hooks = option[tuple[Hook, ...]]("on_failure")
    on_running_hooks = option[tuple[Hook, ...]]("on_running")

    def __init__(self, fn: Callable[P, R], options: Options) -> None:
        self._kind = _method_kind(fn)
        self._setup(cast("Any", fn).__func__ if self._kind else fn, options)
        self._checked()

    def _checked(self) -> Self:
        """Itself. Raises ValueError for a name of its runs that asks for what is no parameter."""
        names.check_fields(getattr(self.options, self._naming_option), self.parameters.names, self._naming_option)
        return self

    def _setup(self, fn: Callable[..., Any], options: Options) -> None:
        functools.update_wrapper(cast("Any", self), fn)
        self.fn = fn
        self.options = options
        self.parameters = Parameters(fn, name_of(fn))
        called = _called(fn)
        asyncgen = inspect.isasyncgenfunction(called)
        self.isasync = asyncgen or inspect.iscoroutinefunction(called)
        self.isgenerator = asyncgen or inspect.isgeneratorfunction(called)
        self._bound: tuple[Any, ...] = ()
        self._origin: Self | None = None
        self._unbound: Self | None = None

    def invoke(self, parameters: dict[str, Any]) -> Any:
        """Call the function with a run's parameters."""
        return self.parameters.invoke(self.fn, parameters)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The parameters of a call, with defaults, and with the instance on which it was called.

        Raises ParameterBindError when the arguments do not fit.
        """
        return self.parameters.bind((*self._bound, *args) if self._bound else args, kwargs)

    def _like_its_function(self, coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        """The coroutine of a call, named so that a warning that it was never awaited tells of which function it is."""
        coroutine.__name__ = coroutine.__qualname__ = self.parameters.name
        return coroutine

    def _refuse_state(self, return_state: bool) -> None:
        """Raise ValueError where a state is asked for before there can be one."""
        if return_state:
            raise ValueError(
                f"{self.name!r} is a generator function: a call gives its items one by one, so there is no state to "
                f"return. Leave return_state out, or submit it: then its result is the list of all items."
            )

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Self:
        if self._kind is staticmethod:
            return self
        target = owner if self._kind is classmethod else instance
        if target is None:
            return self
        bound = self._derived(self.options)
        bound._bound = (target,)
        bound._unbound = self
        return bound

    @property
    def unbound(self) -> Self:
        """This one as a plain function, which takes the instance as its first parameter."""
        return self._unbound or self

    def _derived(self, options: Options) -> Self:
        """A copy with other options."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.options = options
        new._origin = self._origin or self
        if self._unbound is not None:
            new._unbound = self._unbound._derived(options)
        return new

    @property
    def is_copy(self) -> bool:
        """Whether this was made of another one, with other options or bound to an instance."""
        return self._origin is not None

    # --- hooks, in the form of decorators ---

    def on_completion(self, hook: H) -> H:
        """Have `hook(this, run, state)` called when a run completed."""
        return self._with_hook("on_completion", hook)

    def on_failure(self, hook: H) -> H:
        """Have `hook(this, run, state)` called when a run failed for good."""
        return self._with_hook("on_failure", hook)

    def on_running(self, hook: H) -> H:
        """Have `hook(this, run, state)` called each time a run is begun."""
        return self._with_hook("on_running", hook)

    def _with_hook(self, name: str, hook: H) -> H:
        options = cast("Any", self.options)
        self.options = options.updated(**{name: (*getattr(options, name), hook)})
        if self._unbound is not None:
            self._unbound._with_hook(name, hook)
        return hook

    # --- pickling: by name where importing that gives this object or the one it derives from, else by value ---

    def __reduce__(self) -> tuple[Any, ...]:
        ref = self.reference
        if ref is not None:
            return entrypoints.load, (ref,)
        if self._origin is not None and not self._bound:
            ref = self._origin.reference
            if ref is not None:
                return _with_options, (ref, self.options)
        # The function goes into the state and not into the arguments: it may refer to this object by its globals, which
        # pickle can only close into a circle once the object itself is made.
        return copyreg.__newobj__, (type(self),), self._state()  # type: ignore[attr-defined]

    @property
    def reference(self) -> str | None:
        """`module:qualname` if importing that gives this very object."""
        return entrypoints.reference(self, self.__module__, getattr(self, "__qualname__", "<none>"))

    def _state(self) -> dict[str, Any]:
        return {"fn": self.fn, "options": self.options, "kind": self._kind, "bound": self._bound}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._kind = state["kind"]
        self._setup(state["fn"], state["options"])
        if state["bound"]:
            self._unbound = self._derived(self.options)
            self._bound = state["bound"]


def _with_options(ref: str, options: Any) -> Any:
    return entrypoints.load(ref)._derived(options)


def _called(fn: Any) -> Any:
    """What a call of `fn` executes: for an instance with `__call__`, that method."""
    is_itself = inspect.isroutine(fn) or isinstance(fn, functools.partial)
    return cast("Any", fn if is_itself else fn.__call__)


def _method_kind(fn: Any) -> "type[classmethod[Any, Any, Any]] | type[staticmethod[Any, Any]] | None":
    return next((kind for kind in (classmethod, staticmethod) if isinstance(fn, kind)), None)


def name_of(fn: Callable[..., Any]) -> str:
    """The function's name; that of its class for a callable object; that of what it wraps for a partial."""
    if isinstance(fn, functools.partial):
        return name_of(cast("functools.partial[Any]", fn).func)
    return getattr(fn, "__name__", None) or type(fn).__name__


def key_of(fn: Any) -> str:
    """A name for the code of a function, see `Task.task_key`."""
    from millstream import fingerprints  # only for those who ask

    kind = cast("type[Any]", type(fn))
    if not hasattr(fn, "__name__") and kind is not functools.partial:
        return f"{kind.__module__}.{kind.__qualname__}"
    return f"{name_of(fn)}-{fingerprints.of_code(fn)[:8]}"


def checked(fn: Any, what: str) -> Any:
    """`fn` if it can be made a task or flow. Raises TypeError otherwise."""
    if not callable(fn) and type(fn) is not classmethod:
        raise TypeError(f"@{what} takes a function or another callable, got {fn!r}.")
    return cast("Any", fn)


def described(fn: Any) -> tuple[str, str | None]:
    """Name and docstring of a function that may be wrapped as a class or static method."""
    inner: Any = getattr(fn, "__func__", fn) if type(fn) in (classmethod, staticmethod) else fn
    return name_of(inner), inspect.getdoc(inner)
