"""Every error that millstream raises on purpose, in one tree.

    MillstreamError
    |- UsageError                     the program has to change; the message says what to write
    |  |- ParameterBindError          (TypeError) the arguments of a call do not fit the signature
    |  |- ParameterTypeError          a flow argument does not validate against its annotation
    |  |- SignatureMismatchError      (TypeError) a function has another signature than is needed
    |  |- ReservedArgumentError       (TypeError) a function has a parameter whose name is taken
    |  |- MappingMissingIterable      nothing to map over
    |  |- MappingLengthMismatch       the iterables of a map differ in length
    |  |- MissingContextError         (RuntimeError) called outside of a run
    |  |- InvalidNameError            (ValueError) a name with characters that are not allowed
    |  |- ConfigurationError          settings or options that contradict each other
    |  |- MissingFlowError            an entrypoint does not lead to a flow
    |  |- UnspecifiedFlowError        an entrypoint may mean several flows
    |  |- ScriptError                 a file cannot be executed to find a flow in it
    |  |- DeploymentFileError         a file of deployments says what cannot be
    |  |- ObjectNotFound              there is nothing of that name
    |  |- ObjectAlreadyExists         there is something of that name
    |  |  `- WorkerNameTaken          there is a worker of that name
    |  |- StillRunning                a run that has not ended is to be executed again
    |  |- AlreadyEnded                a run that has ended is to be stopped
    |  |- NotPausedError              a run that is not paused is to be resumed
    |  |- ConcurrencySlotAcquisitionError   slots of a concurrency limit cannot be had
    |  |- UnpicklableArgument         (TypeError) an argument cannot be sent to a worker
    |  |- SerializationError          (TypeError) a value that its serializer cannot write or read
    |  `- PayloadTooLarge             (ValueError) arguments or a result over the size limit
    |- RunError                       a run ended, or stands, otherwise than completed
    |  |- FailedRun                   it failed, and there is no exception of its own to raise
    |  |- CrashedRun                  what executed it went away
    |  |- CancelledRun                somebody cancelled it
    |  |- PausedRun                   it is paused, so there is no result yet
    |  |- FlowPauseTimeout            it was paused, and not resumed in time
    |  |- UnfinishedRun               it is not in a final state
    |  |- FlowRunWaitTimeout          it has not ended in the time that somebody waited
    |  |- MissingResult               it completed, but its result was not kept
    |  |- UpstreamTaskError           something that it needed did not complete
    |  |- RunLost                     its record is gone from the store
    |  |- RemoteError                 it failed with an exception that could not be sent; holds the traceback's text
    |  |- UnpicklableResult           (TypeError) its result cannot be sent back
    |  |- PayloadRefused              its payload cannot be trusted or read
    |  `- FunctionUnavailable         its function cannot be imported where it should run
    `- ServiceError                   something outside of the program is missing
       |- RedisUnavailable            the server does not answer
       |- RedisRefused                the server does not let this program in, or not do what it has to
       |- BackendFull                 the server takes nothing new: its memory or its disk is full
       |- StorageUnavailable          results cannot be written to their storage, or read from it
       |- SourceUnavailable           code cannot be fetched from where it is kept
       |- UnreadableDeployment        a deployment was written by another version
       |- NoWorker                    nobody serves the queue
       `- LeaseLost                   another worker was given this run

All of them survive pickling with their fields, because they cross processes. Beside the tree stand Abort, Pause and
TerminationSignal, which are no Exceptions, so that no `except Exception` of a program's stops them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self


class MillstreamError(Exception):
    """What every error of this project derives from."""

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception's default is to call its class with `args` again, which breaks for classes that build a message.
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _rebuild(kind: type[MillstreamError], args: tuple[Any, ...], fields: Mapping[str, Any]) -> MillstreamError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class TerminationSignal(BaseException):
    """The process was told to end while it ran a flow. `signal` is the number, such as 15 for SIGTERM."""

    def __init__(self, signal: int) -> None:
        self.signal = signal
        super().__init__(signal)

    def __str__(self) -> str:
        return f"the process was told to end by signal {self.signal}"


class Abort(BaseException):
    """The run is not to go on. Raised by programs; the run ends as Crashed."""


class Pause(BaseException):
    """The flow leaves its process until it is resumed. `state` is the one that it is in meanwhile."""

    def __init__(self, message: str = "", state: Any = None) -> None:
        self.state = state
        super().__init__(message)


# --- the program has to change ----------------------------------------------------------------------------------------


class UsageError(MillstreamError):
    """The program asks for something that cannot be done; the message says what to write instead."""


class ParameterBindError(UsageError, TypeError):
    """The arguments of a call do not fit the function's signature. Raised before a run exists."""

    @classmethod
    def from_bind_failure(cls, name: str, signature: Any, reason: object) -> Self:
        """The error for a call of `name` whose arguments `signature` does not take."""
        return cls(f"Cannot call {name!r}: {reason}. Its signature is {name}{signature}.")


class ParameterTypeError(UsageError):
    """A flow's argument does not validate against its annotation. Holds text only, so it always travels."""


class SignatureMismatchError(UsageError, TypeError):
    """A function does not have the signature that its role demands."""


class ReservedArgumentError(UsageError, TypeError):
    """A flow or task function has a parameter that millstream keeps for itself. `argument` is its name."""

    def __init__(self, function: str, argument: str) -> None:
        self.function, self.argument = function, argument
        super().__init__(
            f"{function!r} has a parameter {argument!r}, which every flow and task call already takes: rename it."
        )


class MappingMissingIterable(UsageError):
    """`.map` was given nothing that it could iterate over."""


class MappingLengthMismatch(UsageError):
    """`.map` was given iterables that differ in length."""


class MissingContextError(UsageError, RuntimeError):
    """Something that belongs inside a run was called outside of one."""


class InvalidNameError(UsageError, ValueError):
    """A name has characters that would break a URL or a path."""


class ConfigurationError(UsageError):
    """Settings or options contradict each other."""


class MissingFlowError(UsageError):
    """An entrypoint does not lead to a flow; the message says which flows there are."""


class UnspecifiedFlowError(UsageError):
    """A file has several flows, and the entrypoint does not say which."""


class ScriptError(UsageError):
    """A file, or module, could not be executed to find a flow in it. `text` is the traceback."""

    def __init__(self, place: str, text: str) -> None:
        self.place, self.text = place, text
        super().__init__(f"{place} cannot be executed, so its flows cannot be found:\n{text}")


class DeploymentFileError(UsageError):
    """A file of deployments says what cannot be. `problems` are texts, each with file, line and field."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class ObjectNotFound(UsageError):
    """Something is referred to by a name that nothing has."""


class ObjectAlreadyExists(UsageError):
    """Something is to be made under a name that is taken."""


class StillRunning(UsageError):
    """A run that has not ended is to be executed again."""


class WorkerNameTaken(ObjectAlreadyExists):
    """A worker was to be started with a name that another one has: `owner`, on the machine `host`."""

    def __init__(self, name: str, owner: str, host: str) -> None:
        self.name, self.owner, self.host = name, owner, host
        super().__init__(
            f"There is a worker named {name!r} ({owner} on {host}): stop it, or take another --name. The name of "
            "one that died on another machine is free once its lease has run out."
        )


class AlreadyEnded(UsageError):
    """A run that has ended is to be stopped."""


class NotPausedError(UsageError):
    """A run that is not paused is to be resumed."""


class ConcurrencySlotAcquisitionError(UsageError):
    """Slots of concurrency limits cannot be had, however long one waits, or were lost. `names` are the limits."""

    def __init__(self, names: Sequence[str], reason: str) -> None:
        self.names, self.reason = tuple(names), reason
        super().__init__(f"No slots of {', '.join(map(repr, names))}: {reason}.")


class UnpicklableArgument(UsageError, TypeError):
    """An argument cannot be sent to a worker. `task` and `argument` are names; the cause says why."""

    def __init__(self, task: str, argument: str, reason: str = "") -> None:
        self.task, self.argument, self.reason = task, argument, reason
        super().__init__(
            f"Argument {argument!r} of task {task!r} cannot be pickled{f' ({reason})' if reason else ''}: pass plain "
            "data and open files, connections and locks inside the task, or use ThreadPoolTaskRunner."
        )


class SerializationError(UsageError, TypeError):
    """A value cannot be written, or bytes cannot be read, by the serializer that was asked to."""


class PayloadTooLarge(UsageError, ValueError):
    """Arguments or a result are larger than may be sent. `size` and `limit` are in bytes; `setting` is the limit's."""

    def __init__(self, what: str, size: int, limit: int, setting: str = "MILLSTREAM_LARGEST_IN_REDIS_BYTES") -> None:
        self.what, self.size, self.limit, self.setting = what, size, limit, setting
        super().__init__(
            f"{what} takes {size:,} bytes, and Redis is given {limit:,} at most ({setting}): set "
            "MILLSTREAM_RESULT_STORAGE to a folder or an object store that all workers share, or pass an address."
        )


# --- a run did not complete -------------------------------------------------------------------------------------------


class RunError(MillstreamError):
    """A run ended, or stands, otherwise than completed."""


class FailedRun(RunError):
    """The run failed and left no exception of its own."""


class CrashedRun(RunError):
    """The run was ended from outside: by a signal, an exit, or the loss of its worker."""


class CancelledRun(RunError):
    """The run was cancelled."""


class PausedRun(RunError):
    """The run is paused and has no result yet."""


class FlowPauseTimeout(RunError):
    """The flow run was paused, and nobody resumed it in time."""


class UnfinishedRun(RunError):
    """The run is not in a final state, so it has no result."""


class FlowRunWaitTimeout(RunError):
    """A flow run has not ended in the time that somebody waited for it. `run_id` says which."""

    def __init__(self, run_id: str, reason: str = "it has not ended in time") -> None:
        self.run_id = run_id
        super().__init__(f"Flow run {run_id}: {reason}.")


class MissingResult(RunError):
    """The run completed, but its result is not, or no longer, available."""


class UpstreamTaskError(RunError):
    """A run that this one needed did not complete."""


class RunLost(RunError):
    """The store no longer knows the run, so its outcome will never be known. `run_id` says which."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(f"Nothing is known of run {run_id}: its record expired, or the server lost its data.")


class RemoteError(RunError):
    """The run failed with an exception that could not be sent. `text` is its traceback as the worker saw it."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"Where the run was executed, it said:\n{text}")


class UnpicklableResult(RunError, TypeError):
    """The run returned something that cannot be sent back. `task` is a name."""

    def __init__(self, task: str, reason: str) -> None:
        self.task, self.reason = task, reason
        super().__init__(f"The result of task {task!r} cannot be pickled ({reason}): return plain data.")


class PayloadRefused(RunError):
    """The run's payload was not opened: damaged, of another version, or not signed as it must be."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The payload was refused: {reason}")


class FunctionUnavailable(RunError):
    """The run's function could not be imported where it should run. `reference` is what was looked for."""

    def __init__(self, reference: str, reason: str) -> None:
        self.reference, self.reason = reference, reason
        super().__init__(f"Cannot load {reference!r} ({reason}): install the same code where the worker runs.")


# --- something outside is missing -------------------------------------------------------------------------------------


class ServiceError(MillstreamError):
    """Something outside of the program does not answer."""


class RedisUnavailable(ServiceError):
    """The server does not answer. `url` is its address, without a password."""

    def __init__(self, url: str, reason: str = "") -> None:
        self.url, self.reason = url, reason
        super().__init__(
            f"No answer from Redis at {url}{f' ({reason})' if reason else ''}: start it, or set "
            "MILLSTREAM_REDIS_URL to where it is; without that variable a private server is used."
        )


class RedisRefused(ServiceError):
    """The server does not let this program in, or not do what it has to. `url` has no password in it."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(
            f"Redis at {url} refuses this program ({reason}): set MILLSTREAM_REDIS_URL with a user and password that "
            "may use all keys and commands, as in redis://user:password@host:6379/0."
        )


class BackendFull(ServiceError):
    """The server takes nothing new. `url` is its address, without a password; `reason` is what it said.

    Nothing of the call was done. Runs that are queued or executed go on, and make room by ending.
    """

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(
            f"Redis at {url} is full ({reason}): wait for workers to end what is queued, start more of them, or give "
            "it more memory (`maxmemory`) or disk."
        )


class StorageUnavailable(ServiceError):
    """A result could not be written to its storage, or read from it. `address` is where; the cause says why."""

    def __init__(self, address: str, reason: str) -> None:
        self.address, self.reason = address, reason
        super().__init__(
            f"{address} cannot be used ({reason}): see to its space, its rights and its network, or set "
            "MILLSTREAM_RESULT_STORAGE to another place."
        )


class SourceUnavailable(ServiceError):
    """Code could not be fetched from where it is kept. `address` is the repository's, without a password."""

    def __init__(self, address: str, reason: str) -> None:
        self.address, self.reason = address, reason
        super().__init__(f"The code at {address} cannot be fetched: {reason}")


class UnreadableDeployment(ServiceError):
    """A deployment was written by another version, in a way that this one does not know. `name` is its full name."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(
            f"The deployment {name!r} cannot be read ({reason}): use the version of millstream that has written it, or "
            "deploy it again."
        )


class NoWorker(ServiceError):
    """No worker serves the queue. `queue` is its name."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        super().__init__(f"No worker serves the queue {queue!r}: start one with `millstream worker start -q {queue}`.")


class LeaseLost(ServiceError):
    """The right to finish a run went to another worker. `run_id` says which run."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(f"The lease of run {run_id} is lost: another worker may have it.")
