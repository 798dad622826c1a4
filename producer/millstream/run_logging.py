"""Log lines of runs: the logger for user code, and what the engine tells of runs.

What user code logs goes to the store as well (`log_shipping`). That a run has begun and ended does not: its record says
so, and would say it at the cost of every task.
"""

import logging
import time
import traceback
from collections.abc import MutableMapping
from typing import Any, Final

from millstream import context, log_output, log_shipping
from millstream.context import FlowRunContext, TaskRunContext
from millstream.runs import TaskRun
from millstream_shared import errors, ids, tracebacks
from millstream_shared.states import State

_flow_runs: Final = logging.getLogger("millstream.flow_runs")
_task_runs: Final = logging.getLogger("millstream.task_runs")
_FAILED: Final = "Encountered an exception: %r"


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose records carry the run's ids and names as attributes."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Join the run's attributes with those of the call."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class _LinesLogger(logging.Logger):
    """Logs as another logger does, under its name and with its handlers, and has the lines shipped to the store."""

    def __init__(self, like: logging.Logger) -> None:
        super().__init__(like.name)
        self._like = self.parent = like
        self.handlers, self.filters = like.handlers, like.filters

    def __reduce__(self) -> Any:
        return _lines_logger, (self.name,)

    def setLevel(self, level: int | str) -> None:
        """Of both."""
        self._like.setLevel(level)

    def isEnabledFor(self, level: int) -> bool:
        """Whether the other logger logs such lines."""
        return self._like.isEnabledFor(level)

    def handle(self, record: logging.LogRecord) -> None:
        """What a logger does with a line, and the shipping."""
        # From Python 3.12 on, a filter may put another record in the place of this one.
        kept: Any = self._like.filter(record)
        if kept and not self._like.disabled:
            record = kept if isinstance(kept, logging.LogRecord) else record
            self._like.callHandlers(record)
            _ship(record)


_lines_of_flow_runs: Final = _LinesLogger(_flow_runs)
_lines_of_task_runs: Final = _LinesLogger(_task_runs)


def _lines_logger(name: str) -> _LinesLogger:
    return _lines_of_task_runs if name == _task_runs.name else _lines_of_flow_runs


def _ship(record: logging.LogRecord) -> None:
    # Whatever the program has put among its attributes: a line may not fail.
    fields = record.__dict__
    line = (record.created, record.levelno, _text_of(record))
    if "task_run_id" in fields:
        parent = fields.get("parent_task_run_id")
        log_shipping.add(str(fields["task_run_id"]), str(fields.get("task_run_name")), parent, line)
    else:
        log_shipping.add(str(fields.get("flow_run_id")), str(fields.get("flow_run_name")), None, line)


def _text_of(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
        if not record.exc_info and not record.stack_info:
            return text
        return _traceback_formatter.format(logging.makeLogRecord({**record.__dict__, "msg": text, "args": None}))
    except Exception:
        # The handler has complained of it already.
        return str(record.msg)


_traceback_formatter: Final = logging.Formatter()


def get_run_logger(context: Any = None, **extra: Any) -> RunLogger:
    """The logger of the run that is going on here, or of `context`; `extra` becomes attributes of its records.

    Raises MissingContextError outside of runs, TypeError when `context` is not a run context.
    """
    log_output.make_ready()
    found = context if context is not None else _current()
    if isinstance(found, FlowRunContext):
        return RunLogger(_lines_of_flow_runs, {**_flow_attributes(found.flow_run), **extra})
    if isinstance(found, TaskRunContext):
        run = found.task_run
        attributes = {**_task_attributes(run), "parent_task_run_id": run.parent_task_run_id}
        return RunLogger(_lines_of_task_runs, {**attributes, **extra})
    raise TypeError(f"Expected a flow run context or a task run context, got {type(found).__name__}.")


def _current() -> FlowRunContext | TaskRunContext:
    found = context.current()
    if found is None:
        raise errors.MissingContextError("There is no run to log for: call get_run_logger() inside a flow or a task.")
    return found


def _flow_attributes(run: Any) -> dict[str, Any]:
    return {"flow_run_id": run.run_id, "flow_run_name": run.name, "flow_name": run.flow_name}


def _task_attributes(run: Any) -> dict[str, Any]:
    return {
        "task_run_id": run.run_id,
        "task_run_name": run.name,
        "task_name": run.task_name,
        "flow_run_id": run.flow_run_id,
    }


# --- what the engine tells --------------------------------------------------------------------------------------------


def flow_run_began(run: Any) -> None:
    """One line at the beginning of a flow run."""
    log_output.make_ready()
    if _flow_runs.isEnabledFor(logging.INFO):
        message = "Beginning flow run %r for flow %r (%s)"
        _flow_runs.info(message, run.name, run.flow_name, ids.tree_of(run.run_id), extra=_flow_attributes(run))


def flow_run_ended(run: Any, state: State[Any]) -> None:
    """One line at the end of a flow run."""
    log_output.make_ready()
    level = level_of(state)
    if _flow_runs.isEnabledFor(level):
        _flow_runs.log(level, "Finished in state %s", state, extra=_flow_attributes(run))


def flow_run_failed(run: Any, error: BaseException) -> None:
    """The traceback of what a flow's function raised."""
    _flow_runs.error(
        _FAILED,
        error,
        exc_info=(type(error), error, tracebacks.of_user_code(error)),
        extra=_flow_attributes(run),
    )


def task_run_ended(run: Any, state: State[Any]) -> None:
    """One line at the end of a task run."""
    log_output.make_ready()
    level = level_of(state)
    if _task_runs.isEnabledFor(level):
        # What `log` does, without looking for the line of code that called it: a fifth of the line's cost, and it
        # would always be this one.
        message, extra = "Finished in state %s", _task_attributes(run)
        _task_runs.handle(
            _task_runs.makeRecord(_task_runs.name, level, __file__, 0, message, (state,), None, "task_run_ended", extra)
        )


def task_run_failed(run: Any, error: BaseException, message: str | None = None) -> None:
    """The traceback of what a task's function raised; with a `message`, of what another of its functions raised."""
    log_output.make_ready()
    # Of the task's own failure its record tells.
    logger = _lines_of_task_runs if message else _task_runs
    logger.error(
        message or _FAILED,
        error,
        exc_info=(type(error), error, tracebacks.of_user_code(error)),
        extra=_task_attributes(run),
    )


def run_is_put_off(run: Any, state: State[Any], seconds: float) -> None:
    """One line about a retry to come after `state`, which no record will keep."""
    log_output.make_ready()
    logger, attributes = _logger_of(run)
    error = state.held
    if isinstance(error, BaseException) and logger.isEnabledFor(logging.ERROR):
        told = "".join(traceback.format_exception(type(error), error, tracebacks.of_user_code(error)))
        text = f"{_FAILED % error}\n{told.rstrip()}"
        log_shipping.add(run.run_id, run.name, None, (time.time(), logging.ERROR, text))
    after = f"in {seconds:.3g} seconds" if seconds else "at once"
    logger.info("Failed; it is tried again %s (retry %d)", after, run.tries, extra=attributes)


def hook_failed(run: Any, name: str, error: BaseException) -> None:
    """The traceback of what a hook raised."""
    log_output.make_ready()
    logger, attributes = _logger_of(run)
    exception = (type(error), error, tracebacks.of_user_code(error))
    logger.error("The hook %r failed: %r", name, error, exc_info=exception, extra=attributes)


def _logger_of(run: Any) -> tuple[logging.Logger, dict[str, Any]]:
    if isinstance(run, TaskRun):
        return _lines_of_task_runs, _task_attributes(run)
    return _lines_of_flow_runs, _flow_attributes(run)


def level_of(state: State[Any]) -> int:
    """The level of the line that says that a run ended so."""
    if state.is_completed():
        return logging.INFO
    return logging.ERROR if state.is_failed() or state.is_crashed() else logging.WARNING
