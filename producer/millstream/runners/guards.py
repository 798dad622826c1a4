"""Whether a script can be imported again by processes that it starts: `if __name__ == "__main__"`."""

import ast
import sys
import threading
from pathlib import Path
from types import FrameType, ModuleType

from millstream_shared import errors


def check(what: str) -> None:
    """Raise ConfigurationError if the main script is running code that it would run again on being imported.

    For `what` starts processes by `multiprocessing`, each of which imports the script. Here that ends with one error
    that says where; there it would be many, from each of the processes.
    """
    main = sys.modules.get("__main__")
    frame = _frame_of(main)
    file = getattr(main, "__file__", None)
    if frame is None or file is None or _is_package_main(main):
        return
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    running = [node for node in tree.body if node.lineno <= frame.f_lineno <= (node.end_lineno or node.lineno)]
    if running and not any(_is_guard(node) for node in running):
        raise errors.ConfigurationError(
            f"{what} starts processes that import the script {file} again, and what it does in line {frame.f_lineno} "
            f'would be done in each of them: put that under `if __name__ == "__main__":`.'
        )


def _frame_of(main: ModuleType | None) -> FrameType | None:
    """The frame in which the statements of `main` are executed now, if they are."""
    # Documented, in spite of its name. The caller may be in another thread, to which an async flow hands what blocks.
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]
    frame = frames.get(threading.main_thread().ident or 0)
    while frame is not None:
        if main is not None and frame.f_code.co_name == "<module>" and frame.f_globals is main.__dict__:
            return frame
        frame = frame.f_back
    return None


def _is_package_main(main: ModuleType | None) -> bool:
    # `python -m package`: multiprocessing does not import that again.
    spec = getattr(main, "__spec__", None)
    return spec is not None and spec.name.endswith("__main__")


def _is_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and any(
        isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test)
    )
