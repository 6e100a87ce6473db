"""Where in a file's syntax a hole can be cut: lines, calls and bodies, as byte ranges.

One iterative walk over the tree finds all three. It knows neither the index nor what will
be done with a hole.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codebuddy.syntax.node_queries import holds, last_name, resolve
from codebuddy.syntax.scope import open_tree
from codebuddy.syntax.traits import traits_of

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Grammar, Node

MIN_BLOCK_LINES, MAX_BLOCK_LINES = 2, 12
_MAX_CALL_LINES = 6
_MAX_LINE_BYTES = 200
_MIN_LINE_BYTES = 6
_MAX_IMPORT_BYTES = 2000

_BODY = re.compile(r"block|body|compound_statement|do_group|^then$|^else$|suite")
_NO_BODY = re.compile(
    r"class|enum|struct|union|interface|field|object|declaration|variant|trait|impl|template"
    r"|protocol|extension|annotation|accessor|prelude|comment"
)
_QUALIFIER = re.compile(rb"(?<!\w)([A-Za-z_]\w*+)\s*+(?:\?\.|\.|::|->)\s*$")
_QUALIFIER_WINDOW_BYTES = 80
_WORD = re.compile(r"[\w$-]+")


@dataclass(frozen=True, slots=True)
class LineSite:
    """A line of code: the bytes where its tokens begin, and its end without white space."""

    token_bytes: tuple[int, ...]
    end_byte: int


@dataclass(frozen=True, slots=True)
class CallSite:
    """A call: where its callee's name begins, where the arguments do, where its statement ends.

    `argument_byte` is just after the opening bracket, -1 where there is none; `qualifier` the
    name before the callee's, as `shop` in `shop.price()`.
    """

    name: str
    qualifier: str
    name_byte: int
    argument_byte: int
    end_byte: int


@dataclass(frozen=True, slots=True)
class BlockSite:
    """The statements of a body, from the first one's first byte to the last one's end."""

    start_byte: int
    end_byte: int


@dataclass(slots=True)
class Sites:
    """What a walk found, in no order; `imports` has the text of each import by each name in it."""

    lines: list[LineSite] = field(default_factory=list)
    calls: list[CallSite] = field(default_factory=list)
    blocks: list[BlockSite] = field(default_factory=list)
    imports: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Walk:
    source: bytes
    grammar: Grammar
    sites: Sites = field(default_factory=Sites)
    rows: dict[int, list[int]] = field(default_factory=dict)
    named_rows: set[int] = field(default_factory=set)
    excluded_rows: set[int] = field(default_factory=set)
    calls: list[tuple[Node, Node, Node]] = field(default_factory=list)
    block_starts: list[int] = field(default_factory=list)


def find_sites(source: bytes, language: str) -> Sites | None:
    """All places of `source` where a hole can be cut; `None` where it cannot be parsed."""
    opened = open_tree(source, language)
    if opened is None or traits_of(language).category != "code":
        return None
    tree, grammar = opened
    walk = _Walk(source, grammar)
    stack: list[tuple[Node, Node]] = [(tree.root_node, tree.root_node)]
    while stack:
        node, statement = stack.pop()
        if not _visit(walk, node, statement):
            continue
        is_block = node.kind_id in grammar.blocks
        stack += [
            (child, child if is_block and child.is_named else statement) for child in node.children
        ]
    _finish_lines(walk)
    _finish_calls(walk)
    return walk.sites


def _visit(walk: _Walk, node: Node, statement: Node) -> bool:
    """Note what `node` is; whether to look below it."""
    grammar = walk.grammar
    first, last = node.start_point[0], node.end_point[0]
    if node.kind_id in grammar.comments:
        walk.excluded_rows.update(range(first, last + 1))
        return False
    if node.kind_id in grammar.strings:
        if last > first:
            walk.excluded_rows.update(range(first, last + 1))
        else:
            walk.rows.setdefault(first, []).append(node.start_byte)
        return False
    if node.is_error or node.is_missing:
        walk.excluded_rows.update(range(first, last + 1))
        return not node.is_error
    if node.child_count == 0:
        if node.end_byte > node.start_byte:
            walk.rows.setdefault(first, []).append(node.start_byte)
            if node.kind_id in grammar.identifiers:
                walk.named_rows.add(first)
        return False
    _apply_rules(walk, node, statement)
    if node.kind_id in grammar.blocks:
        walk.block_starts.append(node.start_byte)
        _note_block(walk, node)
    return True


def _apply_rules(walk: _Walk, node: Node, statement: Node) -> None:
    for rule in walk.grammar.actions.get(node.kind_id, ()):
        role = rule.rule.role
        if role == "refer" and rule.rule.kind == "call":
            if not holds(rule, node, walk.source):
                continue
            callees = resolve(node, rule.name)
            name = last_name(callees[0], walk.grammar) if callees else None
            if name is not None:
                walk.calls.append((node, name, statement))
        elif role == "import" and node.kind_id in walk.grammar.pure_imports:
            # `export function ...` shares its node type with `export ... from "./there"`.
            if not holds(rule, node, walk.source) or not resolve(node, rule.module):
                continue
            walk.excluded_rows.update(range(node.start_point[0], node.end_point[0] + 1))
            if node.end_byte - node.start_byte <= _MAX_IMPORT_BYTES:
                text = walk.source[node.start_byte : node.end_byte].decode("utf-8", "replace")
                for word in _WORD.findall(text):
                    walk.sites.imports.setdefault(word, text)


def _note_block(walk: _Walk, node: Node) -> None:
    """Keep the body of a function or branch; members of types are none."""
    if not _BODY.search(node.type) or _NO_BODY.search(node.type):
        return
    grammar, source = walk.grammar, walk.source
    inner = [child for child in node.named_children if child.kind_id not in grammar.comments]
    if inner and grammar.spec.docstring and _is_docstring(inner[0], grammar):
        del inner[0]
    if not inner or any(child.has_error for child in inner):
        return
    start, end = inner[0].start_byte, inner[-1].end_byte
    text = source[start:end].rstrip()
    line_start = source.rfind(b"\n", 0, start) + 1
    n_lines = sum(1 for line in text.split(b"\n") if line.strip())
    if source[line_start:start].strip() or not MIN_BLOCK_LINES <= n_lines <= MAX_BLOCK_LINES:
        return
    walk.sites.blocks.append(BlockSite(start, start + len(text)))


def _is_docstring(node: Node, grammar: Grammar) -> bool:
    inner = node.named_child(0) if node.named_child_count == 1 else None
    return node.kind_id in grammar.strings or (
        inner is not None and inner.kind_id in grammar.strings
    )


def _finish_lines(walk: _Walk) -> None:
    for row, starts in walk.rows.items():
        if row in walk.excluded_rows or row not in walk.named_rows:
            continue
        starts.sort()
        newline = walk.source.find(b"\n", starts[0])
        end = len(walk.source) if newline < 0 else newline
        text = walk.source[starts[0] : end].rstrip()
        line_start = walk.source.rfind(b"\n", 0, starts[0]) + 1
        is_whole = not walk.source[line_start : starts[0]].strip()
        if is_whole and _MIN_LINE_BYTES <= len(text) <= _MAX_LINE_BYTES:
            walk.sites.lines.append(LineSite(tuple(starts), starts[0] + len(text)))


def _finish_calls(walk: _Walk) -> None:
    source = walk.source
    blocks = sorted(walk.block_starts)

    def opens_block(start: int, end: int) -> bool:
        index = bisect_right(blocks, start)
        return index < len(blocks) and blocks[index] < end

    for node, name, statement in walk.calls:
        start = name.start_byte
        if start < statement.start_byte or opens_block(start, node.end_byte):
            continue
        if opens_block(start, statement.end_byte) or statement.kind_id in walk.grammar.blocks:
            # The header of an `if` or `for`: to the end of its line, not of its body.
            newline = source.find(b"\n", node.end_byte)
            end = len(source) if newline < 0 else newline
        else:
            end = statement.end_byte
        text = source[start:end].rstrip()
        if not text or text.count(b"\n") >= _MAX_CALL_LINES:
            continue
        bracket = source.find(b"(", name.end_byte, node.end_byte)
        before = _QUALIFIER.search(source[max(0, start - _QUALIFIER_WINDOW_BYTES) : start])
        walk.sites.calls.append(
            CallSite(
                name=source[start : name.end_byte].decode("utf-8", "replace"),
                qualifier=before[1].decode() if before else "",
                name_byte=start,
                argument_byte=bracket + 1 if bracket >= 0 else -1,
                end_byte=start + len(text),
            )
        )
