"""Deprecated code of an index, and what its marks name as replacements.

Lookups ask it, so that nobody is shown how to call what the repository wants no more. Only what
has a replacement that the index knows counts: of the rest nothing better could be said. It reads
inside the caller's snapshot.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from codebuddy.code_index import DeprecatedCode
from codebuddy.datatypes import Chunk, Definition
from codebuddy.index.channels import Channels
from codebuddy.index.deprecation import TERMS, deprecation_mark, may_mark, replacement_named_in
from codebuddy.index.file_lines import has_own_lines
from codebuddy.index.store import Store
from codebuddy.index.terms import normalized_name, terms
from codebuddy.syntax.spec import VALUE_KINDS

_Key = tuple[str, str]

# Chunks that hold a word of a mark: the first ones. And names that texts are searched for.
_MAX_MARKED, _MAX_NAMES = 2000, 200
# A shorter name says too little in other files.
_LEAST_NAME = 4
# A name that more definitions bear says nothing of which one is meant.
_MAX_NAMED = 64
_MAX_HOPS = 4
# Of one statement.
_MAX_MARKS = 500


@dataclass(frozen=True, slots=True)
class _Mark:
    """A deprecated definition, and the name that its mark says to use instead."""

    definition: Definition
    name: str


class DeprecationReader:
    """Reads what is deprecated, state by state; what has not changed is not read again."""

    def __init__(self) -> None:
        # By chunk that holds a word of a mark: its checksum, and what it marks.
        self._marks: dict[int, tuple[int, tuple[_Mark, ...]]] = {}
        # What a mark was found to mean, with the checksum of that chunk.
        self._meant: dict[_Mark, tuple[int, Definition]] = {}
        self._read: tuple[Channels, DeprecatedCode] | None = None

    def read(self, store: Store, channels: Channels) -> DeprecatedCode:
        """What the index marks as deprecated and knows a replacement of.

        Args:
            store: The index.
            channels: Over its present state, another object for each state.
        """
        if self._read is None or self._read[0] is not channels:
            self._read = channels, self._code(store, channels)
        return self._read[1]

    def _code(self, store: Store, channels: Channels) -> DeprecatedCode:
        lexical = channels.lexical
        ids = sorted({each for term in TERMS for each in lexical.chunks_with(term)})[:_MAX_MARKED]
        checksums = _checksums(store, ids)
        marks = {
            chunk_id: kept
            for chunk_id in ids
            if (kept := self._marks.get(chunk_id)) and kept[0] == checksums.get(chunk_id)
        }
        new = [each for each in ids if each not in marks]
        known: dict[str, list[Definition]] = {}
        for chunk in store.chunks(new, may_miss=True):
            marks[chunk.id] = checksums[chunk.id], tuple(_marks_of(chunk, store, known))
        self._marks = marks
        found = self._replacements([m for _, each in marks.values() for m in each], store, channels)
        names = sorted({name for _, name in found if len(name.split(".")[-1]) >= _LEAST_NAME})
        return DeprecatedCode(found, tuple(_alone(names, store))[:_MAX_NAMES])

    def _replacements(
        self, marks: list[_Mark], store: Store, channels: Channels
    ) -> dict[_Key, Definition]:
        """By path and qualified name what to use instead, at the end of each chain."""
        self._meant = {mark: self._meant[mark] for mark in marks if mark in self._meant}
        there = _checksums(store, [each.chunk_id for _, each in self._meant.values()])
        for mark in marks:
            kept = self._meant.get(mark)
            if kept is not None and there.get(kept[1].chunk_id) == kept[0]:
                continue
            self._meant.pop(mark, None)
            meant = _definition_meant(mark, store, channels)
            if meant is not None:
                sums = _checksums(store, [meant.chunk_id])
                self._meant[mark] = sums.get(meant.chunk_id, -1), meant
        direct = {_key(mark.definition): meant for mark, (_, meant) in self._meant.items()}
        ends = {key: _end_of_chain(key, direct) for key in direct}
        return {key: end for key, end in ends.items() if end is not None}


def _marks_of(chunk: Chunk, store: Store, known: dict[str, list[Definition]]) -> Iterator[_Mark]:
    """What a chunk marks and names a replacement of; `known` holds definitions by path."""
    if not may_mark(chunk.text) or not has_own_lines(chunk):
        return
    if chunk.path not in known:
        stored = store.file_of(os.fsencode(chunk.path))
        known[chunk.path] = store.definitions_of(stored) if stored else []
    lines = chunk.text.replace("\r\n", "\n").split("\n")
    # Of overloads, one of which is marked, the others are as they should be.
    counts = Counter(each.qualified for each in known[chunk.path])
    for each in known[chunk.path]:
        if each.chunk_id == chunk.id and counts[each.qualified] == 1:
            mark = deprecation_mark(lines, each, chunk.language, chunk.start_line)
            name = replacement_named_in(mark, each.name) if mark else ""
            if name:
                yield _Mark(each, name)


def _definition_meant(mark: _Mark, store: Store, channels: Channels) -> Definition | None:
    """The definition that a mark names: beside what it marks, in its file, or elsewhere."""
    parts = mark.name.split(".")
    key = normalized_name(parts[-1])
    named = store.definitions_named(parts[-1], key, _MAX_NAMED + 1)
    if len(named) > _MAX_NAMED:
        return None
    known = [
        each
        for each in named
        if each.kind not in VALUE_KINDS and _key(each) != _key(mark.definition)
    ]
    path, scope = mark.definition.path, mark.definition.qualified.rpartition(".")[0]
    whole = f".{'.'.join(parts[-2:])}"
    dotted = [e for e in known if f".{e.qualified}".endswith(whole)] if len(parts) > 1 else []
    inside = [each for each in known if each.path == path]
    beside = [each for each in inside if each.qualified.rpartition(".")[0] == scope]
    for found in (dotted, beside, inside, known):
        if len({_key(each) for each in found}) == 1:
            return found[0]
    if not known:
        return None
    finder = channels.finder(path, None, [parts[-1]])
    led_to = [each.definition for each in finder.find(parts[-1], 4) if each.via != "name"]
    return next((each for each in led_to if each in known), None)


def _end_of_chain(key: _Key, direct: Mapping[_Key, Definition]) -> Definition | None:
    """The end of a chain of replacements; `None` where it leads back or too far."""
    seen = {key}
    for _ in range(_MAX_HOPS):
        replacement = direct[key]
        key = _key(replacement)
        if key in seen:
            return None
        if key not in direct:
            return replacement
        seen.add(key)
    return None


def _alone(qualified: list[str], store: Store) -> Iterator[str]:
    """The names that mean one thing in the index.

    One of a single word (`items`, `read`) is what locals and methods of others are called, too.
    """
    for name in dict.fromkeys(each.rpartition(".")[2] for each in qualified):
        # A name of several words is followed by them.
        if len(terms(name)) == 1:
            continue
        is_alone = len(store.definitions_named(name, normalized_name(name), 2)) == 1
        if is_alone and not name.startswith("_"):
            yield name


def _key(definition: Definition) -> _Key:
    return definition.path, definition.qualified


def _checksums(store: Store, ids: Sequence[int]) -> dict[int, int]:
    """The checksum of each chunk that is there, as its row says it."""
    found: dict[int, int] = {}
    for start in range(0, len(ids), _MAX_MARKS):
        some = ids[start : start + _MAX_MARKS]
        marks = ", ".join("?" * len(some))
        rows = store.connection.execute(
            f"SELECT id, crc FROM chunks WHERE id IN ({marks})",  # noqa: S608
            some,
        )
        found.update(rows.fetchall())
    return found
