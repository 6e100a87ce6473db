"""Two changes of syntax: a copy of a statement where it never runs.

Only a statement that may be repeated is copied: in Python a name that is assigned in a branch
that never runs is a local one from then on, so that nothing but calls and assignments to what
the function assigns anyway will do; elsewhere a copy must declare nothing and move nothing.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from codebuddy.robustness import statements
from codebuddy.robustness.place import Change, Edit, NothingToChangeError, View

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Node

_NEVER_COPIED = frozenset(
    "yield yield_expression await await_expression named_expression return_statement"
    " break_statement continue_statement lambda closure_expression arrow_function"
    " function_expression func_literal lambda_expression return_expression try_expression"
    " break_expression continue_expression global_statement nonlocal_statement".split()
)
_ASSIGNMENTS = frozenset(
    "assignment augmented_assignment assignment_expression augmented_assignment_expression"
    " update_expression assignment_statement inc_statement dec_statement".split()
)
_CALLS = frozenset("call call_expression method_invocation macro_invocation".split())
_MAX_BYTES = 200
_WORD = re.compile(r"[^\W\d]\w*")
# Not `for _ in ():`, which would make a local name of what may be a global function.
_PYTHON_HEADS = (b"if False:", b"while False:")
_HEADS = {
    "python": _PYTHON_HEADS,
    "javascript": (b"if (false) {", b"while (false) {"),
    "typescript": (b"if (false) {", b"while (false) {"),
    "tsx": (b"if (false) {", b"while (false) {"),
    "java": (b"if (false) {",),
    "go": (b"if false {", b"for false {"),
    "rust": (b"if false {",),
    "c": (b"if (0) {", b"while (0) {"),
    "cpp": (b"if (false) {", b"while (false) {"),
}
_UNIT = b"    "


def insert_anywhere(view: View, rng: random.Random) -> Change:
    """A copy of a statement before the hole, at some place between the two."""
    options: list[tuple[Node, Node]] = []
    for block, inner in statements.around(view):
        before = statements.statements_before(block, inner.start_byte)
        for number, each in enumerate(before):
            if _may_be_copied(view, each):
                options += [(each, target) for target in [*before[number + 1 :], inner]]
    options = [
        pair for pair in options if _is_target(view, pair[1]) and _may_stand_before(view, *pair)
    ]
    if not options:
        raise NothingToChangeError("no statement before the hole may be repeated")
    return _inserted(view, *rng.choice(options), rng)


def insert_last(view: View, rng: random.Random) -> Change:
    """A copy of a statement directly before the one with the hole."""
    blocks = statements.around(view)
    if not blocks or not _is_target(view, blocks[0][1]):
        raise NothingToChangeError("no statement begins on the hole's line")
    target = blocks[0][1]
    options = [
        each
        for block, inner in blocks
        for each in statements.statements_before(block, inner.start_byte)
        if _may_be_copied(view, each)
    ]
    options = [each for each in options if _may_stand_before(view, each, target)]
    if view.language == "java":
        options = [each for each in options if each.parent == blocks[0][0]]
    if not options:
        raise NothingToChangeError("no statement before the hole may be repeated")
    return _inserted(view, rng.choice(options), target, rng)


def _may_stand_before(view: View, copied: Node, target: Node) -> bool:
    """Whether what the copy names is there still: in Rust something between may have moved it."""
    if view.language != "rust":
        return True
    # Names in the braces of a text to be printed are used as well; what is called moves nowhere.
    called, _, arguments = view.text(copied).partition("(")
    names = set(_WORD.findall(arguments)) - set(_WORD.findall(called))
    between = view.nodes(copied.end_byte, target.start_byte)
    return not any(
        each.type == "identifier"
        and each.start_byte >= copied.end_byte
        and view.text(each) in names
        for each in between
    )


def _is_target(view: View, node: Node) -> bool:
    """Whether something may be put before the node: it begins its line, near the hole."""
    is_statement = not node.type.startswith(("else", "elif", "except", "case", "finally"))
    is_comment = node.kind_id in view.grammar.comments
    indent = statements.indent_of(view, node)
    is_near = view.low <= node.start_byte <= view.place.start
    return is_near and is_statement and not is_comment and indent is not None


def _inserted(view: View, copied: Node, target: Node, rng: random.Random) -> Change:
    indent = statements.indent_of(view, target) or b""
    line = target.start_byte - len(indent)
    inner = indent + (b"\t" if b"\t" in indent or view.language == "go" else _UNIT)
    head = rng.choice(_HEADS[view.language])
    text = view.source[copied.start_byte : copied.end_byte]
    if view.language == "rust" and not text.endswith((b";", b"}")):
        text += b";"
    lines = [indent + head, inner + text]
    if head.endswith(b"{"):
        lines.append(indent + b"}")
    return Change((Edit(line, line, b"\n".join(lines) + b"\n"),))


def _may_be_copied(view: View, node: Node) -> bool:
    """Whether a copy of the statement, where it never runs, changes nothing."""
    source = view.source[node.start_byte : node.end_byte]
    is_near = view.low <= node.start_byte
    if not is_near or len(source) > _MAX_BYTES or b"\n" in source or node.has_error:
        return False
    if statements.has_any(node, _NEVER_COPIED):
        return False
    inner = node
    if node.type == "expression_statement" and node.named_child_count == 1:
        inner = node.named_children[0]
    if view.language == "rust":
        return _is_harmless_rust(view, inner)
    if inner.type in _CALLS:
        return True
    return inner.type in _ASSIGNMENTS and _assigns_nothing_new(view, inner)


def _assigns_nothing_new(view: View, node: Node) -> bool:
    """Whether what is assigned is the function's own already; it is, for any other assignment."""
    left = node.child_by_field_name("left") or node
    if view.language != "python":
        # Java's final variables are assigned once, even where that never happens.
        return view.language != "java"
    # The copied statement itself assigns it in the same function.
    function = view.function
    owner = node.parent
    while owner is not None and owner.type not in statements.FUNCTIONS:
        owner = owner.parent
    is_own = owner is not None and function is not None
    is_typed = node.child_by_field_name("type") is not None
    has_value = node.child_by_field_name("right") is not None
    return is_own and has_value and not is_typed and left.type != "pattern_list"


def _is_harmless_rust(view: View, node: Node) -> bool:
    """Whether it is a call that can move nothing: its arguments are borrowed or written out."""
    if node.type == "macro_invocation":
        macro = node.child_by_field_name("macro")
        return macro is not None and view.text(macro) in (
            *("println", "eprintln", "print", "eprint", "debug", "info", "warn", "trace", "assert"),
            *("assert_eq", "assert_ne", "debug_assert"),
        )
    if node.type != "call_expression":
        return False
    arguments = node.child_by_field_name("arguments")
    function = node.child_by_field_name("function")
    if arguments is None or function is None or function.type == "field_expression":
        return False
    harmless = {"reference_expression", *statements.LITERALS}
    return all(each.type in harmless for each in arguments.named_children)
