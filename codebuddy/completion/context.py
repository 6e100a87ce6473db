"""Step 1: what is around the cursor.

Reads the document and its syntax; it knows neither the index nor the model.
"""

from __future__ import annotations

from codebuddy import syntax
from codebuddy.datatypes import Context, Document, Extent, Position
from codebuddy.positions import indent_width, resolve
from codebuddy.syntax.traits import BLOCK_OPENERS

# Names are looked for in this many lines around the cursor: the statement being typed,
# its neighbours and the enclosing header; further away they rarely say what comes next.
_NEAR_LINES_BEFORE = 12
_NEAR_LINES_AFTER = 3
_MAX_NEAR = 60
_MAX_IMPORTED = 200
# Closers and separators that an editor or a person has already typed after the cursor.
_CLOSING = frozenset(")]}>'\"`,;: \t")


def build_context(document: Document, position: Position, language: str) -> Context:
    """Collect what completion needs to know of the place.

    Args:
        document: The text, with its own line endings.
        position: Where the text goes in; inside the document.
        language: The document's language, `text` if none is known. Where the document embeds
            code, what is at the cursor counts.

    Raises:
        UsageError: The position is outside the document.
    """
    _, offset = resolve(document.text, position.line, position.column, document.path)
    prefix = document.text[:offset].replace("\r\n", "\n")
    suffix = document.text[offset:].replace("\r\n", "\n")
    code = _code_at(document, prefix + suffix, language, len(prefix))
    language = code.language
    parsed = code.text[: len(prefix)], code.text[len(prefix) :]
    source = code.text.encode("utf-8", "replace")
    cursor = _size(parsed[0])
    cursor_syntax = syntax.syntax_at(source, language, cursor)
    names = syntax.names_in(source, language)
    near = _near_names(source, *parsed, language, cursor)
    extent, body_indent = find_extent(prefix, suffix, language, cursor_syntax)
    return Context(
        document=document,
        position=position,
        language=language,
        prefix=prefix,
        suffix=suffix,
        scope=cursor_syntax.scope,
        near=near,
        unresolved=tuple(name for name in near if name not in names.defined),
        imported=tuple(sorted(names.imported))[:_MAX_IMPORTED],
        inside=cursor_syntax.inside,
        extent=extent,
        body_indent=body_indent,
        parsed=None if parsed == (prefix, suffix) else parsed,
        closing=code.closing,
    )


def _code_at(document: Document, text: str, language: str, cursor_syntax: int) -> syntax.CodeAt:
    """The code around a place as a parser is to see it."""
    if syntax.language_for(document.path) == syntax.NOTEBOOK:
        return syntax.CodeAt(language, syntax.parsable(text, language))
    return syntax.code_at(text, language, cursor_syntax)


def find_extent(
    prefix: str, suffix: str, language: str, cursor_syntax: syntax.CursorSyntax
) -> tuple[Extent, int]:
    """How much text the place asks for, and how far its lines must be indented.

    Returns:
        `line` where something follows on the line, in comments and strings, and where a
        statement is being typed; `block` right after what opens a block, or in an empty
        one; `statement` on a blank line. With it the least indent of further lines.
    """
    before = prefix.rpartition("\n")[2]
    after = suffix.partition("\n")[0]
    if set(after) - _CLOSING or cursor_syntax.inside != "code":
        return "line", 0
    is_known = language != syntax.UNKNOWN
    is_empty_block = cursor_syntax.opens_block and cursor_syntax.ends_block
    if before.strip():
        is_opener = syntax.spec_of(language).word_blocks or _looks_like_opener(before)
        if is_opener and (is_empty_block or not is_known) and not after.strip():
            return "block", indent_width(before) + 1
        return "line", indent_width(before)
    opener = next((line for line in reversed(prefix.split("\n")[:-1]) if line.strip()), "")
    if opener and (not before or indent_width(before) > indent_width(opener)):
        following = next((line for line in suffix.split("\n")[1:] if line.strip()), "")
        # The margin is in no indented block, whatever is meant.
        is_block = is_empty_block if is_known and before else _looks_like_opener(opener)
        if is_block and indent_width(following) <= indent_width(opener):
            return "block", indent_width(opener) + 1
    return "statement", indent_width(before)


def _looks_like_opener(line: str) -> bool:
    """Whether a block seems to begin after `line`, by its last characters."""
    return line.rstrip().endswith(BLOCK_OPENERS)


def _near_names(
    source: bytes, prefix: str, suffix: str, language: str, cursor: int
) -> tuple[str, ...]:
    """Identifiers around the cursor, the nearest lines first, each once.

    The word that the cursor touches is left out: it is unfinished.
    """
    before = "\n".join(prefix.split("\n")[-_NEAR_LINES_BEFORE:])
    after = "\n".join(suffix.split("\n")[: _NEAR_LINES_AFTER + 1])
    start, end = cursor - _size(before), cursor + _size(after)
    ahead, behind = [], []
    for name, byte in syntax.names_between(source, language, start, end):
        if byte + _size(name) < cursor:
            behind.append(name)
        elif byte > cursor:
            ahead.append(name)
    reserved = syntax.keywords(language)
    ordered = dict.fromkeys([*reversed(behind), *ahead])
    return tuple(name for name in ordered if name not in reserved and len(name) > 1)[:_MAX_NEAR]


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
