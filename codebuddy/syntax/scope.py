"""Names and places for completion: what a file defines, and where in its syntax a byte is.

Everything here takes unfinished code: a tree covers broken text too, and a placeholder name
at the cursor puts it into the block that its indentation or brackets say. It knows nothing
of documents, columns or models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from codebuddy.syntax.grammar import grammar_for, parse
from codebuddy.syntax.limits import reason_not_to_parse
from codebuddy.syntax.walk import declared, header, holds, last_name, names_below

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Grammar, Node, Tree

# Longer than any real nesting; deeper places are judged by their outer part.
_MAX_DEPTH = 2000
_MAX_HEADER_CHARACTERS = 200
_BUDGET_MS = 500
_PLACEHOLDER = b"codebuddy_cursor"

_IDENTIFIER = re.compile(r"[^\W\d][\w$]*")
_CLOSERS = b" \t\r\n)]};,"
_MATCHING = bytes.maketrans(b"([{", b")]}")


@dataclass(frozen=True, slots=True)
class NamesInFile:
    """The names that a file makes known: `defined` by itself, `imported` from elsewhere."""

    defined: frozenset[str] = frozenset()
    imported: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the syntax a byte is.

    `scope` holds the enclosing definitions' headers, outermost first, each on one line.
    `ends_block`: nothing but closing brackets and space follows in the innermost block.
    `opens_block`: the place is the beginning of a block that holds nothing before it.
    """

    inside: Literal["code", "comment", "string"] = "code"
    scope: tuple[str, ...] = ()
    ends_block: bool = True
    opens_block: bool = False


def identifiers(text: str) -> list[str]:
    """The identifiers of `text` in order, repetitions and keywords included."""
    return _IDENTIFIER.findall(text)


def names_in(source: bytes, language: str) -> NamesInFile:
    """The names that the file defines (parameters and variables too) or imports.

    Rather too many than too few: a name bound anywhere in the file counts.
    """
    opened = _open(source, language)
    if opened is None:
        return NamesInFile()
    tree, grammar = opened
    defined: set[str] = set()
    imported: set[str] = set()
    stack = [tree.root_node]
    while stack:
        node = stack.pop()
        for rule in grammar.binds.get(node.kind_id, ()):
            if not holds(rule, node, source):
                continue
            if rule.rule.role == "import":
                imported.update(_leaf_names(node, source, grammar))
                for path in rule.module:
                    for module in path.nodes(node):
                        imported.update(_IDENTIFIER.findall(_text(source, module)))
                continue
            for path in rule.name:
                for found in path.nodes(node):
                    defined.update(_bound_names(found, source, grammar))
        stack += node.named_children
    return NamesInFile(frozenset(defined), frozenset(imported))


def place_at(source: bytes, language: str, byte: int) -> Place:
    """Where in the syntax the position before `byte` is; code at top level if unknown.

    Where the code around it does not parse, the text before it is judged with its open
    brackets closed.
    """
    byte = max(0, min(byte, len(source)))
    marked = source[:byte] + _PLACEHOLDER + source[byte:]
    opened = _open(marked, language)
    if opened is None:
        return Place()
    tree, grammar = opened
    ancestors = _ancestors(tree.root_node, byte + 1)
    is_broken = tree.root_node.has_error and any(node.is_error for node in ancestors)
    if is_broken:
        if _has_open_quote(source[:byte], grammar):
            return Place("string", _headers(ancestors, marked, grammar))
        closers = _open_brackets(tree, byte)[::-1].translate(_MATCHING)
        repaired = source[:byte] + _PLACEHOLDER + closers + b"\n"
        reopened = _open(repaired, language)
        if reopened is not None:
            marked, ancestors = repaired, _ancestors(reopened[0].root_node, byte + 1)
    return _place(ancestors, marked, grammar, byte)


def _place(ancestors: list[Node], marked: bytes, grammar: Grammar, byte: int) -> Place:
    scope = _headers(ancestors, marked, grammar)
    for index, node in enumerate(ancestors):
        if node.kind_id in grammar.comments:
            return Place("comment", scope)
        if node.kind_id in grammar.strings and not _is_interpolated(ancestors[index:], byte):
            return Place("string", scope)
    blocks = [node for node in ancestors if node.kind_id in grammar.blocks]
    after = marked[byte + len(_PLACEHOLDER) : blocks[-1].end_byte if blocks else None]
    first = blocks[-1].named_child(0) if blocks and blocks[-1].named_child_count else None
    is_inner = bool(blocks) and blocks[-1] != ancestors[0]
    return Place(
        "code",
        scope,
        ends_block=not after.strip(_CLOSERS),
        opens_block=is_inner and first is not None and first.start_byte == byte,
    )


def count_errors(source: bytes, language: str) -> int:
    """How many errors and missing tokens the tree of `source` has; -1 if it cannot be known."""
    opened = _open(source, language)
    if opened is None:
        return -1
    count = 0
    stack = [opened[0].root_node]
    while stack:
        node = stack.pop()
        if not node.has_error:
            continue
        if node.is_error or node.is_missing:
            count += 1
        stack += node.children
    return count


def block_end(source: bytes, language: str, byte: int) -> int | None:
    """Where what was written from `byte` on ends as a unit of syntax.

    That is the largest statement or block that begins at the first character after `byte`;
    inside a statement, that statement. `None` if it cannot be known.
    """
    opened = _open(source, language)
    if opened is None:
        return None
    tree, grammar = opened
    start = byte
    while start < len(source) and source[start] in b" \t\r\n":
        start += 1
    if start >= len(source):
        return None
    ancestors = _ancestors(tree.root_node, start)
    inner_block = -1
    for index, node in enumerate(ancestors):
        if index and node.start_byte >= byte:
            # The outermost node that begins here: a whole block, or one statement of it.
            return node.end_byte if inner_block >= 0 else None
        if node.kind_id in grammar.blocks or index == 0:
            inner_block = index
    if 0 <= inner_block < len(ancestors) - 1:
        return ancestors[inner_block + 1].end_byte
    return None


def _open(source: bytes, language: str) -> tuple[Tree, Grammar] | None:
    grammar = grammar_for(language)
    if grammar is None or reason_not_to_parse(source):
        return None
    tree = parse(source, language, _BUDGET_MS)
    return None if tree is None else (tree, grammar)


def _ancestors(root: Node, byte: int) -> list[Node]:
    """The nodes around `byte`, outermost first."""
    cursor = root.walk()
    found = [root]
    while len(found) < _MAX_DEPTH and cursor.goto_first_child_for_byte(byte) is not None:
        node = cursor.node
        if node is None or node.start_byte > byte:
            break
        found.append(node)
    return found


def _headers(ancestors: list[Node], source: bytes, grammar: Grammar) -> tuple[str, ...]:
    """The headers of the definitions among the ancestors."""
    headers: list[str] = []
    for ancestor in ancestors:
        node = ancestor
        if node.kind_id in grammar.continuations:
            # A body beside its header: the header is the sibling before, or inside that.
            before = node.prev_named_sibling
            inner = before.named_child(0) if before and before.named_child_count else None
            node = inner if inner and inner.kind_id in grammar.definitions else before or node
        if node.kind_id not in grammar.definitions:
            continue
        for rule in grammar.actions.get(node.kind_id, ()):
            if rule.rule.role != "define" or not rule.rule.is_container:
                continue
            if holds(rule, node, source):
                text = header(node, rule, source, grammar, _MAX_HEADER_CHARACTERS)
                headers.append(text.replace(_PLACEHOLDER.decode(), ""))
                break
    return tuple(headers)


def _open_brackets(tree: Tree, byte: int) -> bytes:
    """The brackets before `byte` that are still open, outermost first; strings do not count."""
    opened = bytearray()
    stack = [tree.root_node]
    while stack:
        node = stack.pop()
        if node.start_byte >= byte:
            continue
        kind = node.type
        if kind in ("(", "[", "{", "${", "#{"):
            opened += kind[-1].encode()
        elif kind in (")", "]", "}") and opened and not node.is_missing:
            opened.pop()
        stack += reversed(node.children)
    return bytes(opened)


def _has_open_quote(before: bytes, grammar: Grammar) -> bool:
    """Whether the last line of `before` ends within quotes, judged without a tree."""
    line = before[before.rfind(b"\n") + 1 :]
    line_comment = grammar.spec.line_comment.encode() or b"\n"
    quote = 0
    index = 0
    while index < len(line):
        character = line[index]
        if character == 0x5C:
            index += 1
        elif quote:
            quote = 0 if character == quote else quote
        elif character in b'"`':
            quote = character
        elif line.startswith(line_comment, index):
            return False
        index += 1
    return bool(quote)


def _is_interpolated(inner: list[Node], byte: int) -> bool:
    """Whether the place lies in code inside the string `inner[0]`: `${here}`."""
    return any(
        ("interpolation" in node.type or "substitution" in node.type)
        and node.start_byte < byte
        and byte < node.end_byte
        for node in inner[1:]
    )


def _bound_names(node: Node, source: bytes, grammar: Grammar) -> list[str]:
    """The names under a binding, and the attribute of `self.name = ...`."""
    inner = declared(node, grammar)
    found = [_text(source, name) for name in names_below(inner, grammar)]
    if inner.kind_id in grammar.skipped_in_patterns:
        last = last_name(inner, grammar)
        return [_text(source, last)] if last is not None else []
    return found


def _leaf_names(node: Node, source: bytes, grammar: Grammar) -> list[str]:
    return [_text(source, name) for name in names_below(node, grammar)]


def _text(source: bytes, node: Node) -> str:
    start = node.start_byte
    return source[start : min(node.end_byte, start + 800)].decode("utf-8", "replace")
