"""The index for a commit: as it stands, or none; it is never updated while git waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from codebuddy.errors import IndexingError
from codebuddy.hook.lookup import CodeLookup, IndexLookup
from codebuddy.settings import Settings
from codebuddy.vcs.repository import Repository


@contextmanager
def index_lookup(repository: Repository, settings: Settings) -> Iterator[CodeLookup | None]:
    """The index as a lookup, or `None` where there is none that can be used."""
    from codebuddy.index.search import RepositoryIndex

    try:
        index = RepositoryIndex.open(repository, settings)
    except IndexingError:
        yield None
        return
    with index:
        yield IndexLookup(index)
