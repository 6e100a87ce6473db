"""What the rules ask of the repository's index: where words stand, what is like what.

The index may be older than the commit. It only names candidates; every rule looks at the
candidate as it is in the state being committed before it says a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from codebuddy.datatypes import Chunk, Definition

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex

# A name in more files is too common for a commit hook.
MAX_FILES_OF_A_NAME = 200


class IndexLookup:
    """A repository's index, as the rules see it."""

    def __init__(self, index: RepositoryIndex) -> None:
        self._index = index
        self._files: dict[str, list[str]] = {}

    def files_with(self, word: str) -> list[str]:
        """Paths of indexed files that hold the word in any case, at most 200."""
        lowered = word.lower()
        if lowered not in self._files:
            results = self._index.lexical([lowered], MAX_FILES_OF_A_NAME, max_per_file=1)
            self._files[lowered] = [each.chunk.path for each in results]
        return self._files[lowered]

    def definitions(self, name: str) -> list[Definition]:
        """Where `name` is defined, at most 16 places."""
        return self._index.definitions([name], per_name=16).get(name, [])

    def similar(self, terms: Sequence[str], top_k: int) -> list[Chunk]:
        """The chunks that BM25 ranks highest for `terms`."""
        return [each.chunk for each in self._index.lexical(terms, top_k)]
