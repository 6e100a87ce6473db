"""Names and cursor syntax for completion: what a file defines, and the syntax around a byte.

Everything here takes unfinished code: a tree covers broken text too, and a placeholder name
at the cursor puts it into the block that its indentation or brackets say. It knows nothing
of documents, columns or models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from codebuddy.syntax.grammar import grammar_for, parse
from codebuddy.syntax.limits import reason_not_to_parse
from codebuddy.syntax.node_queries import declared, header, holds, last_name, names_below

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codebuddy.syntax.grammar import Grammar, Node, Tree

# Longer than any real nesting; of deeper nodes only the outer ancestors count.
_MAX_DEPTH = 2000
_MAX_HEADER_CHARACTERS = 200
_MAX_NAME_BYTES = 800
_BUDGET_MS = 500
_PLACEHOLDER = b"codebuddy_cursor"

_IDENTIFIER = re.compile(r"\b[^\W\d][\w$]*")
_CLOSERS = b" \t\r\n)]};,"
_MATCHING = bytes.maketrans(b"([{", b")]}")


@dataclass(frozen=True, slots=True)
class NamesInFile:
    """The names that a file makes known: `defined` by itself, `imported` from elsewhere."""

    defined: frozenset[str] = frozenset()
    imported: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CursorSyntax:
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
    opened = open_tree(source, language)
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
                if node.kind_id in grammar.pure_imports:
                    imported.update(_words(names_below(node, grammar), source))
                for path in rule.module:
                    imported.update(_words(path.nodes(node), source))
            else:
                for path in rule.name:
                    for found in path.nodes(node):
                        defined.update(_words(bound_names(found, grammar), source))
        stack += node.named_children
    return NamesInFile(frozenset(defined), frozenset(imported))


def syntax_at(source: bytes, language: str, byte: int) -> CursorSyntax:
    """Where in the syntax the position before `byte` is; code at top level if unknown.

    Where the code around it does not parse, it is parsed with the statement ended, then
    without what follows and with the brackets before it closed.
    """
    byte = max(0, min(byte, len(source)))
    before, after = source[:byte] + _PLACEHOLDER, source[byte:]
    opened = open_tree(before + after, language)
    if opened is None:
        return CursorSyntax()
    tree, grammar = opened
    if _is_in_open_string(tree, before, byte, grammar):
        return CursorSyntax(
            "string", _headers(_ancestors(tree.root_node, byte + 1), before, grammar)
        )
    best = _Judged(tree, before + after, byte)
    # In a C++ class, `void m() { name }` without the `;` is a field with an initial value.
    if best.is_broken or grammar.spec.needs_statement_end:
        closers = _open_brackets(tree, byte)[::-1].translate(_MATCHING) + b"\n"
        for repaired in (before + b";" + after, before + closers, before + b";" + closers):
            reopened = open_tree(repaired, language)
            judged = _Judged(reopened[0], repaired, byte) if reopened else best
            is_deeper = judged.depth(grammar) > best.depth(grammar)
            if is_deeper or (best.is_broken and not judged.is_broken):
                best = judged
            if not best.is_broken:
                break
    return _place(best, grammar, byte)


class _Judged:
    """A tree with the nodes around the cursor."""

    __slots__ = ("ancestors", "is_broken", "source", "tree")

    def __init__(self, tree: Tree, source: bytes, byte: int) -> None:
        self.tree, self.source = tree, source
        self.ancestors = _ancestors(tree.root_node, byte + 1)
        self.is_broken = any(node.is_error for node in self.ancestors)

    def depth(self, grammar: Grammar) -> int:
        """How many definitions with a body are around the cursor."""
        return len(_headers(self.ancestors, self.source, grammar))


def _place(judged: _Judged, grammar: Grammar, byte: int) -> CursorSyntax:
    ancestors, source = judged.ancestors, judged.source
    scope = _headers(ancestors, source, grammar)
    for index, node in enumerate(ancestors):
        if node.kind_id in grammar.comments:
            return CursorSyntax("comment", scope)
        if node.kind_id in grammar.strings and not _is_interpolated(ancestors[index:], byte):
            return CursorSyntax("string", scope)
    index = max(
        (index for index, node in enumerate(ancestors) if node.kind_id in grammar.blocks),
        default=0,
    )
    block = ancestors[index]
    statement = ancestors[index + 1] if index + 1 < len(ancestors) else block
    rest = source[byte + len(_PLACEHOLDER) : statement.end_byte]
    members = [node for node in block.named_children if node.kind_id not in grammar.comments]
    return CursorSyntax(
        "code",
        scope,
        ends_block=not rest.strip(_CLOSERS) and (not members or members[-1].start_byte <= byte),
        opens_block=index > 0 and bool(members) and members[0].start_byte == byte,
    )


def count_errors(source: bytes, language: str) -> int:
    """How many errors and missing tokens the tree of `source` has; -1 if it cannot be known."""
    opened = open_tree(source, language)
    return -1 if opened is None else errors_under(opened[0].root_node)


def errors_under(root: Node) -> int:
    """How many errors and missing tokens there are under a node, itself one of them."""
    count = 0
    stack = [root]
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
    opened = open_tree(source, language)
    if opened is None:
        return None
    tree, grammar = opened
    start = byte
    while start < len(source) and source[start] in b" \t\r\n":
        start += 1
    if start >= len(source):
        return None
    ancestors = _ancestors(tree.root_node, start)
    inner_block = 0
    for index, node in enumerate(ancestors[1:], 1):
        is_block = node.kind_id in grammar.blocks
        if node.start_byte >= byte and (is_block or inner_block == index - 1):
            return int(node.end_byte)
        if is_block:
            inner_block = index
    if inner_block + 1 < len(ancestors):
        return int(ancestors[inner_block + 1].end_byte)
    return None


@lru_cache(maxsize=2)
def open_tree(source: bytes, language: str) -> tuple[Tree, Grammar] | None:
    """The tree of `source` with its grammar; `None` if there is none.

    The last ones are remembered, since a completion asks several questions of one text.
    """
    grammar = grammar_for(language)
    if grammar is None or reason_not_to_parse(source, language):
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


def _is_in_open_string(tree: Tree, before: bytes, byte: int, grammar: Grammar) -> bool:
    """Whether an unclosed string begins on the cursor's line.

    Decided without the tree, and only where the tree has an error on that line.
    """
    start = before.rfind(b"\n") + 1
    covering = tree.root_node.descendant_for_byte_range(start, byte + 1)
    if covering is None or not covering.has_error:
        return False
    line_comment = grammar.spec.line_comment.encode() or b"\n"
    quotes = b"\"`'" if grammar.spec.single_quoted_strings else b'"`'
    quote, index = 0, start
    while index < byte:
        character = before[index]
        if character == 0x5C:
            index += 1
        elif quote:
            quote = 0 if character == quote else quote
        elif character in quotes:
            quote = character
        elif before.startswith(line_comment, index):
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


def bound_names(node: Node, grammar: Grammar) -> list[Node]:
    """The names under a binding, and the attribute of `self.name = ...`."""
    inner = declared(node, grammar)
    if inner.child_count and inner.kind_id in grammar.skipped_in_patterns:
        has_attribute = any(inner.child_by_field_id(number) for number in grammar.name_fields)
        last = last_name(inner, grammar) if has_attribute else None
        return [last] if last is not None else []
    return list(names_below(inner, grammar))


def _words(nodes: Iterable[Node], source: bytes) -> list[str]:
    """The identifiers in the nodes' texts, without sigils and separators."""
    words: list[str] = []
    for node in nodes:
        start = node.start_byte
        text = source[start : min(node.end_byte, start + _MAX_NAME_BYTES)]
        words += _IDENTIFIER.findall(text.decode("utf-8", "replace"))
    return words
