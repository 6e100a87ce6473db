"""Whether a file with a patch in it is as well formed as before, asked before it is offered."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from codebuddy.hook.finding import FileEdit
from codebuddy.hook.state import SourceFile
from codebuddy.syntax.traits import traits_of

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Node

# Python's own parser takes about 0.1 s for so many.
_MAX_PYTHON_BYTES = 200_000
_MAX_NODES = 60_000


def patched(file: SourceFile, edits: Sequence[FileEdit]) -> SourceFile:
    """The file with the edits in it; all are edits of this file."""
    lines = list(file.lines)
    for edit in sorted(edits, key=lambda each: -each.first_line):
        lines[edit.first_line - 1 : edit.last_line] = (
            [] if edit.new is None else edit.new.split("\n")
        )
    return _of_lines(file, lines)


def stays_well_formed(file: SourceFile, changed: SourceFile) -> bool:
    """Whether `changed` parses if `file` does; a grammar may allow more than the language."""
    if file.tree is None or changed.tree is None or file.language != changed.language:
        return False
    if changed.tree.root_node.has_error and not file.tree.root_node.has_error:
        return False
    # Signatures are read of Python alone.
    if "signatures" not in traits_of(file.language).analyses:
        return True
    return _is_python(changed.code) or not _is_python(file.code)


def only_lacks_line(file: SourceFile, changed: SourceFile, number: int) -> bool:
    """Whether `changed` means what `file` does without the line `number`: node by node.

    False also for files that are too large to compare.
    """
    before = _of_lines(file, file.lines)
    if before.tree is None or changed.tree is None:
        return False
    start = len("\n".join(file.lines[: number - 1]).encode()) + (number > 1)
    gone = (start, start + len(file.lines[number - 1].encode()))
    one = _shape(before, gone)
    other = _shape(changed, None)
    for _ in range(_MAX_NODES):
        mine, theirs = next(one, None), next(other, None)
        if mine != theirs:
            return False
        if mine is None:
            return True
    return False


def _of_lines(file: SourceFile, lines: Sequence[str]) -> SourceFile:
    return SourceFile(file.path, "\n".join(lines).encode("utf-8", "replace"))


def _shape(file: SourceFile, gone: tuple[int, int] | None) -> Iterator[tuple[int, str, bytes]]:
    """Depth, kind and text of each node but for comments and what lies in `gone`."""
    assert file.tree is not None
    stack: list[tuple[int, Node]] = [(0, file.tree.root_node)]
    while stack:
        depth, node = stack.pop()
        if node.is_extra:
            continue
        if gone is not None and gone[0] <= node.start_byte and node.end_byte <= gone[1]:
            continue
        children = node.children
        yield depth, node.type, b"" if children else file.code[node.start_byte : node.end_byte]
        stack += [(depth + 1, each) for each in reversed(children)]


def _is_python(code: bytes) -> bool:
    """Whether Python's own parser takes the code; what is long is not asked."""
    if len(code) > _MAX_PYTHON_BYTES:
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
