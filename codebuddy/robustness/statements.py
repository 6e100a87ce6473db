"""Statements and blocks around a hole, for the changes of syntax.

It knows node types of the languages that those changes serve, and no change itself.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from codebuddy.robustness.place import NothingToChangeError, View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codebuddy.syntax.grammar import Node

LANGUAGES = frozenset(
    ["python", "javascript", "typescript", "tsx", "java", "go", "rust", "c", "cpp"]
)
# Blocks of statements, as their grammars call them.
_BLOCKS = frozenset(
    "block statement_block compound_statement statement_list constructor_body".split()
)
FUNCTIONS = frozenset(
    "function_definition lambda function_declaration function_expression arrow_function"
    " method_definition method_declaration lambda_expression func_literal function_item"
    " closure_expression generator_function class_definition class_declaration class_body".split()
)
CALLS = frozenset(
    "call call_expression method_invocation new_expression object_creation_expression"
    " macro_invocation await await_expression yield yield_expression".split()
)
LITERALS = frozenset(
    "integer float string number string_literal number_literal int_literal float_literal"
    " decimal_integer_literal decimal_floating_point_literal integer_literal"
    " interpreted_string_literal char_literal character_literal".split()
)


_MEMBER = re.compile(rb"(?<!\.)(?:\?\.|\.|->|::)\s*\Z")
_LAST_WORD = re.compile(rb"(?<![\w$])[A-Za-z_$][\w$]*\Z")
_WORD = re.compile(rb"[A-Za-z_$][\w$]*")
_OWN = frozenset(b"self cls this Self $this $self".split())
_REACH = 200


def is_of_another(view: View, function: Node, byte: int) -> bool:
    """Whether the name that begins there is a member of something else than the function's own.

    Its own are the instance, its class, and what its header names before it (Go's receiver, a
    scope in C++). Of `store.get` nobody can say whether it is this `get`; words of comments and
    documentation are of nothing.
    """
    before = view.source[max(0, byte - _REACH) : byte]
    member = _MEMBER.search(before)
    node = view.tree.root_node.descendant_for_byte_range(byte, byte)
    if member is None or node is None or node.kind_id not in view.grammar.identifiers:
        return False
    word = _LAST_WORD.search(before[: member.start()].rstrip())
    return word is None or word[0] not in _owners(view, function)


def _owners(view: View, function: Node) -> set[bytes]:
    """Words before a dot that mean the function's own things."""
    named = view.name_of(function)
    end = function.start_byte if named is None else named.start_byte
    found = {*_OWN, *_WORD.findall(view.source, function.start_byte, end)}
    outer = function.parent
    while outer is not None:
        for field in ("name", "type"):
            if (name := outer.child_by_field_name(field)) is not None:
                found.add(view.source[name.start_byte : name.end_byte])
        outer = outer.parent
    return found


def is_block(node: Node) -> bool:
    """Whether its named children are statements of a function."""
    return node.type in _BLOCKS


def around(view: View) -> list[tuple[Node, Node]]:
    """Blocks around the hole inside its function, innermost first, each with its statement there.

    Raises:
        NothingToChangeError: The language is none of these, or there is no function.
    """
    if view.language not in LANGUAGES:
        raise NothingToChangeError("statements are not known in this language")
    function = view.function
    if function is None:
        raise NothingToChangeError("there is no function around the hole")
    found = [
        (outer, inner)
        for outer, inner in itertools.pairwise(view.ancestors)
        if outer.start_byte >= function.start_byte
        and is_block(outer)
        and inner.is_named
        and not is_block(inner)
    ]
    return found[::-1]


def statements_before(block: Node, byte: int) -> list[Node]:
    """The statements of a block that end before a byte, in their order."""
    return [each for each in block.named_children if each.end_byte <= byte]


def below(node: Node) -> Iterator[Node]:
    """The node and all under it, in source order."""
    stack = [node]
    while stack:
        each = stack.pop()
        yield each
        stack += reversed(each.children)


def has_any(node: Node, types: frozenset[str]) -> bool:
    """Whether the node or one under it is of these types."""
    return any(each.type in types for each in below(node))


def names_under(view: View, node: Node) -> set[str]:
    """The identifiers under a node."""
    return {view.text(each) for each in below(node) if each.type == "identifier"}


def indent_of(view: View, node: Node) -> bytes | None:
    """The white space before a node on its line; `None` if something else stands there."""
    line = view.source.rfind(b"\n", 0, node.start_byte) + 1
    before = view.source[line : node.start_byte]
    return None if before.strip() else before


def loops_near(view: View, types: frozenset[str]) -> list[Node]:
    """Loops of the function that begin before the hole, the nearest first."""
    function = view.near
    if function is None or view.language not in LANGUAGES:
        raise NothingToChangeError("there is no function near the hole")
    hole = view.place
    found = [
        node
        for node in view.nodes(function.start_byte, hole.start)
        if node.type in types and function.start_byte < node.start_byte < hole.start
    ]
    return found[::-1]
