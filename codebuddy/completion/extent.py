"""Where a generation ends: checked after each piece, so that no token is wasted.

Knows the context and the text so far, neither model nor index.
"""

from __future__ import annotations

import re

from codebuddy.completion.closers import ends_in_string, find_doubled, missing_closers
from codebuddy.datatypes import Context
from codebuddy.positions import indent_width
from codebuddy.syntax.lexicon import lexicon_of

_PAIRS = {")": "(", "]": "[", "}": "{"}
_OPENERS = frozenset(_PAIRS.values())
# A model that goes on and on is rarely right.
_MAX_BLOCK_LINES = 48
_MAX_LEADING_BLANK_LINES = 3
# Characters of the cursor's line that are looked at on each side: it is counted for each token.
_NEAR = 4000
# Signs at the end and at the beginning of a line with which the same expression goes on.
_OPERATORS = ("&&", "||", "??")
_LINKS = (".", "?.", "? ", ": ", "&&", "||", "??", "+ ")
# Lines behind which no expression goes on: what ends one, comments, annotations, attributes.
_FINISHED = re.compile(r"\A[@#*]|//|/\*|(?:[;,{}(\[:]|\+\+|--|\*/|=>)\Z")
# Lines of a string that may be none, since it is not closed yet.
_MAX_STRING_LINES = 12


def take_extent(text: str, context: Context, max_lines: int) -> tuple[str, bool]:
    """The part of `text` that belongs to what was asked for.

    Args:
        text: The generation so far, with `\n` line endings.
        context: The place; its `extent` says what is wanted.
        max_lines: The user's limit, or 0.

    Returns:
        The text up to its end, and whether that end is certain: more tokens would not
        change it.
    """
    taken, is_certain = _take(text, context, max_lines)
    doubled = find_doubled(text, context)
    if doubled is None or doubled.start >= len(taken):
        return taken, is_certain
    cut = cut_before_closer(text, doubled.start, context)
    return _take(cut, context, max_lines)[0], is_certain or doubled.is_certain


def cut_before_closer(text: str, start: int, context: Context) -> str:
    """`text` up to `start`, where a closer begins that the document has behind the cursor.

    The line break before it goes too, unless the closer behind stands on the cursor's line and
    would be moved to the next one by it.
    """
    cut = text[:start]
    head, line_break, last = cut.rpartition("\n")
    if line_break and not last.strip() and not (text[:1] == "\n" and context.line_after.strip()):
        return head
    return cut


def _take(text: str, context: Context, max_lines: int) -> tuple[str, bool]:
    """As `take_extent`, without a look at closers."""
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
    if first == len(lines):
        return text, first > _MAX_LEADING_BLANK_LINES
    if first > 0 and context.inside != "code":
        return "", True
    # A text that begins on the next line counts its lines from there.
    limit = max_lines + min(first, 1) if max_lines else first + _MAX_BLOCK_LINES
    if context.extent == "line" and first == 0:
        end = _end_of_statement(lines, context)
    else:
        end = _end_of_block(lines, first, context)
    if end is None and len(lines) > limit:
        end = limit
    return (text, False) if end is None else ("\n".join(lines[: min(end, limit)]), True)


def _end_of_statement(lines: list[str], context: Context) -> int | None:
    """The index behind the line that was begun, and behind what belongs to its statement.

    That is what its own brackets hold, lines that close brackets of the statement which nothing
    behind the cursor closes, and links of a chain of calls where statements end with a semicolon.
    A blank line ends it.
    """
    end = _end_of_line(lines, 0, bracket_depth(_near(context) + context.line_after[:_NEAR]))
    if context.inside != "code" or context.line_after.strip():
        return end
    while end is not None:
        text, line, is_whole = "\n".join(lines[:end]), lines[end], end < len(lines) - 1
        missing = missing_closers(text, context)
        may_go_on = _may_go_on(text, line, context)
        if not line.strip():
            return end if is_whole or not (missing or may_go_on) else None
        if missing and _is_of_closers(line):
            if not is_whole:
                return None
            if missing - missing_closers(f"{text}\n{line}", context) != _n_closed(line):
                return end
            end += 1
        elif may_go_on:
            end = _end_of_line(lines, end, 0)
        else:
            return end
    return None


def _end_of_line(lines: list[str], start: int, depth: int) -> int | None:
    """The index after line `start`, and after those that close the brackets it left open.

    `depth` counts the brackets that are open before the line, and are to be closed.
    """
    for index in range(start, len(lines) - 1):
        depth += bracket_depth(lines[index])
        if depth <= 0:
            return index + 1
    return None


def _may_go_on(text: str, line: str, context: Context) -> bool:
    """Whether `line`, as far as it is written, goes on with the expression that ends `text`."""
    _head, line_break, last = text.rpartition("\n")
    last = (last if line_break else context.line_before[-_NEAR:] + last).strip()
    if not last or _FINISHED.search(last) or not _ends_with_semicolons(context):
        return False
    if last.endswith(_OPERATORS):
        return True
    if context.following_line.strip().startswith(_LINKS):
        return False
    begun = line.strip()
    return begun.startswith(_LINKS) or any(link.startswith(begun) for link in _LINKS)


def _ends_with_semicolons(context: Context) -> bool:
    """Whether statements end with a semicolon, by the language or by the code before the cursor."""
    semicolons = lexicon_of(context.language).semicolons
    return semicolons == "always" or (
        semicolons == "maybe" and context.prefix[-_NEAR:].count(";\n") > 2
    )


def _end_of_block(lines: list[str], first: int, context: Context) -> int | None:
    """The index of the first line that no longer belongs to what was begun.

    A block ends where the indentation falls below its own, a group of statements also at a
    blank line, and a statement that follows a finished line where the next one begins. A
    line that only closes the block belongs to it, unless the suffix has that line already.
    """
    is_block = context.extent == "block"
    base = indent_width(lines[first]) + (indent_width(context.line_before) if first == 0 else 0)
    # A text that begins at the margin is measured from there; post-processing indents it.
    least = min(base, context.body_indent) if is_block else base
    if context.extent == "line":
        least += 1
    depth = bracket_depth(_near(context)) if context.extent == "line" else 0
    depth = max(0, depth + bracket_depth(lines[first]))
    for index in range(first + 1, len(lines)):
        line = lines[index]
        is_whole = index < len(lines) - 1
        if not line.strip():
            is_end = not is_block and is_whole and depth == 0
            if is_end and not _is_in_string(lines, index, context):
                return index
            continue
        if depth == 0 and indent_width(line) < least and not _is_in_string(lines, index, context):
            if not _only_closes(line):
                return index
            if is_whole:
                return index if _suffix_closes(line, context) else index + 1
        if is_whole:
            depth = max(0, depth + bracket_depth(line))
    return None


def _is_in_string(lines: list[str], index: int, context: Context) -> bool:
    """Whether a line stands in a string of several lines that was closed, or may still be."""
    if not ends_in_string("\n".join([*lines[:index], ""]), context):
        return False
    return len(lines) < index + _MAX_STRING_LINES or not ends_in_string("\n".join(lines), context)


def _near(context: Context) -> str:
    return context.line_before[-_NEAR:]


def _is_of_closers(line: str) -> bool:
    return set(line.strip().rstrip(";,")) <= set(_PAIRS)


def _n_closed(line: str) -> int:
    return sum(line.count(closer) for closer in _PAIRS)


def _only_closes(line: str) -> bool:
    code = line.strip().rstrip(";,")
    return code == "end" or set(code) <= set(_PAIRS)


def _suffix_closes(line: str, context: Context) -> bool:
    """Whether the next line of the document is this closing line already."""
    following = context.following_line
    return following.split() == line.split() and indent_width(following) == indent_width(line)


def bracket_depth(text: str) -> int:
    """Brackets opened minus closed, outside quotes; a rough count serves here."""
    depth, quote = 0, ""
    previous = ""
    for character in text:
        if quote:
            if character == quote and previous != "\\":
                quote = ""
        elif character in "\"'`":
            quote = character
        elif character in _OPENERS:
            depth += 1
        elif character in _PAIRS:
            depth -= 1
        previous = character
    return depth
