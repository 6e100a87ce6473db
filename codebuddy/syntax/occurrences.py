"""Where names stand in a Python or JavaScript file and what each place does with them.

Found by looking for the words in the text and asking the tree about each hit, so that a file
of any size costs as much as the names stand in it. It knows nothing of other files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from codebuddy.syntax.traits import traits_of

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Node, Tree

Role = Literal["call", "read", "bind", "import", "keyword", "decorator"]

_MAX_OCCURRENCES = 2000
_MAX_ANCESTORS = 60
_DOTTED = re.compile(r"[\w$]+(?:\.[\w$]+)*")
_NAME_KINDS = frozenset(
    {
        "identifier",
        "type_identifier",
        "property_identifier",
        "shorthand_property_identifier",
        "shorthand_property_identifier_pattern",
    }
)
_IMPORT_KINDS = frozenset({"import_statement", "import_from_statement", "export_clause"})
_DEFINING_KINDS = frozenset(
    {
        "function_definition",
        "class_definition",
        "function_declaration",
        "generator_function_declaration",
        "class_declaration",
        "method_definition",
        "variable_declarator",
        "type_alias_declaration",
        "interface_declaration",
        "enum_declaration",
        "abstract_class_declaration",
        "public_field_definition",
        "property_signature",
        "method_signature",
        "function_signature",
        "typed_default_parameter",
        "default_parameter",
        "named_expression",
        "keyword_argument",
    }
)
_SCOPES = frozenset(
    {"function_definition", "class_definition", "lambda", "list_comprehension"}
    | {"set_comprehension", "dictionary_comprehension", "generator_expression"}
)
# Names behind a dot, by the kind of the whole: the fields of the name and of what it belongs to.
_MEMBERS = {
    "attribute": ("attribute", "object"),
    "member_expression": ("property", "object"),
    "nested_identifier": ("property", "object"),
    "nested_type_identifier": ("name", "module"),
}
# Python's patterns, in which a name by itself takes a value.
_CAPTURING_KINDS = frozenset({"case_pattern", "keyword_pattern", "union_pattern"})
# Under these a name is bound unless it is the value or the type.
_PATTERN_KINDS = frozenset(
    {
        "parameters",
        "lambda_parameters",
        "typed_parameter",
        "list_splat_pattern",
        "dictionary_splat_pattern",
        "pattern_list",
        "tuple_pattern",
        "list_pattern",
        "as_pattern_target",
        "formal_parameters",
        "required_parameter",
        "optional_parameter",
        "rest_pattern",
        "object_pattern",
        "array_pattern",
        "assignment_pattern",
        "pair_pattern",
        "global_statement",
        "nonlocal_statement",
        "case_pattern",
        "type_parameter",
    }
)


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a call passes."""

    n_positional: int
    keywords: tuple[str, ...]
    has_splat: bool
    has_keyword_splat: bool


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A name at a place.

    `receiver` is what stands before the dot (`self`, `a.b`), `?` for any other expression, and
    `None` without a dot. `class_name` is the enclosing class's where the receiver is `self`
    or `cls`. `n_unpacked` is how many names the call's result is assigned to at once (0 if it
    is not). `is_local` says that a name is bound or imported inside a function or class.
    Lines and columns are 1-based, columns count code points.
    """

    name: str
    line: int
    column: int
    start_byte: int
    role: Role
    receiver: str | None = None
    arguments: Arguments | None = None
    class_name: str = ""
    n_unpacked: int = 0
    is_local: bool = False


def find_occurrences(
    tree: Tree, source: bytes, language: str, names: Iterable[str]
) -> list[Occurrence]:
    """The places of `names` in code, not in comments and strings; at most 2,000."""
    if not traits_of(language).import_syntax:
        return []
    alternatives = b"|".join(
        re.escape(name.encode("utf-8", "surrogateescape")) for name in sorted(set(names)) if name
    )
    if not alternatives:
        return []
    found: list[Occurrence] = []
    root = tree.root_node
    for match in re.finditer(rb"(?<![\w$])(?:" + alternatives + rb")(?![\w$])", source):
        node = root.descendant_for_byte_range(match.start(), match.end())
        if node is None or node.type not in _NAME_KINDS or node.start_byte != match.start():
            continue
        found.append(_occurrence(node, source))
        if len(found) >= _MAX_OCCURRENCES:
            break
    return found


def _occurrence(node: Node, source: bytes) -> Occurrence:
    name = source[node.start_byte : node.end_byte].decode("utf-8", "replace")
    row, byte_column = node.start_point
    before = source[node.start_byte - byte_column : node.start_byte]
    place = (row + 1, len(before.decode("utf-8", "replace")) + 1, node.start_byte)
    parent = node.parent
    receiver: str | None = None
    whole = node
    if parent is not None and parent.type in _MEMBERS:
        field, owner = _MEMBERS[parent.type]
        last = parent.child_by_field_name(field)
        if last is not None and last.start_byte == node.start_byte:
            receiver = _receiver(parent.child_by_field_name(owner), source)
            whole, parent = parent, parent.parent
    if parent is None:
        return Occurrence(name, *place, "read", receiver)
    call = _call_of(whole, parent)
    if call is None:
        role = _role(whole, parent, receiver)
        is_local = role in ("bind", "import") and _is_local(node)
        return Occurrence(name, *place, role, receiver, is_local=is_local)
    return Occurrence(
        name,
        *place,
        "call",
        receiver,
        _arguments(call, source),
        _class_around(call, source) if receiver in ("self", "cls", "super()") else "",
        _n_unpacked(call),
    )


def _receiver(node: Node | None, source: bytes) -> str:
    text = (
        "" if node is None else source[node.start_byte : node.end_byte].decode("utf-8", "replace")
    )
    return text if _DOTTED.fullmatch(text) or text == "super()" else "?"


def _call_of(whole: Node, parent: Node) -> Node | None:
    """The call whose callee `whole` is."""
    fields = {"call": "function", "call_expression": "function", "new_expression": "constructor"}
    field = fields.get(parent.type)
    if field is None:
        return None
    callee = parent.child_by_field_name(field)
    if callee is None or callee.byte_range != whole.byte_range:
        return None
    return parent


def _arguments(call: Node, source: bytes) -> Arguments:
    node = call.child_by_field_name("arguments")
    n_positional = 0
    keywords: list[str] = []
    has_splat = has_keyword_splat = False
    if node is None or node.type in ("generator_expression", "template_string"):
        return Arguments(int(node is not None), (), has_splat=False, has_keyword_splat=False)
    for child in node.named_children:
        if child.type == "keyword_argument":
            name = child.child_by_field_name("name")
            if name is not None:
                keywords.append(source[name.start_byte : name.end_byte].decode("utf-8", "replace"))
        elif child.type in ("list_splat", "spread_element"):
            has_splat = True
        elif child.type == "dictionary_splat":
            has_keyword_splat = True
        elif child.type != "comment":
            n_positional += 1
    return Arguments(n_positional, tuple(keywords), has_splat, has_keyword_splat)


def _n_unpacked(call: Node) -> int:
    """How many names `a, b = call(...)` assigns to; 0 for anything else."""
    value, parent = call, call.parent
    if parent is not None and parent.type in ("await", "await_expression"):
        value, parent = parent, parent.parent
    if parent is None or parent.type != "assignment":
        return 0
    right = parent.child_by_field_name("right")
    left = parent.child_by_field_name("left")
    if right is None or left is None or right.start_byte != value.start_byte:
        return 0
    if left.type not in ("pattern_list", "tuple_pattern"):
        return 0
    if any(child.type == "list_splat_pattern" for child in left.named_children):
        return 0
    return left.named_child_count


def _class_around(node: Node, source: bytes) -> str:
    outer = node.parent
    for _ in range(_MAX_ANCESTORS):
        if outer is None:
            break
        if outer.type == "class_definition":
            name = outer.child_by_field_name("name")
            if name is not None:
                return source[name.start_byte : name.end_byte].decode("utf-8", "replace")
        outer = outer.parent
    return ""


def _is_local(node: Node) -> bool:
    """Whether a name that is bound here is not one of the module's."""
    inner, outer = node, node.parent
    for _ in range(_MAX_ANCESTORS):
        if outer is None or outer.type == "global_statement":
            return False
        if outer.type in _SCOPES:
            # The definition's own name is bound around it.
            name = outer.child_by_field_name("name")
            if name is None or name.start_byte != inner.start_byte:
                return True
        inner, outer = outer, outer.parent
    return True


def _role(whole: Node, parent: Node, receiver: str | None) -> Role:
    kind = parent.type
    if kind == "decorator":
        return "decorator"
    if receiver is not None:
        return _assigned(whole, parent)
    if kind == "keyword_argument":
        named = parent.child_by_field_name("name")
        return "keyword" if named is not None and named.start_byte == whole.start_byte else "read"
    if kind in _DEFINING_KINDS:
        named = parent.child_by_field_name("name")
        if named is not None and named.start_byte == whole.start_byte:
            return "bind"
        return "read"
    if _is_imported(whole):
        return "import"
    if _is_captured(whole, parent):
        return "bind"
    if kind == "keyword_pattern" or (
        whole.type == "property_identifier" and kind not in _PATTERN_KINDS
    ):
        # The name of an argument, or the key of an object: no variable.
        return "keyword"
    if kind in _PATTERN_KINDS:
        value = parent.child_by_field_name("value") or parent.child_by_field_name("right")
        is_value = value is not None and value.start_byte == whole.start_byte
        return "bind" if not is_value or kind == "pair_pattern" else "read"
    return _assigned(whole, parent)


def _assigned(whole: Node, parent: Node) -> Role:
    fields = {
        "assignment": "left",
        "augmented_assignment": "left",
        "assignment_expression": "left",
        "for_statement": "left",
        "for_in_clause": "left",
        "for_in_statement": "left",
        "as_pattern": "alias",
        "catch_clause": "parameter",
        "arrow_function": "parameter",
    }
    field = fields.get(parent.type)
    target = parent.child_by_field_name(field) if field else None
    is_target = target is not None and target.start_byte == whole.start_byte
    return "bind" if is_target else "read"


def _is_captured(whole: Node, parent: Node) -> bool:
    """Whether a name in a `case` of Python's takes a value there."""
    outer = parent.parent
    if outer is None:
        return False
    if parent.type == "dotted_name":
        return parent.named_child_count == 1 and outer.type in _CAPTURING_KINDS
    if parent.type == "as_pattern":
        return outer.type == "case_pattern" and whole.start_byte > parent.start_byte
    return parent.type == "splat_pattern"


def _is_imported(node: Node) -> bool:
    outer = node.parent
    for _ in range(4):
        if outer is None:
            return False
        if outer.type in _IMPORT_KINDS:
            return True
        outer = outer.parent
    return False
