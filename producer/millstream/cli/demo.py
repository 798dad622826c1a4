"""`millstream demo`: a real piece of work on thousands of small tasks, with all that it needs started by itself."""

import os
import sys
from pathlib import Path

import click

_INTERRUPTED = 130  # what shells show for a program that Ctrl-C ended
_SILENT = "CRITICAL"


@click.command()
@click.argument("path", type=click.Path(exists=True, readable=True, path_type=Path), required=False)
@click.option("--limit", type=click.IntRange(min=1), default=None, help="Analyze at most this many files.")
def demo(path: Path | None, limit: int | None) -> None:
    """Analyze all text files below PATH, each by five small tasks that workers execute.

    Default: the sources of Python's standard library. Without MILLSTREAM_REDIS_URL a private server and workers are
    started for it; with it, that Redis and the workers there are used, which need to see the same files.

    The log lines of the runs are not shown, unless MILLSTREAM_LOGGING_LEVEL says so.

    Exit code: 0, also when some files were not text; 1 if the run failed; 2 if there was nothing to analyze.
    """
    # Before anything reads the settings. A file that is not text is reported once, at the end: its failed runs need
    # not fill the screen. Workers started from here inherit the environment.
    log_level = os.environ.setdefault("MILLSTREAM_LOGGING_LEVEL", _SILENT)
    try:
        # Only now: asking for help should not take the time that these take to import.
        from millstream.demo import files, program

        root, suffix = (path.absolute(), "") if path else (files.standard_library(), ".py")
        found = files.find_files(root, limit, suffix)
        if not found:
            raise click.UsageError(f"There are no files to analyze in {str(root)!r}.")
        sys.exit(program.run(found, root, quiet=log_level == _SILENT))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
