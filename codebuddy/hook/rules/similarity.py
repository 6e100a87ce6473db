"""What a function does, whatever its variables are called.

A function becomes a list of tokens in which each local variable is a number, by the order of
first appearance; every other name, literal and sign stays. Two functions with equal lists do
the same. Likeness short of that was tried and left out: `put` differs from `post` in one
literal, `scroll_left` from `scroll_right` in one sign (docs/log.md).
"""

from __future__ import annotations

import re

from codebuddy.hook.state import SourceFile
from codebuddy.index.symbols import FoundDefinition

MAX_TOKENS = 3000

_TOKEN = re.compile(
    r"[A-Za-z_$][\w$]*|\d[\w.]*|\"(?:\\.|[^\"\\\n]){0,400}\"|'(?:\\.|[^'\\\n]){0,400}'|\S",
    re.UNICODE,
)
_NAME = re.compile(r"[A-Za-z_$][\w$]*")
_PARAMETERS = re.compile(r"\(([^()]*(?:\([^()]*\)[^()]*)*)\)")
# A keyword of a call, which looks alike, is written without a blank before its sign.
_BINDING = (
    re.compile(
        r"(?m)^[ \t]*(?:let[ \t]+(?:mut[ \t]+)?|const[ \t]+|var[ \t]+|auto[ \t]+)?"
        r"([\w$]+(?:[ \t]*,[ \t]*[\w$]+)*)"
        r"(?:[ \t]*+:[^=\n]*+(?<=[ \t])=|[ \t]++(?::=|[-+*/|&]?=))(?!=)"
    ),
    re.compile(
        r"\bfor\s*+(?:\(\s*+)?(?:let\s+|const\s+|var\s+)?([\w$]+(?:\s*,\s*[\w$]+)*)\s++(?:in|of)\b"
    ),
    re.compile(r"\bas\s+(\w+)"),
    re.compile(r"(?<!\w)(\w++)\s*+:="),
)
_MAX_COMMENTS = 500
_MAX_CHARACTERS = 100_000
_MAX_HEADER = 4000


def body_text(file: SourceFile, definition: FoundDefinition) -> str:
    """The definition without comments and documentation."""
    from codebuddy.syntax.grammar import grammar_for

    start, end = definition.extent
    grammar = grammar_for(file.language)
    if file.tree is None or grammar is None:
        return file.source[start:end].decode("utf-8", "replace")
    node = file.tree.root_node.descendant_for_byte_range(start, max(start, end - 1))
    cut: list[tuple[int, int]] = []
    stack = [node] if node is not None else []
    while stack and len(cut) < _MAX_COMMENTS:
        each = stack.pop()
        is_statement = each.type == "expression_statement" and each.named_child_count == 1
        is_text = is_statement and each.named_children[0].kind_id in grammar.strings
        if each.kind_id in grammar.comments or is_text:
            cut.append((max(start, each.start_byte), min(end, each.end_byte)))
        else:
            stack.extend(each.named_children)
    pieces, place = [], start
    for first, last in sorted(cut):
        pieces.append(file.source[place:first])
        place = max(place, last)
    pieces.append(file.source[place:end])
    return b" ".join(pieces).decode("utf-8", "replace")


def normalised(text: str, own_name: str) -> list[str]:
    """The tokens of a function with its local variables numbered."""
    text = text[:_MAX_CHARACTERS]
    local = _local_names(text)
    numbers: dict[str, str] = {}
    found = []
    tokens = _TOKEN.findall(text)[:MAX_TOKENS]
    for place, token in enumerate(tokens):
        is_member = place > 0 and tokens[place - 1] == "."
        if token == own_name and not is_member:
            found.append("@")
        elif token in local and not is_member:
            found.append(numbers.setdefault(token, f"#{len(numbers)}"))
        else:
            found.append(token)
    return found


def _local_names(text: str) -> frozenset[str]:
    """Names that the function binds: parameters, assignments, loops, `as`."""
    parameters = _PARAMETERS.search(text[:_MAX_HEADER])
    found: set[str] = set()
    for parameter in parameters[1].split(",") if parameters else ():
        # What follows `:` or `=` is a type or a value; some languages put the type first.
        names = _NAME.findall(re.split(r"[:=]", parameter)[0])
        found.update(names[:1] + names[-1:])
    for pattern in _BINDING:
        for match in pattern.finditer(text):
            found.update(_NAME.findall(match[1]))
    return frozenset(found)
