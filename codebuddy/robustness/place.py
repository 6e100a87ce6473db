"""A place in a file, what syntax says of it, and edits that leave its hole where it belongs.

A place is a file with a hole: the bytes that a completion will be asked for. Transformations
make edits; `apply` keeps track of the hole. It knows neither the transformations nor models.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from codebuddy.syntax.node_queries import declared, holds, resolve
from codebuddy.syntax.scope import open_tree
from codebuddy.syntax.spec import FUNCTION_KINDS

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Grammar, Node, Tree

# What a prompt holds of a file with the usual budgets, in bytes. What is changed elsewhere the
# model never sees, so that it would count as robust for nothing.
REACH_BEFORE, REACH_AFTER = 2000, 600
_WORD = re.compile(rb"[A-Za-z_$][\w$]*")


class NothingToChangeError(Exception):
    """A transformation does not apply; its text says why, as a clause."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file and the hole `start`..`end` in its bytes."""

    source: bytes
    language: str
    start: int
    end: int

    @property
    def hole(self) -> bytes:
        """What stands in the hole."""
        return self.source[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Edit:
    """The bytes `start`..`end` give way to `text`."""

    start: int
    end: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """What a transformation wants: edits, and new names by the old ones."""

    edits: tuple[Edit, ...]
    names: Mapping[str, str] = field(default_factory=dict)


def apply(place: Place, edits: Sequence[Edit]) -> Place:
    """The place after the edits, which must not overlap each other or the hole's edges.

    What is put in exactly before the hole belongs to what stands before it.
    """
    parts: list[bytes] = []
    at, start, end = 0, place.start, place.end
    for edit in sorted(edits, key=lambda each: (each.start, each.end)):
        parts += [place.source[at : edit.start], edit.text]
        at = edit.end
        grown = len(edit.text) - (edit.end - edit.start)
        if edit.end <= place.start:
            start += grown
            end += grown
        elif edit.end <= place.end and edit.start < place.end:
            end += grown
    parts.append(place.source[at:])
    return Place(b"".join(parts), place.language, start, end)


class View:
    """A place with its tree; what several transformations ask of it is found once.

    `low` and `high` bound what may be changed near the hole, on whole lines; with
    `is_whole` that is the whole file.
    """

    def __init__(self, place: Place, tree: Tree, grammar: Grammar, *, is_whole: bool) -> None:
        self.place, self.tree, self.grammar = place, tree, grammar
        source = place.source
        low = 0 if is_whole else max(0, place.start - REACH_BEFORE)
        high = len(source) if is_whole else min(len(source), place.end + REACH_AFTER)
        self.low = source.rfind(b"\n", 0, low) + 1 if low else 0
        newline = source.find(b"\n", high)
        self.high = len(source) if newline < 0 else newline

    @property
    def source(self) -> bytes:
        """The file."""
        return self.place.source

    @property
    def language(self) -> str:
        """The file's language."""
        return self.place.language

    def text(self, node: Node) -> str:
        """What stands at a node."""
        return self.source[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def is_free(self, start: int, end: int) -> bool:
        """Whether the bytes may be changed: near the hole, and no part of it."""
        hole = self.place
        is_outside = end <= hole.start or start >= hole.end
        return self.low <= start and end <= self.high and is_outside

    def nodes(self, low: int | None = None, high: int | None = None) -> Iterator[Node]:
        """Every node between the bytes, outer ones first, in source order; strings whole."""
        low = self.low if low is None else low
        high = self.high if high is None else high
        stack = [self.tree.root_node]
        while stack:
            node = stack.pop()
            if node.end_byte <= low or node.start_byte >= high:
                continue
            yield node
            stack += reversed(node.children)

    @cached_property
    def comments(self) -> list[Node]:
        """Comments that may be changed, in their order."""
        kinds = self.grammar.comments
        return [
            node
            for node in self.nodes()
            if node.kind_id in kinds and self.is_free(node.start_byte, node.end_byte)
        ]

    @cached_property
    def docstrings(self) -> list[Node]:
        """Docstrings that may be changed, where a language has such, in their order."""
        return [
            node
            for node in self.nodes()
            if self.is_docstring(node) and self.is_free(node.start_byte, node.end_byte)
        ]

    def is_docstring(self, node: Node) -> bool:
        """Whether the node is a string that documents the body it begins, near the hole or not."""
        statement = node.parent
        if not self.grammar.spec.docstring or node.kind_id not in self.grammar.strings:
            return False
        if statement is None or statement.type != "expression_statement":
            return False
        body = statement.parent
        if statement.named_child_count != 1 or body is None:
            return False
        first = _first_statement(body, self.grammar)
        return first is not None and first.start_byte == statement.start_byte

    @cached_property
    def names(self) -> frozenset[str]:
        """Words that code near the hole uses as names."""
        kinds = self.grammar.identifiers
        return frozenset(
            self.text(node)
            for node in self.nodes()
            if node.kind_id in kinds and not node.named_child_count
        )

    @cached_property
    def words(self) -> frozenset[bytes]:
        """Every word of the file, whatever it stands in."""
        return frozenset(_WORD.findall(self.source))

    @cached_property
    def ancestors(self) -> list[Node]:
        """The nodes around the beginning of the hole, outermost first."""
        cursor, found = self.tree.root_node.walk(), [self.tree.root_node]
        while cursor.goto_first_child_for_byte(self.place.start) is not None:
            node = cursor.node
            if node is None or node.start_byte > self.place.start:
                break
            found.append(node)
        return found

    @cached_property
    def function(self) -> Node | None:
        """The innermost definition of a function around the hole, the hole in its body."""
        for node in reversed(self.ancestors):
            if self.body_of(node) is not None:
                return node
        return None

    @cached_property
    def near(self) -> Node | None:
        """The function around the hole, or else the last one near before it."""
        if self.function is not None:
            return self.function
        found = None
        for node in self.nodes():
            is_before = node.start_byte >= self.low and node.end_byte <= self.place.start
            if is_before and self.is_function(node):
                found = node
        return found

    def is_function(self, node: Node) -> bool:
        """Whether the node defines a function."""
        return self._body(node) is not None

    def body_of(self, node: Node) -> Node | None:
        """The body of a function that has the hole in it; `None` for anything else."""
        body = self._body(node)
        is_around = body is not None and body.start_byte <= self.place.start < body.end_byte
        return body if is_around else None

    def header_end(self, function: Node) -> int:
        """The byte where a function's body begins."""
        body = self._body(function)
        return function.end_byte if body is None else body.start_byte

    def _body(self, node: Node) -> Node | None:
        for rule in self.grammar.actions.get(node.kind_id, ()):
            if rule.rule.role != "define" or rule.rule.kind not in FUNCTION_KINDS:
                continue
            if holds(rule, node, self.source):
                found = resolve(node, rule.body)
                if found:
                    return found[0]
        return None

    def name_of(self, function: Node) -> Node | None:
        """The node of a function's name."""
        for rule in self.grammar.actions.get(function.kind_id, ()):
            if rule.rule.role == "define" and holds(rule, function, self.source):
                found = resolve(function, rule.name)
                if found:
                    return declared(found[0], self.grammar)
        return None

    @cached_property
    def strings(self) -> list[tuple[int, int]]:
        """The bytes of all string literals of the file, outermost ones, in their order."""
        found: list[tuple[int, int]] = []
        stack = [self.tree.root_node]
        while stack:
            node = stack.pop()
            if node.kind_id in self.grammar.strings:
                start = node.start_byte
                line = self.source.rfind(b"\n", 0, start) + 1
                if "heredoc" in node.type and not self.source[line:start].strip():
                    # Without a quote at its beginning, and some grammars leave its indentation out.
                    start = line - 1
                found.append((start, node.end_byte))
            else:
                stack += reversed(node.children)
        return found

    def is_in_string(self, byte: int) -> bool:
        """Whether the byte lies inside a string literal, behind its first one."""
        at = bisect_right(self.strings, (byte, -1)) - 1
        return at >= 0 and self.strings[at][0] < byte < self.strings[at][1]


def open_view(place: Place, *, is_whole: bool = False) -> View:
    """The view of a place.

    Raises:
        NothingToChangeError: The file cannot be parsed.
    """
    opened = open_tree(place.source, place.language)
    if opened is None:
        raise NothingToChangeError("the file cannot be parsed")
    return View(place, *opened, is_whole=is_whole)


def _first_statement(body: Node, grammar: Grammar) -> Node | None:
    for child in body.named_children:
        if child.kind_id not in grammar.comments:
            return child
    return None
