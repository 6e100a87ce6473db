"""Source as coloured spans: what each piece of a line is, from the syntax tree.

The tree is kept and edited in place, so that a keystroke costs a few milliseconds. What a token
is, `tokens` says. It knows no colours and no screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from codebuddy.source_text import common_length
from codebuddy.syntax.grammar import Grammar, grammar_for, parse
from codebuddy.syntax.limits import reason_not_to_parse
from codebuddy.syntax.tokens import (
    Ancestor,
    Token,
    is_interpolation,
    token_of_leaf,
    token_of_node,
)

if TYPE_CHECKING:
    from tree_sitter import Node, Tree

# A second for 4 to 10 MB; larger sources are shown plain.
MAX_HIGHLIGHTED_BYTES = 4_000_000
# One line with more bytes than this (minified code) is shown plain.
_MAX_LINE_BYTES = 4_000
# Tokens looked at for one window of lines; real code has some twenty a line.
_MAX_NODES = 40_000


class Span(NamedTuple):
    """Columns `start` to `end` (code points, 0-based, half-open) of a line are a `token`."""

    start: int
    end: int
    token: Token


class HighlightedText:
    """A source and its tree, as they were at one moment; nothing changes them any more."""

    def __init__(self, source: bytes, tree: Tree, grammar: Grammar) -> None:
        self.source = source
        self.tree = tree
        self._grammar = grammar
        self._lines = source.split(b"\n")

    def spans(self, first_line: int, last_line: int) -> list[tuple[Span, ...]]:
        """The spans of lines `first_line` to `last_line` (0-based, both included).

        Lines that do not exist have none. Spans of a line follow each other without overlap.
        """
        found: list[list[tuple[int, int, Token]]] = [[] for _ in range(first_line, last_line + 1)]
        if any(len(line) > _MAX_LINE_BYTES for line in self._lines[first_line : last_line + 1]):
            # A window is walked as a whole, so the long lines' neighbours go one by one.
            if first_line < last_line:
                return [self.spans(n, n)[0] for n in range(first_line, last_line + 1)]
            return [()]
        for node_start, node_end, token in _tokens(
            self.tree, self.source, self._grammar, first_line, last_line
        ):
            row, end_row = node_start[0], node_end[0]
            if row == end_row:
                found[row - first_line].append((node_start[1], node_end[1], token))
                continue
            for number in range(max(row, first_line), min(end_row, last_line) + 1):
                start = node_start[1] if number == row else 0
                end = node_end[1] if number == end_row else len(self._lines[number])
                if end > start:
                    found[number - first_line].append((start, end, token))
        return [
            _in_columns(spans, self._lines[first_line + i] if spans else b"")
            for i, spans in enumerate(found)
        ]


class Highlighter:
    """Keeps the tree of one text in step with it; for one thread at a time."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._last: HighlightedText | None = None

    def update(self, source: bytes) -> tuple[HighlightedText | None, list[tuple[int, int]]]:
        """The text's new state, and which lines (first, last) may look different now.

        `None` if it has no grammar, is too large or hostile, or took too long.
        """
        grammar = grammar_for(self._language)
        before, self._last = self._last, None
        everything = [(0, source.count(b"\n"))]
        if (
            grammar is None
            or len(source) > MAX_HIGHLIGHTED_BYTES
            or reason_not_to_parse(source, self._language)
        ):
            return None, everything
        if before is None:
            tree = parse(source, self._language)
            changed = everything
        else:
            edited = before.tree.copy()
            changed = [_edit_tree(edited, before.source, source)]
            tree = parse(source, self._language, old_tree=edited)
            if tree is not None:
                changed += [
                    (piece.start_point[0], piece.end_point[0])
                    for piece in edited.changed_ranges(tree)
                ]
        if tree is None:
            return None, everything
        self._last = HighlightedText(source, tree, grammar)
        return self._last, changed


def _edit_tree(tree: Tree, before: bytes, after: bytes) -> tuple[int, int]:
    """Apply a change to the tree as one edit; returns the lines that it touches."""
    start = common_length(before, after)
    # A character's bytes belong together.
    while start and start < len(after) and after[start] & 0xC0 == 0x80:
        start -= 1
    most = min(len(before), len(after)) - start
    end = _common_suffix(before, after, most)
    old_end, new_end = len(before) - end, len(after) - end
    tree.edit(
        start,
        old_end,
        new_end,
        point_of(before, start),
        point_of(before, old_end),
        new_point := point_of(after, new_end),
    )
    return point_of(after, start)[0], new_point[0]


def point_of(source: bytes, offset: int) -> tuple[int, int]:
    """The row and column of a byte, both from 0, the column in bytes."""
    return source.count(b"\n", 0, offset), offset - source.rfind(b"\n", 0, offset) - 1


def _common_suffix(one: bytes, other: bytes, most: int) -> int:
    """How many bytes, at most `most`, they end with alike."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if one[len(one) - middle : len(one) - low] == other[len(other) - middle : len(other) - low]:
            low = middle
        else:
            high = middle - 1
    return low


def _in_columns(spans: Sequence[tuple[int, int, Token]], line: bytes) -> tuple[Span, ...]:
    """Byte columns as columns of code points; what overlaps is cut."""
    found: list[Span] = []
    is_ascii, covered = line.isascii(), 0
    for start, end, token in spans:
        start = max(start, covered)
        end = min(end, len(line))
        if end <= start:
            continue
        covered = end
        if is_ascii:
            found.append(Span(start, end, token))
        else:
            first = len(line[:start].decode("utf-8", "replace"))
            found.append(
                Span(first, first + len(line[start:end].decode("utf-8", "replace")), token)
            )
    return tuple(found)


_Point = tuple[int, int]


def _tokens(
    tree: Tree, source: bytes, grammar: Grammar, first_line: int, last_line: int
) -> Iterator[tuple[_Point, _Point, Token]]:
    """The tokens of the tree between two lines, in source order."""
    cursor = tree.walk()
    first = (first_line, 0)
    # For each open node: what its leaves are unless they say otherwise, its type, its field.
    above: list[Ancestor] = []
    for _ in range(_MAX_NODES):
        node = cast("Node", cursor.node)
        start, end = node.start_point, node.end_point
        if start[0] > last_line:
            return
        if end[0] >= first_line:
            field = cursor.field_name or ""
            inherited = above[-1][0] if above else None
            token = token_of_node(node, field, grammar, inherited)
            is_leaf = node.child_count == 0
            if is_leaf and token is None:
                token = inherited or token_of_leaf(node, field, above, source, grammar.name)
            if token is not None and (is_leaf or node.kind_id in grammar.comments):
                yield (start[0], start[1]), (end[0], end[1]), token
            elif not is_leaf:
                keeps = None if is_interpolation(node.type) else token or inherited
                above.append((keeps, node.type, field))
                if start >= first or cursor.goto_first_child_for_point(first) is None:
                    cursor.goto_first_child()
                continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return
            above.pop()
