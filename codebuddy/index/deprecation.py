"""Which definitions of a file are marked as deprecated, and what is named instead.

Marks are decorators, attributes and comments in the lines above a name, and the documentation
inside, in any language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from codebuddy.datatypes import Definition
from codebuddy.index.symbols import FoundDefinition
from codebuddy.syntax.rules import spec_of

# The word that each mark holds, in small letters.
WORD = "deprecated"
# What the index knows the words of marks by.
TERMS = (WORD, "deprecate", "obsolete")
_KINDS = frozenset({"function", "method", "class", "interface", "struct"})
# In the lines above the name (decorators, comments), in any language.
_MARK_ABOVE = re.compile(
    r"(?m)^[^\S\n]*+(?:@(?:\w+\.)*deprecated?\b|@Deprecated\b|#\[deprecated|\[\[deprecated|\[Obsolete"
    r"|(?://+|/?\*+|#)\s*(?:@deprecated\b|Deprecated:))"
)
_MARK_INSIDE = re.compile(
    r"\.\.\s+deprecated::|^[^\S\n]*+(?:\"{3}|'{3})?[^\S\n]*+Deprecated[:.]", re.MULTILINE
)
_REPLACEMENT = re.compile(
    r"(?i)(?:use|call|in favou?r of|replaced by|replacement is|prefer|instead use)\s+"
    r"(?:the\s+)?(?::\w+:)?(?:\{@link\s+|[`'\"~.])*(?P<name>[A-Za-z_][\w.]*\w)"
)
_DEFINES = re.compile(r"^[^\S\n]*+(?:async\s+)?(?:def|class)\s", re.MULTILINE)
_LINES_ABOVE = 12
_LINES_INSIDE = 12


def may_mark(text: str) -> bool:
    """Whether a text that holds definitions may mark one as deprecated."""
    return bool(_MARK_ABOVE.search(text) or _MARK_INSIDE.search(text))


def deprecation_mark(
    lines: Sequence[str],
    definition: FoundDefinition | Definition,
    language: str,
    first_line: int = 1,
) -> str:
    """The text that marks a definition as deprecated, empty if nothing does.

    Args:
        lines: Of its file, or of a part with the definition and what stands above it.
        definition: One of that file.
        language: Of that file.
        first_line: The number of the first of `lines`.
    """
    line, end_line = definition.line - first_line + 1, definition.end_line - first_line + 1
    if definition.kind not in _KINDS or not 0 < line <= len(lines):
        return ""
    above: list[str] = []
    for number in range(line - 1, max(0, line - 1 - _LINES_ABOVE), -1):
        text = lines[number - 1]
        if not re.match(r"\s*(?:[@#/*\[\"')\]]|\w+=|$)", text) or not text.strip():
            break
        above.insert(0, text)
    head = "\n".join(above)
    if _MARK_ABOVE.search(head):
        return head
    if not spec_of(language).docstring:
        return ""
    inside = "\n".join(lines[line : min(end_line, line + _LINES_INSIDE)])
    quoted = re.match(r"(?s)([^\"']*?)(\"{3}|'{3})(.*?)\2", inside)
    # What is defined inside has a documentation of its own.
    if quoted is None or _DEFINES.search(quoted[1]):
        return ""
    return quoted[3] if _MARK_INSIDE.search(quoted[3]) else ""


def replacement_named_in(mark: str, name: str) -> str:
    """What the text that marks `name` says to use instead; empty if it says nothing."""
    found = _REPLACEMENT.search(mark)
    return found["name"] if found and found["name"] != name else ""
