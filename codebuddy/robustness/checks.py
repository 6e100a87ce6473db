"""Whether a changed place is still what its transformation promises; by syntax alone.

The tree of the new text is made from the old one, so that only what changed is parsed again.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from codebuddy.robustness.place import Change, Edit, NothingToChangeError, Place, View
from codebuddy.syntax.grammar import parse
from codebuddy.syntax.highlight import point_of
from codebuddy.syntax.scope import errors_under

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Grammar, Node, Tree

# T: the text is the same without white space. C: the code is, without comments and docstrings.
# N: it is, with the old names back. S: the rule's conditions held; Python compiles.
Check = Literal["T", "C", "N", "S"]
_BUDGET_MS = 1000
_NAME = re.compile(r"[^\W\d][\w$]*[?!]?")


def check(view: View, change: Change, changed: Place, kind: Check) -> None:
    """Make sure that `changed` is what the check says of it.

    Raises:
        NothingToChangeError: It is not.
    """
    if not change.edits:
        raise NothingToChangeError("there is nothing of the kind near the hole")
    tree = _parsed_again(view, change.edits, changed)
    before, after = view.tree.root_node, tree.root_node
    if after.has_error and errors_under(after) > errors_under(before):
        raise NothingToChangeError("the change would not parse")
    if kind == "T":
        is_right = b"".join(view.source.split()) == b"".join(changed.source.split())
        # Of a text alone the parser may make another tree: white space means something.
        is_right = is_right and (
            before.descendant_count == after.descendant_count or _n_code(before) == _n_code(after)
        )
    elif kind == "C":
        is_right = _are_comments(view.grammar, after, change.edits)
    elif kind == "N":
        is_right = before.descendant_count == after.descendant_count
        is_right = is_right and all(_is_name(after, at) for at in _moved(change.edits))
    else:
        is_right = True
    if kind in ("T", "S") and view.language == "python":
        # Python's grammar of tree-sitter takes more than Python does.
        is_right = is_right and _compiles(view, changed, tree)
    if not is_right:
        raise NothingToChangeError("the change would alter the code")


def is_name(name: str) -> bool:
    """Whether a word may be a name by its characters."""
    return _NAME.fullmatch(name) is not None


def _parsed_again(view: View, edits: Sequence[Edit], changed: Place) -> Tree:
    first = min(each.start for each in edits)
    last = max(each.end for each in edits)
    new_last = last + len(changed.source) - len(view.source)
    old = view.tree.copy()
    old.edit(
        first,
        last,
        new_last,
        point_of(view.source, first),
        point_of(view.source, last),
        point_of(changed.source, new_last),
    )
    tree = parse(changed.source, view.language, _BUDGET_MS, old)
    if tree is None:
        raise NothingToChangeError("the change cannot be parsed in time")
    return tree


def _n_code(root: Node) -> int:
    """How many nodes there are, of which line ends (Go has such) are none."""
    count, stack = 0, [root]
    while stack:
        node = stack.pop()
        count += node.type != "\n"
        stack += node.children
    return count


def _moved(edits: Sequence[Edit]) -> list[tuple[int, int]]:
    """Where the new texts stand."""
    moved, grown = [], 0
    for edit in sorted(edits, key=lambda each: (each.start, each.end)):
        start = edit.start + grown
        moved.append((start, start + len(edit.text)))
        grown += len(edit.text) - (edit.end - edit.start)
    return moved


def _are_comments(grammar: Grammar, root: Node, edits: Sequence[Edit]) -> bool:
    """Whether each edit begins and ends in a comment, or inside a string."""
    wanted = grammar.comments | grammar.strings
    texts = [each.text for each in sorted(edits, key=lambda each: (each.start, each.end))]
    for (start, end), text in zip(_moved(edits), texts, strict=True):
        # A new comment comes with its indentation and the end of its line.
        start += len(text) - len(text.lstrip())
        end -= len(text) - len(text.rstrip())
        for byte in (start, max(start, end - 1)):
            node = root.descendant_for_byte_range(byte, byte)
            while node is not None and node.kind_id not in wanted:
                node = node.parent
            if node is None:
                return False
    return True


def _is_name(root: Node, at: tuple[int, int]) -> bool:
    """Whether a whole token, or a word of a comment, stands there."""
    node = root.descendant_for_byte_range(at[0], at[1])
    if node is None:
        return False
    return (node.start_byte, node.end_byte) == at or node.end_byte - node.start_byte > at[1] - at[0]


def _compiles(view: View, changed: Place, tree: Tree) -> bool:
    """Whether Python takes the function around the hole, or else the file, as it is now."""
    function = view.function
    if function is not None:
        node = tree.root_node.descendant_for_byte_range(function.start_byte, function.start_byte)
        while node is not None and node.type != "function_definition":
            node = node.parent
        if node is not None and node.start_byte == function.start_byte:
            column = function.start_point[1]
            text = changed.source[node.start_byte : node.end_byte].decode("utf-8", "replace")
            if _is_python(textwrap.dedent(" " * column + text)):
                return True
    text = changed.source.decode("utf-8", "replace")
    return _is_python(text) or not _is_python(view.source.decode("utf-8", "replace"))


def _is_python(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(ast.parse(text), "<changed>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True
