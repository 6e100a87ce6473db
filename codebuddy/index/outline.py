"""A chunk without its bodies: the headers of its definitions and what their documentation says.

For a call, the signature and a line of documentation hold nearly all information, in a tenth of the
chunk's tokens. It reads nothing but the chunk and the definitions that it is given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from codebuddy.datatypes import Chunk, Definition
from codebuddy.index.file_lines import has_own_lines
from codebuddy.syntax.documentation import comment_above, first_line_of_literal
from codebuddy.syntax.grammar import line_comment
from codebuddy.syntax.rules import spec_of
from codebuddy.syntax.spec import VALUE_KINDS

_INDENT = "    "
_MAX_HEADER_LINES = 12
_MAX_DOC_CHARACTERS = 2_000
_LITERAL_OPENING = re.compile(r"""[rRuU]?("{3}|'{3}|"|')""")
# In a class or a record these are what it holds.
_MEMBER_KINDS = frozenset({"field", "property", "constant"})


def signature_form(chunk: Chunk, definitions: Sequence[Definition]) -> str:
    """The chunk's definitions, each as its header and its documentation's first line.

    Args:
        chunk: Any chunk; one that lies within a definition gives that one's header.
        definitions: Those of the chunk's file.

    Returns:
        Lines as a reader of the language knows them, without a final line break; empty for a
        chunk that defines nothing.
    """
    inside = [each for each in definitions if each.chunk_id == chunk.id]
    shown = [each for each in inside if each.kind not in VALUE_KINDS]
    if not shown:
        shown = [each for each in inside if each.kind not in _MEMBER_KINDS] or inside
    if not shown:
        return chunk.signature
    lines = chunk.text.split("\n")
    has_docstrings = spec_of(chunk.language).docstring
    has_lines = has_own_lines(chunk)
    found: list[str] = []
    for each in sorted(shown, key=lambda each: each.line):
        place = each.line - chunk.start_line if has_lines else -1
        written = lines[place] if 0 <= place < len(lines) else ""
        indent = written[: len(written) - len(written.lstrip())]
        doc = _doc_of(chunk, lines, place)
        if has_docstrings and each.kind not in VALUE_KINDS:
            found.append(f"{indent}{each.signature}")
            found += [f'{indent}{_INDENT}"""{doc}"""'] if doc else []
            continue
        mark = line_comment(chunk.language)
        found += [f"{indent}{mark} {doc}"] if doc else []
        found.append(f"{indent}{each.signature}")
    return "\n".join(dict.fromkeys(found))


def _doc_of(chunk: Chunk, lines: Sequence[str], place: int) -> str:
    """The first line of the documentation of what is defined at line `place` of the chunk."""
    if not 0 <= place < len(lines):
        return ""
    if not spec_of(chunk.language).docstring:
        source = "\n".join(lines[: place + 1]).encode("utf-8", "replace")
        return comment_above(source, len(source), line_comment(chunk.language))
    for below in range(place, min(place + _MAX_HEADER_LINES, len(lines))):
        if lines[below].rstrip().endswith(":"):
            rest = "\n".join(lines[below + 1 :]).lstrip()
            opening = _LITERAL_OPENING.match(rest)
            if opening is None:
                return ""
            end = rest.find(opening[1], opening.end()) + len(opening[1])
            literal = rest[: end if end > opening.end() else _MAX_DOC_CHARACTERS]
            return first_line_of_literal(literal.encode("utf-8", "replace"))
    return ""
