"""Every error survives the way to another process."""

import pickle

import pytest

from millstream import exceptions
from millstream_shared import errors

MADE = [
    errors.ReservedArgumentError("fetch", "wait_for"),
    errors.ConcurrencySlotAcquisitionError(["db", "api"], "no"),
    errors.UnpicklableArgument("fetch", "lock", "no"),
    errors.PayloadTooLarge("The argument 'x'", 5000, 400),
    errors.RunLost("ab"),
    errors.FlowRunWaitTimeout("ab", "no"),
    errors.RemoteError("Traceback"),
    errors.UnpicklableResult("fetch", "no"),
    errors.PayloadRefused("signature"),
    errors.FunctionUnavailable("shop:fetch", "no module"),
    errors.RedisUnavailable("redis://here", "refused"),
    errors.RedisRefused("redis://here", "wrong password"),
    errors.BackendFull("redis://here", "used memory"),
    errors.StorageUnavailable("/results", "full"),
    errors.ScriptError("flows.py", "Traceback"),
    errors.DeploymentFileError(["millstream.yaml:3: name: is missing"]),
    errors.SourceUnavailable("https://here/code.git", "refused"),
    errors.UnreadableDeployment("flow/nightly", "no"),
    errors.NoWorker("slow"),
    errors.LeaseLost("ab"),
    errors.WorkerNameTaken("mail", "mail-1-ab", "here"),
    errors.TerminationSignal(15),
]


def _all(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _all(child))]


OURS = [kind for kind in _all(errors.MillstreamError) if kind.__module__ == errors.__name__]
PLAIN = [kind for kind in OURS if kind not in {type(error) for error in MADE}]


@pytest.mark.parametrize("error", [*MADE, *(kind("message") for kind in PLAIN)], ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling(error: BaseException) -> None:
    """With its type, message and fields."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_every_error_can_be_imported_by_programs() -> None:
    """From `millstream.exceptions`, and the drawing of the tree has them all."""
    names = {kind.__name__ for kind in OURS} | {"Abort", "Pause", "TerminationSignal"}  # which are no Exceptions
    assert names == set(exceptions.__all__)
    assert all(name in (errors.__doc__ or "") for name in names)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.ParameterBindError, TypeError),
        (errors.SignatureMismatchError, TypeError),
        (errors.ReservedArgumentError, TypeError),
        (errors.MissingContextError, RuntimeError),
        (errors.InvalidNameError, ValueError),
        (errors.FailedRun, errors.RunError),
        (errors.NoWorker, errors.ServiceError),
    ],
)
def test_errors_can_be_caught_as_what_they_are_like(error: type[Exception], kind: type[Exception]) -> None:
    """By the built-in that a plain function would raise."""
    assert issubclass(error, kind)
