"""The logger of a run, under the name by which programs import it."""

from millstream.run_logging import get_run_logger

__all__ = ["get_run_logger"]
