"""Where a file is cut into chunks: whole definitions where they fit, statements elsewhere.

Every byte belongs to exactly one chunk. Borders are line borders, except in lines longer
than a chunk. It knows the tree's shape and where definitions lie, not what they mean.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from codebuddy.syntax.limits import OutOfTimeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from codebuddy.syntax.grammar import Grammar, Node, Tree

# The size that small neighbours grow to, and that windows have where there is no syntax:
# about 400 tokens, so that two or three fit a completion's 1,024 tokens of context.
IDEAL_BYTES = 1500
# What stays whole. Of the functions in Python's library 97% are smaller.
MAX_BYTES = 3000
# A definition of this size is a chunk by itself; smaller ones join their neighbours.
ALONE_BYTES = 250
# What is left over by the rules and smaller than this joins the chunk before or after it.
SMALL_BYTES = 120


@dataclass(frozen=True, slots=True)
class Cut:
    """A chunk's byte range, and whether it holds nothing but imports or comments."""

    start_byte: int
    end_byte: int
    kind: str = ""


@dataclass(slots=True)
class _Piece:
    """What a chunk is made of: it begins at a line border and ends where the next begins."""

    start: int
    node_end: int
    depth: int
    is_alone: bool
    is_attached: bool
    is_closer: bool
    kind: str
    end: int = 0


def cut_by_lines(source: bytes, start: int = 0, end: int | None = None) -> list[Cut]:
    """Windows of whole lines of about `IDEAL_BYTES`; longer lines are cut between characters."""
    end = len(source) if end is None else end
    cuts: list[Cut] = []
    while start < end:
        stop = min(start + IDEAL_BYTES, end)
        if stop < end:
            newline = source.rfind(b"\n", start, stop)
            if newline < 0:
                newline = source.find(b"\n", stop, min(start + MAX_BYTES, end))
            stop = newline + 1 if newline >= 0 else min(start + MAX_BYTES, end)
            if newline < 0 and stop < end:
                stop = _character_border(source, stop)
        if end - stop < SMALL_BYTES and end - start <= MAX_BYTES:
            stop = end
        cuts.append(Cut(start, stop))
        start = stop
    return cuts


def cut_by_syntax(
    tree: Tree,
    source: bytes,
    grammar: Grammar,
    extents: Sequence[tuple[int, int]],
    deadline: float = float("inf"),
) -> list[Cut]:
    """Chunks along the tree.

    Args:
        tree: The tree of `source`.
        source: The bytes that were parsed.
        grammar: The language's grammar.
        extents: The byte ranges of the definitions that may stand alone, in order of start.
        deadline: When to give up, on the clock of `time.monotonic`.

    Raises:
        OutOfTimeError: The deadline came first.
    """
    if not source:
        return []
    pieces = _pieces(tree.root_node, source, grammar, extents, deadline)
    if not pieces:
        return cut_by_lines(source)
    _close(pieces, len(source))
    return within_limit(_merge_small(_merge(_attach(pieces, source))), source)


def within_limit(cuts: Iterable[Cut], source: bytes) -> list[Cut]:
    """The cuts, those of more than `MAX_BYTES` in windows of lines."""
    found: list[Cut] = []
    for cut in cuts:
        if cut.end_byte - cut.start_byte > MAX_BYTES:
            found += cut_by_lines(source, cut.start_byte, cut.end_byte)
        else:
            found.append(cut)
    return found


def _pieces(
    root: Node,
    source: bytes,
    grammar: Grammar,
    extents: Sequence[tuple[int, int]],
    deadline: float,
) -> list[_Piece]:
    """The tree's nodes that fit a chunk, in order; only those that begin a line.

    A definition stays whole up to `MAX_BYTES`. A file is no definition: above `IDEAL_BYTES`
    it is opened, so that its functions are found one by one.
    """
    pieces: list[_Piece] = []
    stack: list[tuple[Node, int]] = [(root, 0)]
    count = 0
    while stack:
        node, depth = stack.pop()
        count += 1
        if not count & 0x3FF and time.monotonic() > deadline:
            raise OutOfTimeError
        start, end = node.start_byte, node.end_byte
        whole_bytes = MAX_BYTES if depth else IDEAL_BYTES
        if end - start > whole_bytes and node.child_count:
            inner = depth + 1
            stack += [(child, inner) for child in reversed(node.children)]
            continue
        line_start = _line_start(source, start)
        # At the end of the file stand tokens of no length: missing ones, ends of blocks.
        if (
            line_start < 0
            or line_start == len(source)
            or (pieces and line_start <= pieces[-1].start)
        ):
            if pieces:
                pieces[-1].node_end = max(pieces[-1].node_end, end)
            continue
        kind_id = node.kind_id
        is_comment = kind_id in grammar.comments
        pieces.append(
            _Piece(
                start=line_start,
                node_end=end,
                depth=depth,
                is_alone=_is_alone(start, end, extents),
                is_attached=is_comment or kind_id in grammar.attached,
                is_closer=not node.is_named and end - start <= 3,
                kind="imports"
                if kind_id in grammar.pure_imports
                else "comment"
                if is_comment
                else "",
            )
        )
    return pieces


def _line_start(source: bytes, byte: int) -> int:
    """Where the line of `byte` begins if only blanks stand before it, else -1."""
    low = max(0, byte - 1000)
    newline = source.rfind(b"\n", low, byte)
    if newline < 0 and low > 0:
        return -1
    before = source[newline + 1 : byte]
    # A byte order mark is a blank here.
    return newline + 1 if not before.strip(b" \t\r\f\v\xef\xbb\xbf") else -1


def _is_alone(start: int, end: int, extents: Sequence[tuple[int, int]]) -> bool:
    """Whether a definition that may stand alone makes up most of the range."""
    if end - start < ALONE_BYTES:
        return False
    index = bisect_left(extents, (start, 0))
    if index == len(extents):
        return False
    inner_start, inner_end = extents[index]
    return inner_end <= end and 2 * (inner_end - inner_start) > end - start


def _close(pieces: list[_Piece], length: int) -> None:
    """Let every piece reach to the next, so that together they cover the file."""
    pieces[0].start = 0
    for piece, following in pairwise(pieces):
        piece.end = following.start
    pieces[-1].end = length


def _attach(pieces: list[_Piece], source: bytes) -> list[_Piece]:
    """Join comments and decorators to what follows without a blank line."""
    joined: list[_Piece] = []
    for piece in reversed(pieces):
        following = joined[-1] if joined else None
        if (
            piece.is_attached
            and following is not None
            and following.depth == piece.depth
            and not following.is_closer
            and following.end - piece.start <= MAX_BYTES
            and source.count(b"\n", piece.node_end, following.start) <= 1
        ):
            following.start = piece.start
            if piece.kind != following.kind and following.kind == "comment":
                following.kind = piece.kind
        else:
            joined.append(piece)
    joined.reverse()
    return joined


def _merge(pieces: list[_Piece]) -> list[tuple[_Piece, Cut]]:
    """Join small neighbours: never two definitions that stand alone, never out of a body."""
    merged: list[tuple[_Piece, Cut]] = []
    for piece in pieces:
        if merged:
            first, cut = merged[-1]
            size = piece.end - cut.start_byte
            if (piece.is_closer and size <= MAX_BYTES) or (
                size <= IDEAL_BYTES
                and piece.depth >= first.depth
                and not piece.is_alone
                and not first.is_alone
                and (first.kind == "imports") == (piece.kind == "imports")
            ):
                kind = cut.kind if cut.kind == piece.kind or piece.is_closer else ""
                merged[-1] = first, Cut(cut.start_byte, piece.end, kind)
                continue
        merged.append((piece, Cut(piece.start, piece.end, piece.kind)))
    return merged


def _merge_small(merged: list[tuple[_Piece, Cut]]) -> list[Cut]:
    """Join what is too small to be found by itself to the chunk before it, else after it."""
    cuts: list[Cut] = []
    for _, cut in merged:
        if cuts:
            last = cuts[-1]
            size = cut.end_byte - last.start_byte
            smaller = min(cut.end_byte - cut.start_byte, last.end_byte - last.start_byte)
            if smaller < SMALL_BYTES and size <= MAX_BYTES:
                is_larger = cut.end_byte - cut.start_byte > last.end_byte - last.start_byte
                kind = cut.kind if is_larger else last.kind
                cuts[-1] = Cut(last.start_byte, cut.end_byte, kind)
                continue
        cuts.append(cut)
    return cuts


def _character_border(source: bytes, byte: int) -> int:
    """The last byte at or before `byte` where a UTF-8 character begins."""
    for back in range(4):
        if source[byte - back] & 0xC0 != 0x80:
            return byte - back
    return byte
