"""Step 6: from the model's raw text to what is worth showing.

Small filters in a fixed order, each a function of text and context, each able to shorten
the text only (indentation aside). The names of those that changed something go into the
receipt.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from codebuddy import syntax
from codebuddy.completion.extent import bracket_depth
from codebuddy.datatypes import Context

Filter = Callable[[str, Context], str]

# `<|fim_middle|>`, `<|endoftext|>`, `<fim_prefix>`, `<|im_end|>`, `<｜fim▁begin｜>`, `<file_sep>`
_SPECIAL_TOKEN = re.compile(
    r"<\|[a-z0-9_]{2,32}\|>|<｜[^｜\n]{2,32}｜>"
    r"|<(?:fim_(?:prefix|suffix|middle|pad)|file_sep|repo_name|filename|reponame|PRE|SUF|MID|EOT)>"
)
_MAX_PERIOD_LINES = 8
_MAX_REPEATS = 3
# A document is parsed whole up to this size, else only this much on each side of the cursor.
_PARSED_CHARACTERS = 100_000
# Lines such as `}` or `return` stand in many places; alone they prove no repetition.
_TELLING_LENGTH = 8
_CLOSERS = ")]}\"'`"


def clean(text: str, context: Context) -> tuple[str, tuple[str, ...]]:
    """Apply every filter.

    Returns:
        The text and the names of the filters that changed it.
    """
    applied = []
    for name, each in FILTERS:
        changed = each(text, context)
        if changed != text:
            applied.append(name)
            text = changed
    return text, tuple(applied)


def cut_special_tokens(text: str, context: Context) -> str:
    """Cut where a special token is spelled out, unless the document spells such tokens too."""
    match = _SPECIAL_TOKEN.search(text)
    if match is None or match[0] in context.prefix or match[0] in context.suffix:
        return text
    return text[: match.start()]


def cut_control_characters(text: str, _context: Context) -> str:
    """Cut at the first control character that code has no use for."""
    for index, character in enumerate(text):
        if character in "\t\n":
            continue
        if ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 or character == "\ufffd":
            return text[:index]
    return text


def fix_first_indent(text: str, context: Context) -> str:
    """Drop indentation that the line has already, where the model wrote it once more."""
    before = context.line_before
    if not before.strip():
        first, newline, rest = text.partition("\n")
        width = len(first) - len(first.lstrip(" \t"))
        if before and first.strip() and width and _repeats_indent(before, width, rest, context):
            return first[width:] + newline + rest
        return text
    if before[-1:] in " \t" and text[:1] == " ":
        return text.lstrip(" ")
    return text


def _repeats_indent(before: str, width: int, rest: str, context: Context) -> bool:
    """Whether the first line, as indented by the model, would stand deeper than it can."""
    following = [line for line in rest.split("\n") if line.strip()]
    if following:
        level = len(following[0]) - len(following[0].lstrip(" \t"))
        return level < len(before) + width
    return len(before) >= context.body_indent


def cut_repeated_suffix(text: str, context: Context) -> str:
    """Cut what stands after the cursor already."""
    text = _cut_repeated_line_end(text, context)
    following = [s.strip() for s in context.suffix.split("\n")[1:] if s.strip()][:12]
    if not following:
        return text
    lines = text.split("\n")
    for index in range(1, len(lines)):
        rest = [line.strip() for line in lines[index:] if line.strip()]
        if not rest:
            break
        same = 0
        while same < min(len(rest), len(following)) and rest[same] == following[same]:
            same += 1
        reaches_end = same == len(rest)
        if same and (reaches_end or any(len(s) >= _TELLING_LENGTH for s in rest[:same])):
            return "\n".join(lines[:index])
    return text


def _cut_repeated_line_end(text: str, context: Context) -> str:
    """Drop the longest end of the text with which the rest of the cursor's line begins."""
    after = context.line_after.strip()
    bare = text.rstrip()
    for size in range(min(len(after), len(bare)), 0, -1):
        overlap = after[:size]
        if not bare.endswith(overlap):
            continue
        if overlap[-1:].isalnum() and after[size : size + 1].isalnum():
            continue
        cut = bare[: len(bare) - size]
        if context.line_after[:1].isspace():
            cut = cut.rstrip()
        return cut if _is_no_worse(cut, bare, context) else text
    return text


def cut_repeated_lines_above(text: str, context: Context) -> str:
    """Cut where the model falls back to copying the lines just above the cursor."""
    above = [line.strip() for line in context.prefix.split("\n")[:-1] if line.strip()][-12:]
    lines = text.split("\n")
    begin = 0 if not context.line_before.strip() else 1
    for index in range(begin, len(lines)):
        rest = [line.strip() for line in lines[index:] if line.strip()]
        for size in range(min(len(above), len(rest)), 0, -1):
            if rest[:size] == above[-size:] and (
                size > 1 or (len(rest) == 1 and len(rest[0]) >= _TELLING_LENGTH)
            ):
                return "\n".join(lines[:index])
    return text


def cut_loops(text: str, _context: Context) -> str:
    """Cut a run of lines that repeats itself three times to its first round."""
    lines = text.split("\n")
    for start in range(len(lines)):
        for period in range(1, _MAX_PERIOD_LINES + 1):
            block = lines[start : start + period]
            if len(block) < period or not any(line.strip() for line in block):
                continue
            rounds = 1
            while lines[start + rounds * period : start + (rounds + 1) * period] == block:
                rounds += 1
            if rounds >= _MAX_REPEATS:
                return "\n".join(lines[: start + period])
    return text


def cut_doubled_closers(text: str, context: Context) -> str:
    """Drop brackets and quotes at the end that only close what the next lines close already."""
    following = next((line for line in context.suffix.split("\n") if line.strip()), "").strip()
    bare = text.rstrip()
    if not bare or not following or bare[-1] not in _CLOSERS or following[0] not in _CLOSERS:
        return text
    cut = bare.rstrip(_CLOSERS + ";, \t\n")
    allowed = _errors(text, context)
    return cut if cut and 0 <= _errors(cut, context) < allowed else text


def cut_what_breaks_syntax(text: str, context: Context) -> str:
    """Keep the longest cut after which the tree is no worse than without any text.

    Only where the whole text makes it worse and some shorter cut does not; what cannot be
    parsed in time is left as it is.
    """
    if context.inside != "code" or not text.strip():
        return text
    allowed = _errors("", context)
    whole = _errors(text, context)
    if allowed < 0 or whole <= allowed:
        return text
    for cut in _shorter_cuts(text):
        if 0 <= _errors(cut, context) <= allowed:
            return cut
    return text


def _shorter_cuts(text: str) -> list[str]:
    """Candidates, the longest first: without trailing closers, then after each line."""
    cuts = []
    bare = text.rstrip()
    while bare and bare[-1] in _CLOSERS + ";,":
        bare = bare[:-1].rstrip()
        cuts.append(bare)
    lines = text.split("\n")
    cuts += ["\n".join(lines[:keep]) for keep in range(len(lines) - 1, 0, -1)]
    return [cut for cut in cuts if cut.strip()]


def _is_no_worse(cut: str, text: str, context: Context) -> bool:
    """Whether `cut` leaves the syntax as good; by counting brackets where there is no grammar."""
    shorter, longer = _errors(cut, context), _errors(text, context)
    if shorter < 0 or longer < 0:
        return bracket_depth(cut) <= 0
    return shorter <= longer


def _errors(text: str, context: Context) -> int:
    before = context.prefix[-_PARSED_CHARACTERS:]
    after = context.suffix[:_PARSED_CHARACTERS]
    source = (before + text + after).encode("utf-8", "replace")
    return syntax.count_errors(source, context.language)


def trim_end(text: str, context: Context) -> str:
    """No blank end: the document's own line ending follows."""
    if not text.strip():
        return ""
    return text.rstrip() if not context.line_after.strip() else text.rstrip("\n")


FILTERS: tuple[tuple[str, Filter], ...] = (
    ("special tokens", cut_special_tokens),
    ("control characters", cut_control_characters),
    ("indentation", fix_first_indent),
    ("repeats what follows", cut_repeated_suffix),
    ("repeats what stands above", cut_repeated_lines_above),
    ("loop", cut_loops),
    ("closes twice", cut_doubled_closers),
    ("breaks the syntax", cut_what_breaks_syntax),
    ("blank end", trim_end),
)
