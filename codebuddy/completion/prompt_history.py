"""The retrieved chunks of each file's last prompt, so that the next prompt shares its prefix.

Chunks precede the file in a prompt: another chunk, or another order, invalidates the KV cache of
everything after it, which costs ten seconds while typing allows a tenth. A slightly better ranking
is not worth that. Pure; no index, no model.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

from codebuddy.datatypes import Chunk, PackedChunk, SearchResult
from codebuddy.index.file_lines import has_own_lines

_MAX_FILES = 64
# Prompts that a KV cache of the usual size (`model.n_ctx`) may still hold.
_MAX_WARM = 3
# A cursor further from its prompt's than this asks for another window of the file.
_NEAR_LINES = 16

PromptKind = Literal["chunks", "file"]


class PromptHistory:
    """The chunks of each file's last prompt; least recently used files are evicted."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[SearchResult, ...]] = OrderedDict()
        self._warm: OrderedDict[tuple[str, PromptKind], int] = OrderedDict()

    def stable_chunk_order(self, path: str, found: Sequence[SearchResult]) -> list[SearchResult]:
        """The results for the prompt of `path`, in stable order."""
        return stable_chunk_order(self._held.get(path, ()), found)

    def is_warm(self, path: str, kind: PromptKind, line: int) -> bool:
        """Whether a cache may still hold a prompt for about this line of `path`.

        Args:
            path: The file.
            kind: The prompt with chunks, or that of the file alone.
            line: Where the cursor is.
        """
        at = self._warm.get((path, kind))
        return at is not None and abs(at - line) <= _NEAR_LINES

    def record(self, path: str, packed: Sequence[PackedChunk], line: int) -> None:
        """Take note of what the prompt for a line of `path` holds.

        One without chunks leaves those of the last one that had some as they were.
        """
        kind: PromptKind = "chunks" if packed else "file"
        self._warm[path, kind] = line
        self._warm.move_to_end((path, kind))
        if len(self._warm) > _MAX_WARM:
            self._warm.popitem(last=False)
        if not packed:
            return
        self._held[path] = tuple(chunk.result for chunk in packed)
        self._held.move_to_end(path)
        if len(self._held) > _MAX_FILES:
            self._held.popitem(last=False)


def stable_chunk_order(
    held: Sequence[SearchResult], found: Sequence[SearchResult]
) -> list[SearchResult]:
    """The results that a prompt should hold, given what the last one held.

    Args:
        held: The chunks of the last prompt, in their order there.
        found: The new ranking, best first.

    Returns:
        The held chunks alone, in their old order, while all of them are still found, unchanged,
        and the best new one is among them. Otherwise the new ranking, with those of its top
        `len(held)` that were held moved to the front in their old order, so that at least the
        beginning stays. A held chunk is also found where a result shows half of its lines: the
        window of a file moves with the cursor, and the prompt need not follow at once.
    """
    places = [_place_of(each, found) for each in held]
    kept = {
        place: _as_held(found[place], each)
        for place, each in zip(places, held, strict=True)
        if place is not None
    }
    if 0 in kept and len(kept) == len(held):
        return list(kept.values())
    stays = {place: each for place, each in kept.items() if place < len(held)}
    return [*stays.values(), *(each for place, each in enumerate(found) if place not in stays)]


def _place_of(held: SearchResult, found: Sequence[SearchResult]) -> int | None:
    """Where among `found` the held chunk is; None where it is not."""
    # Not by id: an index that is brought up to date may number its chunks anew.
    for place, result in enumerate(found):
        if result.chunk.path == held.chunk.path and _shows(result.chunk, held.chunk):
            return place
    return None


def _as_held(found: SearchResult, held: SearchResult) -> SearchResult:
    """The held lines with the new score; the new chunk where it has the same text."""
    # Code above it may have moved it.
    if found.chunk.text == held.chunk.text:
        return found
    return dataclasses.replace(found, chunk=held.chunk)


def _shows(found: Chunk, held: Chunk) -> bool:
    """Whether the texts are the same, or share half of the shorter one's lines unchanged."""
    if found.text == held.text:
        return True
    first, second = _numbered(found), _numbered(held)
    shared = first.keys() & second.keys()
    is_half = 2 * len(shared) >= min(len(first), len(second)) > 0
    return is_half and all(first[number] == second[number] for number in shared)


def _numbered(chunk: Chunk) -> dict[int, str]:
    """The lines of a chunk by number; none where its text is not the lines that it names."""
    if not has_own_lines(chunk):
        return {}
    return dict(enumerate(chunk.text.removesuffix("\n").split("\n"), chunk.start_line))
