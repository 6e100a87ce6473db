"""Two changes of syntax: `for` loops as `while` loops, and back.

A loop is rewritten only where that is known to be the same: it has no `continue` and no `else`,
its variable is not used outside, and its body changes neither the variable nor the bound.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codebuddy.robustness import statements
from codebuddy.robustness.place import Change, Edit, NothingToChangeError, View

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Node

_FORS = frozenset({"for_statement", "for_expression"})
_WHILES = frozenset({"while_statement", "for_statement"})
_C_LIKE = frozenset({"javascript", "typescript", "tsx", "java", "c", "cpp"})
_LEAVING = frozenset({"continue_statement", "continue_expression"})
_STABLE = re.compile(r"[A-Za-z_]\w*|\d+")
_LENGTH = re.compile(r"len\(([A-Za-z_]\w*)\)")
# What makes a list or tuple for certain.
_SEQUENCES = frozenset("list tuple list_comprehension".split())
_MAKES_LIST = re.compile(r"(?:sorted|list)\(|.*\.split(?:lines)?\([^()]*\)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Loop:
    """A loop and what its rewriting needs: its body, and the white space before it on its line."""

    node: Node
    body: Node
    indent: bytes


def for_to_while(view: View, _rng: random.Random) -> Change:
    """The nearest `for` loop around or before the hole that can be a `while` loop."""
    for node in statements.loops_near(view, _FORS):
        loop = _loop(view, node)
        if loop is None or (view.language != "python" and statements.has_any(loop.body, _LEAVING)):
            continue
        edits = _rewritten(view, loop)
        if edits and all(view.is_free(each.start, each.end) for each in edits):
            return Change(tuple(edits))
    raise NothingToChangeError("no for loop near the hole can be a while loop")


def while_to_for(view: View, _rng: random.Random) -> Change:
    """The nearest `while (cond)` as `for (; cond; )`."""
    if view.language not in _C_LIKE | {"go"}:
        raise NothingToChangeError("the language has no for loop with a condition alone")
    for node in statements.loops_near(view, _WHILES):
        edits = _as_for(view, node)
        if edits and all(view.is_free(each.start, each.end) for each in edits):
            return Change(tuple(edits))
    raise NothingToChangeError("there is no while loop near the hole")


def _loop(view: View, node: Node) -> _Loop | None:
    body = node.child_by_field_name("body")
    indent = statements.indent_of(view, node)
    if body is None or indent is None or node.has_error:
        return None
    outer = node.parent
    if outer is not None and outer.type == "expression_statement":
        outer = outer.parent
    if outer is None or not statements.is_block(outer):
        # Two statements can stand in a block only; a label is for the loop.
        return None
    return _Loop(node, body, indent)


def _rewritten(view: View, loop: _Loop) -> list[Edit]:
    if view.language == "python":
        return _python(view, loop)
    if view.language == "rust":
        return _rust(view, loop)
    if view.language == "go":
        return _go(view, loop)
    return _c_like(view, loop)


def _python(view: View, loop: _Loop) -> list[Edit]:
    left = loop.node.child_by_field_name("left")
    right = loop.node.child_by_field_name("right")
    body = [e for e in loop.body.named_children if e.kind_id not in view.grammar.comments]
    is_async = view.source[loop.node.start_byte :].startswith(b"async")
    if left is None or right is None or not body or is_async:
        return []
    inner = statements.indent_of(view, body[0])
    if inner is None or loop.node.child_by_field_name("alternative") is not None:
        return []
    made = _counting(view, loop, left, right) or _iterating(view, left, right)
    if made is None:
        return []
    first, head, inside, last = made
    # Not the last colon before the body, which may stand in a comment.
    header_end = next(e.end_byte for e in loop.node.children if view.text(e) == ":")
    new = f"{first}\n{loop.indent.decode()}{head}"
    for depth, line in inside:
        unit = inner[len(loop.indent) :].decode()
        new += f"\n{inner.decode()}{unit * depth}{line}"
    edits = [Edit(loop.node.start_byte, header_end, new.encode())]
    if last:
        end = body[-1].end_byte
        edits.append(Edit(end, end, b"\n" + inner + last.encode()))
    return edits


# The line before the loop, its header, lines at its beginning by depth, and its last line.
_Parts = tuple[str, str, list[tuple[int, str]], str]


def _counting(view: View, loop: _Loop, left: Node, right: Node) -> _Parts | None:
    """With a number that counts, where the loop is over a range or a list."""
    name = view.text(left)
    is_inside = statements.has_any(loop.body, statements.FUNCTIONS | _LEAVING)
    if left.type != "identifier" or is_inside or not _is_private(view, name, loop):
        return None
    counted = _counted(view, right)
    if counted is not None:
        start, stop, step = counted
        if not _is_stable(view, stop, loop):
            return None
        return f"{name} = {start}", f"while {name} < {stop}:", [], f"{name} += {step}"
    sequence, index = _sequence(view, right, loop), _fresh(view, "index", "position")
    if sequence is None or index is None:
        return None
    inside = [(0, f"{name} = {sequence}[{index}]")]
    return f"{index} = 0", f"while {index} < len({sequence}):", inside, f"{index} += 1"


def _iterating(view: View, left: Node, right: Node) -> _Parts | None:
    """With an iterator, which is what the language does with any other loop."""
    iterator = _fresh(view, "iterator", "remaining")
    if iterator is None or _shadows(view):
        return None
    value = view.text(right)
    if "\n" in value or right.type in ("pattern_list", "expression_list"):
        return None
    inside = [
        (0, "try:"),
        (1, f"{view.text(left)} = next({iterator})"),
        (0, "except StopIteration:"),
        (1, "break"),
    ]
    return f"{iterator} = iter({value})", "while True:", inside, ""


def _shadows(view: View) -> bool:
    """Whether the file gives other things the names that are needed."""
    return re.search(rb"\b(?:iter|next)\s*=[^=]|def (?:iter|next)\b", view.source) is not None


def _fresh(view: View, *names: str) -> str | None:
    """The first name that the file does not have."""
    return next((each for each in names if each.encode() not in view.words), None)


def _counted(view: View, call: Node) -> tuple[str, str, str] | None:
    """Start, stop and step of `range(...)`."""
    function = call.child_by_field_name("function")
    arguments = call.child_by_field_name("arguments")
    if call.type != "call" or function is None or arguments is None:
        return None
    given = [view.text(each) for each in arguments.named_children]
    if view.text(function) != "range" or not 1 <= len(given) <= 3 or b"range" not in view.words:
        return None
    start, stop = (given[0], given[1]) if len(given) > 1 else ("0", given[0])
    step = given[2] if len(given) == 3 else "1"
    if not step.isdigit() or step == "0" or not (start.isdigit() or _STABLE.fullmatch(start)):
        return None
    return start, stop, step


def _is_stable(view: View, bound: str, loop: _Loop) -> bool:
    """Whether the bound is the same each time round."""
    length = _LENGTH.fullmatch(bound)
    if length:
        return _is_only_read(view, length[1], loop)
    if not _STABLE.fullmatch(bound):
        return False
    return bound.isdigit() or bound not in _assigned(view, loop.body)


def _is_only_read(view: View, name: str, loop: _Loop) -> bool:
    """Whether the body asks a sequence for items and does nothing else with it."""
    if name in _assigned(view, loop.body):
        return False
    for each in statements.below(loop.body):
        if each.type != "identifier" or view.text(each) != name:
            continue
        parent = each.parent
        is_item = parent is not None and parent.type == "subscript"
        target = parent.parent if parent is not None else None
        left = target.child_by_field_name("left") if target is not None else None
        is_target = left is not None and parent is not None and left.start_byte == parent.start_byte
        if not is_item or is_target or (target is not None and target.type == "delete_statement"):
            return False
    return True


def _sequence(view: View, right: Node, loop: _Loop) -> str | None:
    """The name looped over, where it is a list or tuple for certain and stays as it is."""
    name = view.text(right)
    function = view.near
    if right.type != "identifier" or function is None or not _is_only_read(view, name, loop):
        return None
    values = []
    for each in statements.below(function):
        left = each.child_by_field_name("left")
        if left is None or each.type not in ("assignment", "augmented_assignment", "for_statement"):
            continue
        if name in statements.names_under(view, left):
            values.append(each.child_by_field_name("right") if left.type == "identifier" else None)
    if len(values) != 1 or values[0] is None:
        return None
    value = values[0]
    is_list = value.type in _SEQUENCES or _MAKES_LIST.match(view.text(value)) is not None
    return name if is_list else None


def _assigned(view: View, node: Node) -> set[str]:
    """Names that are assigned, or changed in place, anywhere under a node."""
    found: set[str] = set()
    for each in statements.below(node):
        for field in ("left", "name", "argument", "pattern", "alias"):
            child = each.child_by_field_name(field)
            is_change = "assign" in each.type or "declar" in each.type or "update" in each.type
            is_change = is_change or each.type in (
                *("for_statement", "for_in_clause", "named_expression", "for_expression"),
                *("enhanced_for_statement", "for_range_loop", "range_clause", "init_declarator"),
            )
            if child is not None and is_change:
                found |= statements.names_under(view, child)
        if each.type in ("inc_statement", "dec_statement", "as_pattern_target", "delete_statement"):
            found |= statements.names_under(view, each)
        if each.type in ("reference_expression", "pointer_expression", "unary_expression"):
            # Whoever has its address may change it.
            found |= statements.names_under(view, each)
    return found


def _is_private(view: View, name: str, loop: _Loop) -> bool:
    """Whether the function has the name in this loop alone, and the body does not change it."""
    function = view.near
    if function is None or name in _assigned(view, loop.body):
        return False
    start, end = loop.node.start_byte, loop.node.end_byte
    for each in statements.below(function):
        if each.child_count or view.text(each) != name:
            continue
        if not start <= each.start_byte < end:
            return False
    return True


def _c_like(view: View, loop: _Loop) -> list[Edit]:
    node, body = loop.node, loop.body
    initializer = node.child_by_field_name("initializer") or node.child_by_field_name("init")
    condition = node.child_by_field_name("condition")
    update = node.child_by_field_name("update") or node.child_by_field_name("increment")
    if node.type != "for_statement" or initializer is None or condition is None or update is None:
        return []
    if any(len(node.children_by_field_name(each)) > 1 for each in ("init", "update")):
        # Java's `i++, j--` are two, and would be two statements.
        return []
    if not statements.is_block(body) or statements.has_any(body, statements.FUNCTIONS):
        return []
    declared = statements.names_under(view, initializer)
    bound = statements.names_under(view, condition)
    names = {each for each in declared if each in view.text(update)}
    # What is declared beside it (`n = items.length`) would be seen behind the loop, too.
    names |= _declared(view, initializer)
    if len(names) != 1 or not _is_private(view, next(iter(names)), loop):
        return []
    if bound & _assigned(view, body):
        return []
    start = view.text(initializer).rstrip().rstrip(";") + ";"
    test = view.text(condition).rstrip().rstrip(";")
    head = f"{start}\n{loop.indent.decode()}while ({test}) "
    tail = _last_in_block(view, loop, view.text(update) + ";")
    return [Edit(node.start_byte, body.start_byte, head.encode()), tail] if tail else []


def _declared(view: View, initializer: Node) -> set[str]:
    """The names that a loop's first part declares."""
    found = set()
    for each in statements.below(initializer):
        if each.type in ("variable_declarator", "init_declarator"):
            name = each.child_by_field_name("name") or each.child_by_field_name("declarator")
            if name is not None:
                found |= statements.names_under(view, name)
    return found


def _go(view: View, loop: _Loop) -> list[Edit]:
    clause = next((e for e in loop.node.named_children if e.type == "for_clause"), None)
    if clause is None:
        return []
    initializer = clause.child_by_field_name("initializer")
    condition = clause.child_by_field_name("condition")
    update = clause.child_by_field_name("update")
    if initializer is None or condition is None or update is None:
        return []
    if statements.has_any(loop.body, statements.FUNCTIONS):
        return []
    left = initializer.child_by_field_name("left")
    names = set() if left is None else statements.names_under(view, left)
    if len(names) != 1 or not _is_private(view, next(iter(names)), loop):
        return []
    if statements.names_under(view, condition) & _assigned(view, loop.body):
        return []
    head = f"{view.text(initializer)}\n{loop.indent.decode()}for {view.text(condition)} "
    tail = _last_in_block(view, loop, view.text(update))
    edit = Edit(loop.node.start_byte, loop.body.start_byte, head.encode())
    return [edit, tail] if tail else []


def _rust(view: View, loop: _Loop) -> list[Edit]:
    pattern = loop.node.child_by_field_name("pattern")
    value = loop.node.child_by_field_name("value")
    if pattern is None or pattern.type != "identifier" or value is None:
        return []
    parts = re.fullmatch(r"(\w+)\.\.(\w+)", view.text(value))
    name = view.text(pattern)
    if value.type != "range_expression" or parts is None or not _is_private(view, name, loop):
        return []
    if parts[2] in _assigned(view, loop.body) or statements.has_any(
        loop.body, statements.FUNCTIONS
    ):
        return []
    head = f"let mut {name} = {parts[1]};\n{loop.indent.decode()}while {name} < {parts[2]} "
    tail = _last_in_block(view, loop, f"{name} += 1;")
    edit = Edit(loop.node.start_byte, loop.body.start_byte, head.encode())
    return [edit, tail] if tail else []


def _last_in_block(view: View, loop: _Loop, text: str) -> Edit | None:
    """Put a statement behind the last one of a body in braces."""
    last = [each for each in loop.body.named_children if each.kind_id not in view.grammar.comments]
    if last and statements.is_block(last[-1]) and last[-1].type == "statement_list":
        last = last[-1].named_children
    if not last:
        return None
    inner = statements.indent_of(view, last[-1])
    if inner is None:
        return None
    end = last[-1].end_byte
    if view.language == "rust" and not view.text(last[-1]).endswith((";", "}")):
        return None
    line = view.source.find(b"\n", end, loop.body.end_byte)
    at = end if line < 0 else line
    if view.source[end:at].strip(b" \t;"):
        return None
    return Edit(at, at, b"\n" + inner + text.encode())


def _as_for(view: View, node: Node) -> list[Edit]:
    body = node.child_by_field_name("body")
    if body is None or node.has_error:
        return []
    if view.language == "go":
        head = [each for each in node.named_children if each.byte_range != body.byte_range]
        if len(head) != 1 or head[0].type in ("for_clause", "range_clause"):
            return []
        test = view.text(head[0])
        return [Edit(node.start_byte, body.start_byte, f"for ; {test}; ".encode())]
    condition = node.child_by_field_name("condition")
    if node.type != "while_statement" or condition is None:
        return []
    test = view.text(condition).strip()
    if not test.startswith("(") or not test.endswith(")"):
        return []
    made = f"for (; {test[1:-1].strip()}; )".encode()
    return [Edit(node.start_byte, condition.end_byte, made)]
