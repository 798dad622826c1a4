"""Code from git: each commit is fetched once, into a folder of its own that never changes."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from millstream_shared import errors
from millstream_shared.deployments import GitSource
from millstream_shared.settings import get_settings

_SECONDS: Final = 300
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REMOTE: Final = re.compile(r"[a-z+]+://|[^/@\s]+@[^/:\s]+:|.*\.git(@[^/]+)?/?$")
_SECONDS_UNUSED: Final = 7 * 24 * 3600.0


def GitRepository(url: str, branch: str | None = None, commit: str | None = None) -> GitSource:
    """Code in the git repository at `url`: of a branch or tag, or of one commit, by default of the default branch.

    A branch is looked up each time the code is loaded. Access is up to git: keys, credential helpers, configuration.
    Raises ValueError for both a branch and a commit, and for a commit that is not written in full.
    """
    if branch and commit:
        raise ValueError(f"A repository is used at a branch or at a commit; got branch {branch!r}, commit {commit!r}.")
    if commit and not _COMMIT.fullmatch(commit):
        raise ValueError(f"A commit is given by all digits of its hash, as in `git rev-parse HEAD`; got {commit!r}.")
    if url.startswith("-"):
        raise ValueError(f"The address of a repository does not begin with a dash; got {url!r}.")
    return GitSource(url=url, branch=branch, commit=commit)


def source_of(source: Any) -> GitSource | Path:
    """What programs give as a source: a GitRepository, the address of one (`address@branch` too), or a folder.

    Raises TypeError for anything else, MissingFlowError for a folder that does not exist.
    """
    if isinstance(source, GitSource):
        return source
    if isinstance(source, str) and _REMOTE.match(source) and not os.path.isdir(os.path.join(source, ".git")):
        return _of_address(source)
    if not isinstance(source, str | Path):
        raise TypeError(f"A source is a folder, the address of a git repository or a GitRepository; got {source!r}.")
    folder = Path(source).expanduser().absolute()
    if not folder.is_dir():
        raise errors.MissingFlowError(
            f"There is no folder {folder}, in which a flow was to be found. The address of a git repository begins "
            "like https://, or ends in .git."
        )
    return folder


def _of_address(address: str) -> GitSource:
    url, sign, ref = address.rpartition("@")
    # The user of an address stands before a path, or before the colon of ssh's short form.
    if not sign or "/" not in url or ":" in ref:
        return GitRepository(address)
    if "://" in url and "/" not in url.split("://", 1)[1]:
        return GitRepository(address)
    is_commit = bool(_COMMIT.fullmatch(ref))
    return GitRepository(url, None if is_commit else ref, ref if is_commit else None)


def checkout(source: GitSource) -> Path:
    """A folder with the code as it is now at the source; it is fetched if this commit is not here yet.

    Raises SourceUnavailable, which says what git said.
    """
    commit = source.commit or _commit_of(source)
    of_source = get_settings().home.expanduser() / "sources" / hashlib.sha256(source.url.encode()).hexdigest()[:16]
    folder = of_source / commit
    if not folder.is_dir():
        of_source.mkdir(parents=True, exist_ok=True, mode=0o700)
        _remove_unused(of_source)
        _fetch(source, commit, folder)
    os.utime(folder)
    return folder


def _commit_of(source: GitSource) -> str:
    """What the branch, or tag, stands at now."""
    name = source.branch or "HEAD"
    listed = _git(source, "ls-remote", "--", source.url, name, f"{name}^{{}}")
    found = {ref: commit for commit, _, ref in (line.partition("\t") for line in listed.splitlines())}
    # A tag may be an object of its own; the commit is what it points to.
    for ref in (f"refs/heads/{name}", f"refs/tags/{name}^{{}}", f"refs/tags/{name}", name):
        if ref in found:
            return found[ref]
    raise errors.SourceUnavailable(shown(source.url), f"it has no branch or tag {name!r}.")


def _fetch(source: GitSource, commit: str, folder: Path) -> None:
    """Make the folder; if several processes do at once, they all use that of the first."""
    building = Path(tempfile.mkdtemp(prefix="fetching-", dir=folder.parent))
    try:
        _git(source, "init", "--quiet", within=building)
        try:
            _git(source, "fetch", "--quiet", "--depth", "1", "--", source.url, commit, within=building)
        except errors.SourceUnavailable:
            # Some servers give single commits only if they are the latest of a branch.
            everything = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            _git(source, "fetch", "--quiet", "--", source.url, *everything, within=building)
        _git(source, "checkout", "--quiet", "--detach", commit, within=building)
        try:
            building.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _remove_unused(of_source: Path) -> None:
    """Remove the commits that nobody has asked for in a week."""
    for folder in of_source.iterdir():
        try:
            if folder.stat().st_mtime < time.time() - _SECONDS_UNUSED:
                shutil.rmtree(folder, ignore_errors=True)
        except FileNotFoundError:
            continue  # Another process did.


def _git(source: GitSource, *words: str, within: Path | None = None) -> str:
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=within,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            # It must not ask anybody, and what it says must be what we look for.
            env=os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise errors.SourceUnavailable(shown(source.url), "there is no command `git`: install it.") from None
    except subprocess.TimeoutExpired:
        raise errors.SourceUnavailable(shown(source.url), f"git took longer than {_SECONDS} s.") from None
    if done.returncode:
        told = done.stderr.strip().replace(source.url, shown(source.url))
        raise errors.SourceUnavailable(shown(source.url), f"git {words[0]} says: {told}")
    return done.stdout


def shown(url: str) -> str:
    """The address without a password."""
    return re.sub(r"(://)[^/@]*@", r"\1***@", url)
