"""The index for a commit: as it stands, or none; it is never updated while git waits.

A new work tree has none of its own yet. Then that of another work tree of the repository does:
an index only names candidates, which the rules look at in what is being committed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codebuddy.errors import IndexingError
from codebuddy.hook.lookup import IndexLookup
from codebuddy.settings import Settings
from codebuddy.vcs.repository import Repository

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex


@dataclass(frozen=True, slots=True)
class IndexState:
    """Which index a commit is reviewed with.

    `state` is `own`, `shared` (that of the work tree `shared_from`) or `none`; `message` says it
    in a sentence, with the remedy where there is one.
    """

    state: str
    message: str
    shared_from: Path | None = None


@contextmanager
def index_lookup(repository: Repository, settings: Settings) -> Iterator[IndexLookup | None]:
    """The index as a lookup, or `None` where there is none that can be used."""
    found = _opened(repository, settings)
    if isinstance(found, IndexingError):
        yield None
        return
    with found[0] as index:
        yield IndexLookup(index)


def index_state(repository: Repository, settings: Settings) -> IndexState:
    """Which index the next commit is reviewed with."""
    found = _opened(repository, settings)
    if isinstance(found, IndexingError):
        return _none(found)
    index, shared_from = found
    try:
        with index:
            n_files = index.count_files()
    except IndexingError as error:
        return _none(error)
    if shared_from is None:
        return IndexState("own", f"of this work tree, {n_files} files")
    message = (
        f"that of {shared_from}, since this work tree has none yet;"
        " 'codebuddy index' makes one of it in a moment"
    )
    return IndexState("shared", message, shared_from)


def _none(error: IndexingError) -> IndexState:
    remedy = f" ({error.hint})" if error.hint else ""
    message = f"none: {error.message}, and most rules find nothing without one{remedy}"
    return IndexState("none", message)


def _opened(
    repository: Repository, settings: Settings
) -> tuple[RepositoryIndex, Path | None] | IndexingError:
    """The index to use, and the other work tree that it is of; or why there is none."""
    from codebuddy.index.search import RepositoryIndex

    try:
        return RepositoryIndex.open(repository, settings), None
    except IndexingError as error:
        own_error = error
    from codebuddy.index.seeding import can_be_seeded, work_trees_with_index

    if can_be_seeded(repository):
        for other in work_trees_with_index(repository):
            elsewhere = dataclasses.replace(repository, index_folder=other.index_folder)
            try:
                return RepositoryIndex.open(elsewhere, settings), other.root
            except IndexingError:
                continue
    return own_error
