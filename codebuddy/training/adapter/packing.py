"""Holes of one stretch of a file, packed so that what their prompts share is read once.

The prompts of neighbouring holes begin alike: the same chunks, the same file up to the first of
them. That beginning is the trunk; a branch is what one hole's prompt has besides. Trunk and
branches lie in one row of tokens, and a mask lets each branch see its own part of the trunk and
itself alone, so that keys and values are those of separate prompts (tree attention, as in
SpecInfer, arXiv 2305.09781). Positions are those that the tokens have in their own prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Branch:
    """A hole: what it adds to the trunk's first `shared` tokens, and what belongs into it.

    `prompt` ends with the token that the adapter acts from: the one that asks for the middle, or
    the last one of a model that only continues texts. `middle` is the text without the token
    that ends it.
    `ending` is what that token holds of the text before its line break; `None` where the text
    ends inside a line, so that only an end token ends it.
    """

    kind: str
    start_byte: int
    end_byte: int
    shared: int
    prompt: Sequence[int]
    middle: Sequence[int]
    ending: str | None


@dataclass(frozen=True, slots=True)
class SampleGroup:
    """Holes of one stretch of a file: `trunk` are the tokens that their prompts begin with."""

    path: str
    language: str
    trunk: Sequence[int]
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class PackedRow:
    """Token ids and positions `[n]`, and what each may see: `mask` `[n, seen]` of booleans.

    `spans` are the first and the last token, exclusive, of each branch.
    """

    tokens: Any
    positions: Any
    mask: Any
    spans: tuple[tuple[int, int], ...]


def pack_prompts(group: SampleGroup) -> PackedRow:
    """Trunk and branches without their last tokens; each token sees `n` of them at most."""
    length = len(group.trunk)
    parts = [(np.asarray(each.prompt[:-1], np.int64), each.shared) for each in group.branches]
    spans = _spans(parts, length)
    size = spans[-1][1]
    mask = np.zeros((size, size), np.bool_)
    mask[:length, :length] = _causal(length)
    for (start, end), (_, shared) in zip(spans, parts, strict=True):
        mask[start:end, :shared] = True
        mask[start:end, start:end] = _causal(end - start)
    tokens = np.concatenate([np.asarray(group.trunk, np.int64), *(part for part, _ in parts)])
    positions = [np.arange(length), *(shared + np.arange(len(part)) for part, shared in parts)]
    return PackedRow(tokens, np.concatenate(positions), mask, spans)


def pack_middles(group: SampleGroup, prompts: PackedRow) -> PackedRow:
    """The last token and the middle of each branch, behind the prompts of `pack_prompts`."""
    parts = [
        (
            np.asarray([each.prompt[-1], *each.middle], np.int64),
            each.shared + len(each.prompt) - 1,
        )
        for each in group.branches
    ]
    spans = _spans(parts, 0)
    before, size = len(prompts.tokens), spans[-1][1]
    mask = np.zeros((size, before + size), np.bool_)
    for (start, end), read, branch in zip(spans, prompts.spans, group.branches, strict=True):
        mask[start:end, : branch.shared] = True
        mask[start:end, read[0] : read[1]] = True
        mask[start:end, before + start : before + end] = _causal(end - start)
    tokens = np.concatenate([part for part, _ in parts])
    positions = np.concatenate([start + np.arange(len(part)) for part, start in parts])
    return PackedRow(tokens, positions, mask, spans)


def _spans(parts: Sequence[tuple[Any, int]], start: int) -> tuple[tuple[int, int], ...]:
    ends = start + np.cumsum([len(part) for part, _ in parts])
    return tuple(zip((start, *map(int, ends[:-1])), map(int, ends), strict=True))


def _causal(length: int) -> Any:
    return np.tril(np.ones((length, length), np.bool_))
