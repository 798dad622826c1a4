"""Flows from git: fetched by commit, followed by branch, and what is told when that cannot be."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from millstream import exceptions, flow, flow_sources, git_sources
from millstream.deployments import GitRepository
from millstream_shared import settings
from tests.harness.repositories import Repository


@pytest.fixture
def repository(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    before, path = set(sys.modules), list(sys.path)
    monkeypatch.setenv("MILLSTREAM_HOME", str(folder / "home"))
    settings.get_settings.cache_clear()
    yield Repository(folder)
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]
    sys.path[:] = path


def test_a_flow_comes_from_the_default_branch_as_it_is_now(repository: Repository) -> None:
    """A later commit is seen by the next who asks; its deployment remembers the repository, not the commit."""
    repository.push(1)
    first = flow.from_source(repository.url, "flows/answers.py:answer")
    assert first() == 1
    repository.push(2)
    second = flow.from_source(repository.url, "flows/answers.py:answer")
    assert (first(), second()) == (1, 2)
    record = second.to_deployment("x").record
    assert (record.entrypoint, record.path) == ("flows/answers.py:answer", None)
    assert record.source == GitRepository(repository.url)
    place = flow_sources.Place(record.entrypoint, record.path, record.source)
    assert flow_sources.load_place(place) is second


def test_a_branch_a_tag_or_a_commit_can_be_asked_for(repository: Repository) -> None:
    """By an object, or behind the address."""
    first = repository.push(1)
    repository.tag("v1")
    repository.push(2)
    repository.push(3, "next")
    wanted = {
        GitRepository(repository.url, branch="next"): 3,
        GitRepository(repository.url, branch="v1"): 1,
        GitRepository(repository.url, commit=first): 1,
        f"{repository.url}@next": 3,
        f"{repository.url}@{first}": 1,
    }
    for source, answer in wanted.items():
        assert flow.from_source(source, "flows/answers.py:answer")() == answer


def test_a_commit_that_is_here_is_not_asked_for_again(repository: Repository) -> None:
    """So that runs begin though the repository is away."""
    source = GitRepository(repository.url, commit=repository.push(1))
    folder = git_sources.checkout(source)
    os.rename(repository.url, repository.url + ".away")
    assert git_sources.checkout(source) == folder


def test_several_can_fetch_the_same_at_once(repository: Repository) -> None:
    """All find it whole, in one place, and nothing else is left."""
    source = GitRepository(repository.url, commit=repository.push(1))
    ready, found = threading.Barrier(4), list[Path]()

    def fetch() -> None:
        ready.wait()
        found.append(git_sources.checkout(source))

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert (found[0] / "flows" / "answers.py").is_file()
    assert os.listdir(found[0].parent) == [found[0].name]


def test_commits_that_nobody_uses_any_more_are_removed(repository: Repository) -> None:
    """When another one is fetched, a week later."""
    old = git_sources.checkout(GitRepository(repository.url, commit=repository.push(1)))
    os.utime(old, (0, 0))
    git_sources.checkout(GitRepository(repository.url, commit=repository.push(2)))
    assert not old.exists()


def test_what_cannot_be_fetched_is_told_as_git_tells_it(repository: Repository, folder: Path) -> None:
    """Without a password that is in the address."""
    repository.push(1)
    with pytest.raises(exceptions.SourceUnavailable, match="no branch or tag 'none'"):
        flow.from_source(f"{repository.url}@none", "flows/answers.py:answer")
    with pytest.raises(exceptions.SourceUnavailable, match=r"git ls-remote says: .*does not"):
        flow.from_source(f"{folder}/none.git", "flows/answers.py:answer")
    with pytest.raises(exceptions.SourceUnavailable) as caught:
        flow.from_source("http://me:secret@127.0.0.1:1/code.git", "flows/answers.py:answer")
    assert "secret" not in str(caught.value)
    with pytest.raises(exceptions.MissingFlowError, match="There is no file"):
        flow.from_source(repository.url, "flows/none.py:answer")


def test_a_repository_is_given_in_a_way_that_means_one_thing() -> None:
    """A branch or a commit, and that in full."""
    for given in ({"branch": "main", "commit": "a" * 40}, {"commit": "abc123"}):
        with pytest.raises(ValueError, match="commit"):
            GitRepository("https://host/code.git", **given)
    assert git_sources.source_of("git@host:team/code.git") == GitRepository("git@host:team/code.git")
    assert git_sources.source_of("git@host:team/code.git@v1") == GitRepository("git@host:team/code.git", "v1")
    assert git_sources.source_of("https://me@host/code") == GitRepository("https://me@host/code")
    assert git_sources.source_of("https://me@host/code@v1") == GitRepository("https://me@host/code", "v1")
