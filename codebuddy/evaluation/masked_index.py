"""An index as it would be without one hole: nothing that it answers shows what was cut out.

Rankings leave out the chunks that overlap the hole, because their scores rest on the hidden
text, and those of files that are the same byte for byte; asked for by id or file, a chunk that
overlaps comes with its text cut, and definitions of such files do not exist. Definitions and uses
inside the hole do not exist, and what lies behind it in its file moves up, as it does in the
document. All of it in memory: the index itself is not touched.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from codebuddy.code_index import CodeIndex
from codebuddy.datatypes import Chunk, Definition, ResolvedDefinition, SearchResult
from codebuddy.evaluation.holes import Hole
from codebuddy.index.analysis import analyze
from codebuddy.index.terms import terms

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex

# What `_masked` answers for a thing that the hole hides.
_HIDDEN = object()


def mask(index: RepositoryIndex, hole: Hole) -> CodeIndex:
    """`index` without `hole`, for as long as the index is open."""
    masked = _MaskedIndex(index, hole)
    masked.prepare()
    # Methods that the protocol gains later are masked too, by what they answer.
    return cast("CodeIndex", masked)


class _MaskedIndex:
    """Answers every method of the index it wraps, with the hole's text taken out."""

    def __init__(self, index: RepositoryIndex, hole: Hole) -> None:
        self._index = index
        self._mask = _Mask(hole, frozenset(index.copies_of(hole.path)))

    def prepare(self) -> None:
        """Do the work of masking now, so that no completion's time pays for it."""
        _ = self._own_imports, self._hidden_uses

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._index, name)
        if not callable(found):
            return found

        def ask(*arguments: Any, **named: Any) -> Any:
            shown = [self._guarded(each) for each in arguments]
            answer = found(*shown, **{key: self._guarded(each) for key, each in named.items()})
            return self._mask.applied(answer)

        return ask

    def lexical(
        self,
        terms: Sequence[str],
        top_k: int = 10,
        exclude: Callable[[Chunk], bool] | None = None,
        **more: Any,
    ) -> list[SearchResult]:
        """As the index's own; a chunk that is left out makes room for another."""
        guarded = self._guarded(exclude or (lambda _chunk: False))
        found: list[SearchResult] = self._mask.applied(
            cast("Any", self._index).lexical(terms, top_k, guarded, **more)
        )
        return found

    def definition_counts(self, names: Sequence[str], outside_path: str) -> dict[str, int]:
        """As the index's own, where the hole's file may define a name no more."""
        counts = self._index.definition_counts(names, outside_path)
        if outside_path == self._mask.hole.path:
            return counts
        before = {each.name for each in self._index.definitions_of(self._mask.hole.path)}
        after = {each.name for each in self.definitions_of(self._mask.hole.path)}
        return {name: count - (name in before - after) for name, count in counts.items()}

    def definitions_of(self, path: str) -> list[Definition]:
        """As the index's own, without what the hole defines."""
        found: list[Definition] = self._mask.applied(self._index.definitions_of(path))
        return found

    def imports(self, path: str) -> tuple[str, ...]:
        """As the index's own, without what the hole imports."""
        return self._own_imports if path == self._mask.hole.path else self._index.imports(path)

    def definitions_for(
        self,
        names: Sequence[str],
        path: str,
        imports: Sequence[str] | None = None,
        per_name: int = 3,
    ) -> Any:
        """As the index's own, led by what the document imports."""
        given = self.imports(path) if imports is None else imports
        return self._mask.applied(
            cast("Any", self._index).definitions_for(names, path, given, per_name)
        )

    def imported_files(
        self, path: str, names: Sequence[str] = (), imports: Sequence[str] | None = None
    ) -> Any:
        """As the index's own, led by what the document imports."""
        given = self.imports(path) if imports is None else imports
        return cast("Any", self._index).imported_files(path, names, given)

    def usage_counts(self, names: Sequence[str]) -> dict[str, int]:
        """As the index's own, less the chunks where a name stands in the hole alone."""
        counts = self._index.usage_counts(names)
        return {name: n - self._hidden_uses[name.lower()] for name, n in counts.items()}

    @cached_property
    def _own_imports(self) -> tuple[str, ...]:
        hole = self._mask.hole
        return analyze(hole.path, hole.document.encode()).imports

    @cached_property
    def _hidden_uses(self) -> Counter[str]:
        """In how many chunks each term is there no more."""
        gone: Counter[str] = Counter()
        for chunk in self._index.chunks_of(self._mask.hole.path):
            if self._mask.overlaps(chunk):
                gone.update(set(terms(chunk.text)) - set(terms(self._mask.applied(chunk).text)))
        return gone

    def _guarded(self, argument: Any) -> Any:
        """A filter that is never shown a chunk of the hole, and any other argument as it is."""
        if not callable(argument):
            return argument

        def guarded(chunk: Chunk) -> bool:
            return self._mask.hides_chunk(chunk) or bool(argument(self._mask.applied(chunk)))

        return guarded


class _Mask:
    """Takes a hole out of values that an index answers."""

    def __init__(self, hole: Hole, copies: frozenset[str]) -> None:
        self.hole = hole
        self._copies = copies
        self._start_line = hole.position.line
        self._end_line = hole.end_line
        self._n_bytes = hole.end_byte - hole.start_byte
        self._n_lines = self._end_line - self._start_line
        lines = hole.document.split("\n")
        self._rest_of_line = lines[self._start_line - 1]

    def overlaps(self, chunk: Chunk) -> bool:
        """Whether a part of the hole lies in the chunk."""
        return (
            chunk.path == self.hole.path
            and chunk.start_byte < self.hole.end_byte
            and chunk.end_byte > self.hole.start_byte
        )

    def hides_chunk(self, chunk: Chunk) -> bool:
        """Whether no ranking may show the chunk: it overlaps the hole, or lies in a copy."""
        return chunk.path in self._copies or self.overlaps(chunk)

    def applied(self, value: Any) -> Any:
        """`value` without the hole; rankings and lists lose what it hides."""
        if isinstance(value, Chunk):
            return self._chunk(value)
        if isinstance(value, SearchResult):
            if self.hides_chunk(value.chunk):
                return _HIDDEN
            return dataclasses.replace(value, chunk=self._chunk(value.chunk))
        if isinstance(value, Definition):
            return self._definition(value)
        if isinstance(value, ResolvedDefinition):
            definition = self._definition(value.definition)
            if definition is _HIDDEN:
                return _HIDDEN
            return dataclasses.replace(value, definition=definition)
        if isinstance(value, list | tuple):
            kept = [each for each in (self.applied(each) for each in value) if each is not _HIDDEN]
            return kept if isinstance(value, list) else tuple(kept)
        if isinstance(value, dict):
            masked = {key: self.applied(each) for key, each in value.items()}
            # A name is known only as long as something is left that defines it.
            return {key: each for key, each in masked.items() if each or not value[key]}
        return value

    def _chunk(self, chunk: Chunk) -> Chunk:
        if chunk.path != self.hole.path:
            return chunk
        text = chunk.text
        if self.overlaps(chunk):
            source = text.encode("utf-8", "replace")
            before = source[: max(0, self.hole.start_byte - chunk.start_byte)]
            after = source[max(0, self.hole.end_byte - chunk.start_byte) :]
            text = (before + after).decode("utf-8", "replace")
        return dataclasses.replace(
            chunk,
            text=text,
            start_byte=self._byte(chunk.start_byte),
            end_byte=self._byte(chunk.end_byte),
            start_line=self._line(chunk.start_line),
            end_line=max(self._line(chunk.start_line), self._line(chunk.end_line)),
            signature=self._signature(chunk),
        )

    def _signature(self, chunk: Chunk) -> str:
        """The header, unless it is the very line that was cut."""
        if self.overlaps(chunk) and not self._is_outside(chunk.symbol.rpartition(".")[2]):
            return ""
        return chunk.signature

    def _is_outside(self, name: str) -> bool:
        """Whether `name` stands somewhere in the document that is left."""
        return re.search(rf"\b{re.escape(name)}\b", self.hole.document) is not None

    def _definition(self, definition: Definition) -> Any:
        if definition.path != self.hole.path:
            return _HIDDEN if definition.path in self._copies else definition
        if self._hides(definition.name, definition.line):
            return _HIDDEN
        signature = definition.signature
        is_header_cut = self._start_line <= definition.line <= self._end_line
        return dataclasses.replace(
            definition,
            line=self._line(definition.line),
            end_line=self._line(definition.end_line),
            signature=self._rest_of_line.strip() if is_header_cut else signature,
        )

    def _hides(self, name: str, line: int) -> bool:
        """Whether the name on this line of the whole file is gone with the hole."""
        if not self._start_line <= line <= self._end_line:
            return False
        is_on_edge = line in (self._start_line, self._end_line)
        pattern = rf"(?<!\w){re.escape(name)}(?!\w)"
        return not (is_on_edge and re.search(pattern, self._rest_of_line))

    def _byte(self, byte: int) -> int:
        if byte <= self.hole.start_byte:
            return byte
        return max(self.hole.start_byte, byte - self._n_bytes)

    def _line(self, line: int) -> int:
        if line <= self._start_line:
            return line
        return max(self._start_line, line - self._n_lines)
