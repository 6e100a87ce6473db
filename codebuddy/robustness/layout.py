"""The six changes of format: indentation, line breaks, blank lines, docstrings as comments."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from codebuddy.robustness.place import Change, Edit, NothingToChangeError, View

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Node

_INDENT = re.compile(rb"^[ \t]+", re.MULTILINE)
_UNIT = 4
_MIN_SPLIT_BYTES = 30
# Nodes in brackets, in which a line may end anywhere between two tokens.
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_BRACKETED = re.compile(
    r"argument|parameter|tuple|list$|array|dictionary|^set$|object$|parenthesized|initializer"
    r"|composite_literal|subscript"
)
_LINE_SHARE = 0.5


def change_indentation(view: View, _rng: random.Random) -> Change:
    """Tabs for spaces in the whole file, or spaces for tabs."""
    source = view.source
    indents = [
        match
        for match in _INDENT.finditer(source)
        if not view.is_in_string(match.start()) and not _is_edge(view, match.start(), match.end())
    ]
    unit = _unit_of([match[0] for match in indents])
    if unit is None:
        raise NothingToChangeError("no line is indented, or in two ways")
    edits = []
    for match in indents:
        if unit == b"\t":
            made = b" " * _UNIT * len(match[0])
        else:
            n_units, rest = divmod(len(match[0]), len(unit))
            made = b"\t" * n_units + b" " * rest
        if made != match[0]:
            edits.append(Edit(match.start(), match.end(), made))
    return Change(tuple(edits))


def split_line(view: View, _rng: random.Random) -> Change:
    """The longest line near the hole that has brackets, broken at its middle inside them."""
    best: tuple[int, Edit] | None = None
    for start, end in _lines(view):
        length = end - start
        if length < _MIN_SPLIT_BYTES or (best is not None and length <= best[0]):
            continue
        if not view.is_free(start, end):
            continue
        edit = _split(view, start, end)
        if edit is not None:
            best = (length, edit)
    if best is None:
        raise NothingToChangeError("no line near the hole is long and has brackets")
    return Change((best[1],))


def docstring_to_comments(view: View, _rng: random.Random) -> Change:
    """The docstring, or the block comment, nearest before the hole as comments of a line each."""
    candidates: list[Node] = list(view.docstrings) or [
        node for node in view.comments if view.text(node).startswith("/*")
    ]
    for node in sorted(candidates, key=lambda each: each.start_byte, reverse=True):
        if node.start_byte >= view.place.start:
            continue
        edit = _as_line_comments(view, node)
        if edit is not None:
            return Change((edit,))
    raise NothingToChangeError("there is no docstring or block comment before the hole")


def add_blank_lines(view: View, rng: random.Random) -> Change:
    """A blank line behind every second line near the hole."""
    edits = []
    for _, end in _lines(view):
        if not view.source[end : end + 1] or not view.is_free(end, end + 1):
            continue
        before = view.source[max(0, end - 1) : end]
        if view.is_in_string(end) or before == b"\\" or _is_in_directive(view, end):
            continue
        if rng.random() < _LINE_SHARE:
            edits.append(Edit(end, end, b"\n"))
    if not edits:
        raise NothingToChangeError("there are no lines near the hole")
    return Change(tuple(edits))


def break_before_hole(view: View, _rng: random.Random) -> Change:
    """A line break directly before the hole, with the indentation that its line has."""
    place = view.place
    if view.is_in_string(place.start):
        raise NothingToChangeError("the hole is inside a string")
    line = view.source.rfind(b"\n", 0, place.start) + 1
    before = view.source[line : place.start]
    indent = before[: len(before) - len(before.lstrip())]
    if before.strip():
        return Change((Edit(place.start, place.start, b"\n" + indent + b" " * _UNIT),))
    return Change((Edit(line, line, b"\n"),))


def break_after_docstring(view: View, _rng: random.Random) -> Change:
    """A blank line behind the docstring, or the comment above a definition, before the hole."""
    nodes = view.docstrings or view.comments
    for node in sorted(nodes, key=lambda each: each.start_byte, reverse=True):
        end = view.source.find(b"\n", node.end_byte)
        if node.end_byte > view.place.start or end < 0 or end >= view.place.start:
            continue
        line = view.source.rfind(b"\n", 0, node.start_byte) + 1
        is_alone = not view.source[line : node.start_byte].strip()
        is_alone = is_alone and not view.source[node.end_byte : end].strip()
        if is_alone and view.source[end : end + 2] != b"\n\n":
            return Change((Edit(end, end, b"\n"),))
    raise NothingToChangeError("there is no docstring or comment before the hole")


def _unit_of(indents: list[bytes]) -> bytes | None:
    """What one level of indentation is; `None` where lines do not agree."""
    if not indents:
        return None
    if all(set(each) == {9} for each in indents):
        return b"\t"
    if any(b"\t" in each for each in indents):
        return None
    widths = {len(each) for each in indents}
    return b" " * (2 if any(width % 4 == 2 for width in widths) else 4)


def _is_edge(view: View, start: int, end: int) -> bool:
    """Whether the hole begins or ends inside these bytes."""
    return start < view.place.start < end or start < view.place.end < end


def _lines(view: View) -> list[tuple[int, int]]:
    """The lines near the hole, each without its line end."""
    found, start = [], view.low
    while start < view.high:
        end = view.source.find(b"\n", start)
        end = len(view.source) if end < 0 else end
        found.append((start, end))
        start = end + 1
    return found


def _split(view: View, start: int, end: int) -> Edit | None:
    """A line break at the space nearest to the line's middle that lies inside brackets."""
    source, middle = view.source, (start + end) // 2
    line = source[start:end]
    indent = line[: len(line) - len(line.lstrip())]
    spaces = [
        at
        for at in range(start + len(indent) + 1, end)
        if source[at : at + 1] == b" " and source[at - 1 : at] in (b",", b"(")
    ]
    for at in sorted(spaces, key=lambda each: abs(each - middle)):
        if view.is_in_string(at) or not _is_in_brackets(view, at, start, end):
            continue
        made = b"\n" + indent + b" " * _UNIT
        return Edit(at, at + 1, made)
    return None


def _is_in_brackets(view: View, at: int, start: int, end: int) -> bool:
    """Whether a list in brackets, opened on this line, is the first thing around the byte."""
    node = view.tree.root_node.descendant_for_byte_range(at, at + 1)
    while node is not None and node.end_byte - node.start_byte <= end - start:
        if node.kind_id in view.grammar.comments:
            return False
        first = node.child(0) if node.child_count else None
        if _BRACKETED.search(node.type) and first is not None and first.type in _BRACKETS:
            return node.start_byte < at < node.end_byte
        node = node.parent
    return False


def _is_in_directive(view: View, at: int) -> bool:
    node = view.tree.root_node.descendant_for_byte_range(at, at)
    while node is not None:
        if node.type.startswith(("preproc_def", "preproc_function", "macro_rule")):
            return node.start_byte < at < node.end_byte
        node = node.parent
    return False


def _as_line_comments(view: View, node: Node) -> Edit | None:
    source = view.source
    start, end = node.start_byte, node.end_byte
    line = source.rfind(b"\n", 0, start) + 1
    newline = source.find(b"\n", end)
    indent = source[line:start]
    if indent.strip() or source[end : newline if newline >= 0 else len(source)].strip():
        return None
    text = view.text(node)
    sign = view.grammar.spec.line_comment
    if view.grammar.spec.docstring:
        body = node.parent.parent if node.parent is not None else None
        content = [each for each in node.children if each.type == "string_content"]
        if body is None or body.named_child_count < 2 or len(content) != 1:
            return None
        text = view.text(content[0])
    else:
        text = text.removeprefix("/*").removesuffix("*/").lstrip("*!")
    lines = [each.strip() for each in text.split("\n")]
    if not sign or any(each.endswith("\\") for each in lines):
        # In C it would make a comment of the next line.
        return None
    if not view.grammar.spec.docstring:
        lines = [each.removeprefix("*").strip() for each in lines]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]
    made = [f"{sign} {each}".rstrip().encode() for each in lines]
    return Edit(start, end, (b"\n" + indent).join(made)) if made else None
