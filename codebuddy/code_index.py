"""Interface between completion and index: what the pipeline may ask of a repository's index."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from codebuddy.datatypes import Chunk, Definition, ResolvedDefinition, SearchResult

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class DeprecatedCode:
    """What a repository marks as deprecated, where the index knows what to use instead.

    `replacements` are by path and qualified name of what is deprecated; `names` are the deprecated
    names that mean one thing in the whole index.
    """

    replacements: Mapping[tuple[str, str], Definition] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def replacement_of(self, definition: Definition) -> Definition | None:
        """What to use instead of a definition; `None` if it is not deprecated."""
        return self.replacements.get((definition.path, definition.qualified))

    def is_in(self, text: str) -> bool:
        """Whether a text holds a name of what is deprecated."""
        # Substrings first: they are found a hundred times as fast as words.
        held = [name for name in self.names if name in text]
        return bool(held) and not set(_WORD.findall(text)).isdisjoint(held)


class CodeIndex(Protocol):
    """What completion asks of a repository's index."""

    def lexical(
        self,
        terms: Sequence[str],
        top_k: int,
        exclude: Callable[[Chunk], bool] | None = None,
    ) -> list[SearchResult]:
        """The best chunks by BM25."""
        ...

    def definitions(self, names: Sequence[str], per_name: int = 3) -> dict[str, list[Definition]]:
        """Where names are defined."""
        ...

    def definitions_for(
        self,
        names: Sequence[str],
        path: str,
        imports: Sequence[str] | None = None,
        per_name: int = 3,
    ) -> dict[str, list[ResolvedDefinition]]:
        """What `names` may mean in the file `path`, the likeliest first, from other files."""
        ...

    def definitions_of(self, path: str) -> list[Definition]:
        """The definitions of a file in their order."""
        ...

    def chunks_of(self, path: str) -> list[Chunk]:
        """The chunks of a file in their order, which cover each of its bytes once."""
        ...

    def imports(self, path: str) -> tuple[str, ...]:
        """What a file imports, in the index's words; nothing if it is not indexed."""
        ...

    def imported_files(
        self, path: str, names: Sequence[str] = (), imports: Sequence[str] | None = None
    ) -> list[str]:
        """The files that a file imports."""
        ...

    def with_reexports(self, paths: Sequence[str]) -> list[str]:
        """`paths`, and the files whose definitions those pass on."""
        ...

    def sibling_files(self, path: str) -> list[str]:
        """The other files of the folder, of the same family of languages."""
        ...

    def usage_counts(self, names: Sequence[str]) -> dict[str, int]:
        """In how many chunks each name stands."""
        ...

    def definition_counts(self, names: Sequence[str], outside_path: str) -> dict[str, int]:
        """In how many files other than `outside_path` each name is defined."""
        ...

    def chunks(self, ids: Sequence[int]) -> list[Chunk]:
        """Chunks by id; ids that are gone are left out."""
        ...

    def deprecated_code(self) -> DeprecatedCode:
        """What lookups leave out for its replacement."""
        ...
