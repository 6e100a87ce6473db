"""A change of syntax: the two sides of a comparison in the other order.

Where operators can be overloaded, one side must be a number or text that is written out: such
a comparison asks the other side's type in both orders.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from codebuddy.robustness import statements
from codebuddy.robustness.place import Change, Edit, NothingToChangeError, View

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Node

_MIRRORED = {
    "<": ">",
    ">": "<",
    "<=": ">=",
    ">=": "<=",
    "==": "==",
    "!=": "!=",
    "===": "===",
    "!==": "!==",
}
# Nobody can say what a comparison does in these languages.
_FIXED_OPERATORS = frozenset({"javascript", "typescript", "tsx", "java", "go", "c"})
_COMPARISONS = frozenset({"comparison_operator", "binary_expression"})
_PLAIN = frozenset(
    "identifier attribute member_expression field_access field_expression selector_expression"
    " subscript subscript_expression index_expression array_access property_identifier this self"
    " field_identifier null nil null_literal none None true false unary_operator"
    " unary_expression".split()
)


def swap_operands(view: View, rng: random.Random) -> Change:
    """One comparison before the hole in its function, mirrored."""
    function = view.near
    if view.language not in statements.LANGUAGES or function is None:
        raise NothingToChangeError("there is no function near the hole")
    found = []
    for node in view.nodes(function.start_byte, view.place.start):
        edit = _mirrored(view, node)
        if edit is not None and node.start_byte >= function.start_byte:
            found.append(edit)
    if not found:
        raise NothingToChangeError("no comparison near the hole may be mirrored")
    return Change((rng.choice(found),))


def _mirrored(view: View, node: Node) -> Edit | None:
    if node.type not in _COMPARISONS or node.child_count != 3 or node.has_error:
        return None
    if not view.is_free(node.start_byte, node.end_byte):
        return None
    left, sign, right = node.children
    mirrored = _MIRRORED.get(view.text(sign))
    if mirrored is None or not (_is_plain(left) and _is_plain(right)):
        return None
    is_written = left.type in statements.LITERALS or right.type in statements.LITERALS
    if view.language not in _FIXED_OPERATORS and not is_written:
        return None
    before = view.source[left.end_byte : sign.start_byte]
    after = view.source[sign.end_byte : right.start_byte]
    if b"\n" in before + after:
        return None
    made = view.text(right).encode() + before + mirrored.encode() + after + view.text(left).encode()
    if made == view.source[node.start_byte : node.end_byte]:
        return None
    return Edit(node.start_byte, node.end_byte, made)


def _is_plain(node: Node) -> bool:
    """Whether the operand only names or writes out a value."""
    if node.type in statements.LITERALS:
        return not statements.has_any(node, frozenset({"interpolation"}))
    return node.type in _PLAIN and not statements.has_any(
        node, statements.CALLS | {"update_expression", "assignment_expression"}
    )
