"""From a repository and a scope (staged, a range, everything) to the outcome of a review."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from codebuddy.errors import RepositoryError, UsageError
from codebuddy.hook.catalog import LintRule
from codebuddy.hook.lookup import IndexLookup
from codebuddy.hook.review import Review
from codebuddy.hook.state import MAX_READ_CHANGES, State
from codebuddy.settings import Settings
from codebuddy.vcs import plumbing
from codebuddy.vcs.plumbing import ObjectReader, RawChange, Revision
from codebuddy.vcs.repository import Repository

UNLIMITED = 1_000_000


@dataclass(frozen=True, slots=True)
class Scope:
    """What is reviewed: the difference between the tree or commit `old` and the state `new`."""

    old: str
    new: Revision
    max_read: int = MAX_READ_CHANGES


def staged(
    repository: Repository, index_file: Path | None, max_read: int = MAX_READ_CHANGES
) -> Scope:
    """What the next commit would change; at most `max_read` files are read.

    Raises:
        RepositoryError: The commit that is checked out cannot be read.
    """
    old = plumbing.head_commit(repository) or plumbing.empty_tree(repository)
    return Scope(old, Revision(index_file=index_file), max_read)


def everything(repository: Repository, index_file: Path | None) -> Scope:
    """Every staged file, as if all of it were new."""
    return Scope(plumbing.empty_tree(repository), Revision(index_file=index_file), UNLIMITED)


def commit_range(repository: Repository, text: str) -> Scope:
    """What `A..B` changes from A to B, `A...B` since their common ancestor; B may be left out.

    Raises:
        UsageError: It is no range.
        RepositoryError: A side is no commit, or they have no known common ancestor.
    """
    separator = "..." if "..." in text else ".."
    old, found, new = text.partition(separator)
    if not found or not old:
        raise UsageError(f"{text} is not a range of commits", hint="write it as main..HEAD")
    first = plumbing.commit_named(repository, old)
    last = plumbing.commit_named(repository, new or "HEAD")
    if separator == "...":
        try:
            first = plumbing.merge_base(repository, first, last)
        except RepositoryError as error:
            raise RepositoryError(
                f"{text} cannot be reviewed: {error.message}", error.hint
            ) from error
    return Scope(first, Revision(last), UNLIMITED)


@contextmanager
def opened(
    repository: Repository,
    settings: Settings,
    scope: Scope,
    lookup: IndexLookup | None,
    *,
    deadline: float = float("inf"),
) -> Iterator[Review]:
    """The review of `scope`, ready for the rules; git is ended afterwards.

    Args:
        repository: Whose change.
        settings: `hook` and `index.max_file_bytes` count.
        scope: What to review.
        lookup: The index, if there is one.
        deadline: On the clock of `time.monotonic`.

    Raises:
        RepositoryError: git failed.
    """
    changes: Iterable[RawChange] = plumbing.changes_between(repository, scope.old, scope.new)
    with ObjectReader(repository, scope.new.index_file) as reader:
        state = State(
            reader,
            scope.new,
            changes,
            lambda: plumbing.paths_of(repository, scope.new),
            settings.index.max_file_bytes,
            max_read=scope.max_read,
        )
        yield Review(
            state,
            settings.hook,
            lookup=lookup,
            deadline=deadline,
        )


def without_model(rules: Iterable[LintRule]) -> list[LintRule]:
    """The rules that need no model."""
    return [rule for rule in rules if not rule.needs_model]
