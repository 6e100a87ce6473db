"""What a piece of source is to the eye: keyword, name of a function, string.

It follows from the names of a node, its parent and its field, which grammars choose alike;
all languages go through the same rules. It reads nodes and knows neither lines nor colours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal

from codebuddy.syntax.grammar import Grammar, keywords

if TYPE_CHECKING:
    from tree_sitter import Node

Token = Literal[
    "comment", "string", "escape", "number", "keyword", "constant", "function", "type",
    "property", "decorator", "operator", "punctuation", "tag", "heading", "variable",
]  # fmt: skip

# An open node around: what its leaves are unless they say otherwise, its type, its field.
Ancestor = tuple[Token | None, str, str]

# What a node can be as a whole, with all that is in it.
_COVERING = frozenset({"comment", "string", "heading"})
_MAX_NAME_BYTES = 200
_WORD = re.compile(r"[A-Za-z_]\w*[?!]?")
_CONSTANT_NAME = re.compile(r"_*[A-Z][A-Z0-9_]+")
_TYPE_NAME = re.compile(r"_*+[A-Z](?=\w*?[a-z])\w*+")
_PUNCTUATION = frozenset("( ) [ ] { } , ; . : :: ?. #[ @[ => -> \" ' `".split())
_NUMBER = re.compile(r"(?:^|_)(?:integer|float|number|decimal|int|hex|octal|imaginary)(?:$|_)")
_CONSTANTS = frozenset("true false none null nil undefined boolean self this super iota".split())
_CALLS = re.compile(r"call|invocation|invoke|apply|application|command$|new_expression|invocation")
_CALL_FIELDS = frozenset("function name method macro target constructor".split())
_MEMBER_FIELDS = frozenset("attribute property field name method member".split())
_DEFINES_FUNCTION = re.compile(r"function|method|subroutine|macro|constructor|signature")
_DEFINES_TYPE = re.compile(
    r"class|struct|interface|enum|trait|type(?!d)|object|protocol|module|namespace|impl|record|union"
)
_DECORATES = re.compile(r"decorator|annotation$|attribute_item|marker_annotation")
_INTERPOLATES = re.compile(r"interpolation|substitution|expansion|embedded")


def token_of_node(
    node: Node, field: str, grammar: Grammar, inherited: Token | None
) -> Token | None:
    """What all of a node is, by its own type alone; `None` if that depends on its place."""
    number = node.kind_id
    meaning = _by_type(node.type, is_named=node.is_named)
    if number in grammar.comments:
        meaning = "comment"
    elif number in grammar.strings:
        is_key = field == "key" and grammar.spec.string_keys
        meaning = "property" if is_key else "string"
    elif meaning not in _COVERING and node.child_count:
        return None
    if inherited is not None and meaning not in ("escape", None):
        return inherited
    return meaning


@cache
def _by_type(kind: str, *, is_named: bool) -> Token | None:
    """What a node of this type is, wherever it stands; `None` if that depends."""
    if not is_named:
        if _WORD.fullmatch(kind):
            return "keyword"
        return "punctuation" if kind in _PUNCTUATION else "operator"
    if "escape" in kind:
        return "escape"
    if "comment" in kind:
        return "comment"
    if "heading" in kind:
        return "heading"
    if "interpolat" in kind or ("content" in kind and "string" not in kind):
        return None
    return _by_named_type(kind)


def _by_named_type(kind: str) -> Token | None:
    if kind.removesuffix("_literal") in _CONSTANTS or kind == "none_type":
        return "constant"
    if re.search(
        r"string|char_literal|character_literal|regex|heredoc|raw_text|code_fence_c", kind
    ):
        return "string"
    if kind in ("inline_code_span", "fenced_code_block", "indented_code_block", "code_span"):
        return "string"
    if _NUMBER.search(kind):
        return "number"
    if kind in ("type_identifier", "primitive_type", "predefined_type", "builtin_type"):
        return "type"
    if kind in ("tag_name", "erroneous_end_tag_name"):
        return "tag"
    if kind in ("property_name", "field_identifier", "property_identifier", "attribute_name"):
        return None
    if kind.startswith("keyword_") or kind.endswith("modifier"):
        return "keyword"
    return None


@cache
def is_interpolation(kind: str) -> bool:
    """Whether a node of this type is code within a string."""
    return bool(_INTERPOLATES.search(kind))


def token_of_leaf(
    node: Node, field: str, above: Sequence[Ancestor], source: bytes, language: str
) -> Token | None:
    """What a name is, by where it stands and how it is written."""
    if not node.is_named:
        return None
    # `node.text` would crash: a tree that was read through a callback has no text of its own.
    start, end = node.start_byte, node.end_byte
    text = source[start:end].decode("utf-8", "replace") if end - start <= _MAX_NAME_BYTES else ""
    if above and above[-1][1] == "ERROR" and text in keywords(language):
        # While a line is half typed, what follows is no statement to the grammar yet.
        return "keyword"
    return _of_name(
        node.type,
        field,
        above[-1][1] if above else "",
        above[-1][2] if above else "",
        above[-2][1] if len(above) > 1 else "",
        text,
    )


@cache
def _place_of(
    kind: str, field: str, parent: str, parent_field: str, grandparent: str
) -> Token | None:
    """What a leaf is by its place alone."""
    if _DECORATES.search(parent):
        return "decorator"
    if field in _CALL_FIELDS and _CALLS.search(parent):
        return "function"
    is_member = field in _MEMBER_FIELDS or kind.startswith(("property", "field"))
    if is_member and parent_field in _CALL_FIELDS and _CALLS.search(grandparent):
        return "function"
    if field in ("name", "declarator") and "param" not in parent and not _CALLS.search(parent):
        if _DEFINES_FUNCTION.search(parent):
            return "function"
        if _DEFINES_TYPE.search(parent):
            return "type"
    if field in ("type", "return_type", "superclass", "interface") or parent in (
        "type",
        "user_type",
        "generic_type",
        "type_annotation",
        "named_type",
    ):
        return "type"
    if kind in ("attribute_name", "property_name", "bare_key", "field_identifier"):
        return "property"
    if kind == "property_identifier" or field in ("attribute", "property", "field"):
        return "property"
    return None


@cache
def _is_name(kind: str) -> bool:
    words = ("identifier", "name", "constant", "variable", "word", "id", "key")
    return kind.endswith(words) or "identifier" in kind


def _of_name(
    kind: str, field: str, parent: str, parent_field: str, grandparent: str, text: str
) -> Token | None:
    token = _place_of(kind, field, parent, parent_field, grandparent)
    if token is not None:
        return token
    if not _is_name(kind):
        return None
    if _CONSTANT_NAME.fullmatch(text):
        return "constant"
    if _TYPE_NAME.fullmatch(text) or kind == "constant":
        return "type"
    if text in ("self", "this", "super", "cls"):
        return "constant"
    return "variable"
