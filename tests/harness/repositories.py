"""Git repositories of a test's own, with a flow in them."""

import subprocess
from pathlib import Path


class Repository:
    """A bare repository, and a working copy from which it is pushed to."""

    def __init__(self, folder: Path) -> None:
        self.url = str(folder / "code.git")
        self._copy = folder / "copy"
        self._git("init", "--quiet", "--bare", "--initial-branch=main", self.url, within=folder)
        self._git("clone", "--quiet", self.url, str(self._copy), within=folder)

    def push(self, answer: int, branch: str = "main") -> str:
        """Have the flow in `flows/answers.py` give this answer from now on; the commit."""
        self._git("checkout", "--quiet", "-B", branch)
        (self._copy / "flows").mkdir(exist_ok=True)
        (self._copy / "flows" / "answers.py").write_text(
            f"from millstream import flow\nimport numbers_of_mine\n@flow\ndef answer():\n    return {answer}\n"
        )
        (self._copy / "numbers_of_mine.py").write_text("")
        self._git("add", ".")
        self._git("commit", "--quiet", "--message", f"Answer {answer}")
        self._git("push", "--quiet", "origin", branch)
        return self._git("rev-parse", "HEAD").strip()

    def tag(self, name: str) -> None:
        self._git("tag", "--annotate", "--message", name, name)
        self._git("push", "--quiet", "origin", name)

    def _git(self, *words: str, within: Path | None = None) -> str:
        own = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c", "init.defaultBranch=main")
        done = subprocess.run(
            ["git", *own, *words], cwd=within or self._copy, capture_output=True, text=True, check=True
        )
        return done.stdout
