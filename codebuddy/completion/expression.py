"""The expression at the cursor, read from the text before it: what is called, and on what.

By brackets and patterns that most languages share rather than by a syntax tree: the code is
unfinished exactly here. It may be wrong, and then only asks for a name that is not there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Text before the cursor in which an open bracket is looked for.
_MAX_STATEMENT_CHARACTERS = 2000
# Text before the cursor in which a name's type is looked for, the nearest mention first.
_MAX_LOOKED_BACK_CHARACTERS = 20_000
# A callee's name with its owner and type arguments; a pattern tried at every character of a long
# statement takes most of a decision's time.
_MAX_CALLEE_CHARACTERS = 200
_MAX_BINDINGS = 3
_OPENERS, _CLOSERS = "([{", ")]}"
# Longer names do not occur; without a bound a line of one letter takes quadratic time.
_NAME = r"[^\W\d][\w$]{0,100}+"
_LINK = r"(?:\?\.|\.|->|::)"
_CALLEE = re.compile(
    rf"(?:({_NAME})\s*+{_LINK}\s*+)?({_NAME})\s*+!?(?:::)?(?:<[\w, ]{{0,100}}>)?\s*+\($"
)
_MEMBER = re.compile(rf"({_NAME})\s*+(?:\(\s*+\)\s*+)?{_LINK}\s*+({_NAME})?$")
_WRAPPERS = r"(?:Optional|Option|Box|Rc|Arc|List|list|Vec|Array|Promise|Ref|RefMut)\s*[\[<]\s*+"
_MODIFIERS = r"(?:[&*?]|mut\s|dyn\s|impl\s|const\s|final\s|'\w+\s|['\"]){0,8}"
_OWN = frozenset({"self", "this", "cls", "Self", "super", "static"})


@dataclass(frozen=True, slots=True)
class Expression:
    """What stands right before the cursor.

    `bracket` is the innermost open bracket; `callee` the function whose arguments are being
    written, `callee_owner` what it is called on; `owner` what a member is being named of,
    and `begun` the word that the cursor touches. Empty where there is none.
    """

    bracket: str = ""
    callee: str = ""
    callee_owner: str = ""
    owner: str = ""
    begun: str = ""


def expression_at(prefix: str) -> Expression:
    """The expression that ends where `prefix` does."""
    text = prefix[-_MAX_STATEMENT_CHARACTERS:]
    place = _open_place(text)
    bracket = text[place] if place >= 0 else ""
    called = text[max(0, place + 1 - _MAX_CALLEE_CHARACTERS) : place + 1]
    call = _CALLEE.search(called) if bracket == "(" else None
    line = text.rpartition("\n")[2]
    member = _MEMBER.search(line)
    begun = re.search(rf"{_NAME}$", line)
    return Expression(
        bracket=bracket,
        callee=call.group(2) if call else "",
        callee_owner=(call.group(1) or "") if call else "",
        owner=member.group(1) if member else "",
        begun=begun.group() if begun else "",
    )


def is_own(name: str) -> bool:
    """Whether `name` is the object or type whose code the cursor is in."""
    return name in _OWN


def types_of(name: str, prefix: str) -> list[str]:
    """The types that `name` seems to have, the nearest mention first; itself if it is one.

    From `name: Type`, `name = Type(...)`, `name := &Type{`, `Type name`, and the like.
    """
    if not name or name in _OWN:
        return []
    text = prefix[-_MAX_LOOKED_BACK_CHARACTERS:]
    own = re.escape(name)
    annotated = (
        rf"\b{own}\s*+\??:\s*+{_MODIFIERS}(?:{_WRAPPERS})?{_MODIFIERS}(?:{_NAME}\.)*({_NAME})"
    )
    bound = (
        rf"\b{own}\s*+:?=\s*+{_MODIFIERS}(?:await\s+|new\s+)*((?:{_NAME}(?:\.|::))*{_NAME})\s*[({{]"
    )
    declared = rf"\b([A-Z][\w$]{{0,100}}+)(?:<[^;(){{}}]{{0,200}}>)?[&*\s]++{own}\b\s*+[=;,)(]"
    parameter = rf"\b{own}\s++[*&]?(?:{_NAME}\.)?([A-Z][\w$]{{0,100}}+)\b"
    found: list[tuple[int, str]] = []
    for pattern in (annotated, bound, declared, parameter):
        for match in re.finditer(pattern, text):
            parts = re.split(r"\.|::", match.group(1))
            # `Type::new(...)` and `Type.create(...)` make a Type.
            named = next((part for part in reversed(parts) if part[:1].isupper()), parts[-1])
            found.append((match.end(), named))
    found.sort(reverse=True)
    types = [named for _, named in found[:_MAX_BINDINGS] if named != name]
    return list(dict.fromkeys([name, *types] if name[:1].isupper() else types))


def _open_place(text: str) -> int:
    """Offset of the innermost open bracket, -1 if all are closed; strings are not recognized."""
    depth = 0
    for place in range(len(text) - 1, -1, -1):
        if text[place] in _CLOSERS:
            depth += 1
        elif text[place] in _OPENERS:
            if not depth:
                return place
            depth -= 1
    return -1
