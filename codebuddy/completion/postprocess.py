"""Step 6: from the model's raw text to what is worth showing.

Small filters in a fixed order, each a function of text and context, each able to shorten
the text only (indentation aside). The names of those that changed something go into the
receipt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from codebuddy import syntax
from codebuddy.completion.closers import find_doubled, is_balanced, missing_closers
from codebuddy.completion.extent import bracket_depth, cut_before_closer
from codebuddy.datatypes import Context
from codebuddy.positions import indent_width
from codebuddy.syntax.traits import HEADER_ENDS

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
_INFORMATIVE_LENGTH = 8
_ENDING = ")]}\"'`;,"
# Of these at a text's end, how many are left out one by one, and how many kinds behind them.
_MOST_CLOSERS = 8


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
            text = _without_lone_header(changed, context)
    return text, tuple(applied)


def _without_lone_header(text: str, context: Context) -> str:
    """A cut text without a last line that opens a block, unless the document has the block."""
    if context.extent == "line" and not text.startswith("\n"):
        return text
    head, _, last = text.rstrip().rpartition("\n")
    if not last.endswith(HEADER_ENDS):
        return text
    return text if indent_width(context.following_line) > indent_width(last) else head


def cut_special_tokens(text: str, context: Context) -> str:
    """Cut where a special token is spelled out, unless the document spells such tokens too."""
    match = _SPECIAL_TOKEN.search(text)
    if match is None or match[0] in context.prefix or match[0] in context.suffix:
        return text
    return text[: match.start()]


def cut_code_fence(text: str, context: Context) -> str:
    """Cut at a Markdown fence, with which chat models end code; not where fences are usual."""
    fence = "`" * 3
    if fence in context.prefix or context.inside == "string":
        return text
    if syntax.traits_of(context.language).has_code_fences:
        return text
    lines = text.split("\n")
    end = next((i for i, line in enumerate(lines) if line.strip().startswith(fence)), None)
    return text if end is None else "\n".join(lines[:end])


def cut_control_characters(text: str, _context: Context) -> str:
    """Cut at the first control character that code has no use for."""
    for index, character in enumerate(text):
        if character in "\t\n":
            continue
        if ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 or character == "\ufffd":
            return text[:index]
    return text


def cut_end_of_region(text: str, context: Context) -> str:
    """Cut where the text ends the script or the style that the cursor lies in."""
    if not context.closing:
        return text
    if context.closing.startswith("<"):
        found = re.search(re.escape(context.closing), text, re.IGNORECASE)
    else:
        found = re.search(rf"^{re.escape(context.closing)}", text, re.MULTILINE)
    return text if found is None else text[: found.start()]


def fix_indent(text: str, context: Context) -> str:
    """Drop indentation that the line has already; add what a block's body lacks altogether."""
    before = context.line_before
    if not before.strip():
        if context.extent == "block" and (missing := _missing_indent(text, context)):
            return "\n".join(missing + s if s.strip() else s for s in text.split("\n"))
        first, newline, rest = text.partition("\n")
        width = indent_width(first)
        if before and first.strip() and width and _repeats_indent(before, width, rest, context):
            return first[width:] + newline + rest
        return text
    if before[-1:] in " \t" and text[:1] == " ":
        return text.lstrip(" ")
    return text


def _missing_indent(text: str, context: Context) -> str:
    """What each line of a body needs before it, where the model began at the margin."""
    first = text.split("\n")[0]
    if context.line_before or not first.strip() or indent_width(first) >= context.body_indent:
        return ""
    lines = [line for line in context.prefix.split("\n") if line.strip()]
    opener = lines[-1][: indent_width(lines[-1])]
    if "\t" in opener or any(line.startswith("\t") for line in lines):
        return opener + "\t"
    widths = {indent_width(line) for line in lines} - {0}
    return opener + " " * (2 if min(widths, default=4) == 2 else 4)


def _repeats_indent(before: str, width: int, rest: str, context: Context) -> bool:
    """Whether the first line, as indented by the model, would stand deeper than it can."""
    following = [line for line in rest.split("\n") if line.strip()]
    if following:
        return indent_width(following[0]) < len(before) + width
    return len(before) >= context.body_indent


def cut_closed_already(text: str, context: Context) -> str:
    """Cut where the text closes what the text behind the cursor closes."""
    doubled = find_doubled(text, context)
    return text if doubled is None else cut_before_closer(text, doubled.start, context)


def cut_repeated_suffix(text: str, context: Context) -> str:
    """Cut what stands after the cursor already."""
    text = _cut_repeated_line_end(text, context)
    behind = [s for s in context.suffix.split("\n")[1:] if s.strip()][:12]
    following = [s.strip() for s in behind]
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
        if same < len(rest) and _stands_deeper(lines[index], behind[0]):
            continue
        reaches_end = same == len(rest)
        is_telling = any(len(s) >= _INFORMATIVE_LENGTH for s in rest[:same])
        cut = "\n".join(lines[:index])
        # A closing line may close what the text itself opened.
        if same and (is_telling or (reaches_end and _is_no_worse(cut, text, context))):
            return cut
    return text


def _stands_deeper(line: str, other: str) -> bool:
    """Whether a line is indented further than the other, where both are by the same sign."""
    indents = [each[: len(each) - len(each.lstrip())] for each in (line, other)]
    return len(set("".join(indents))) < 2 and len(indents[0]) > len(indents[1])


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
                size > 1 or (len(rest) == 1 and len(rest[0]) >= _INFORMATIVE_LENGTH)
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
    """Drop brackets and quotes at the end that the text after the cursor closes already.

    As many as leave the syntax with the fewest errors, and none if that helps nothing. Where
    nothing behind the cursor closes its statement, errors tell nothing, and brackets are counted.
    """
    if missing_closers("", context) and is_balanced(text, context):
        return text
    best, fewest = text, _errors(text, context)
    for bare in _without_closers(text):
        errors = _errors(bare, context)
        if bare and 0 <= errors < fewest:
            best, fewest = bare, errors
    return best


def cut_what_breaks_syntax(text: str, context: Context) -> str:
    """Keep the longest cut after which the tree is no worse than without any text.

    Where there is none, the text stays if its brackets and quotes are in order: it is only
    unfinished. Else nothing does. What cannot be parsed in time is left as it is, and what leaves
    a bracket open that nothing behind the cursor closes.
    """
    if context.inside != "code" or not text.strip() or missing_closers(text, context):
        return text
    allowed = _errors("", context)
    whole = _errors(text, context)
    if allowed < 0 or whole <= allowed:
        return text
    for cut in _shorter_cuts(text):
        if 0 <= _errors(cut, context) <= allowed:
            return cut
    return text if is_balanced(text, context) else ""


def _shorter_cuts(text: str) -> list[str]:
    """Candidates, the longest first: without trailing closers, then after each line."""
    cuts = list(_without_closers(text))
    lines = text.split("\n")
    cuts += ["\n".join(lines[:keep]) for keep in range(len(lines) - 1, 0, -1)]
    return [cut for cut in cuts if cut.strip()]


def _without_closers(text: str) -> Iterator[str]:
    """The text without its last closer, its last two and so on; each try is a parse of the file.

    A model that writes many has lost its way: then those of one kind are left out at once.
    """
    bare = text.rstrip()
    for number in range(2 * _MOST_CLOSERS):
        if not bare or bare[-1] not in _ENDING:
            return
        one = bare[:-1]
        bare = (one if number < _MOST_CLOSERS else one.rstrip(bare[-1])).rstrip()
        yield bare


def _is_no_worse(cut: str, text: str, context: Context) -> bool:
    """Whether `cut` leaves the syntax as good; by counting brackets where there is no grammar."""
    shorter, longer = _errors(cut, context), _errors(text, context)
    if shorter < 0 or longer < 0:
        return bracket_depth(cut) <= 0
    return shorter <= longer


def _errors(text: str, context: Context) -> int:
    before = context.code[0][-_PARSED_CHARACTERS:]
    after = context.code[1][:_PARSED_CHARACTERS]
    source = (before + text + after).encode("utf-8", "replace")
    return syntax.count_errors(source, context.language)


def trim_end(text: str, context: Context) -> str:
    """No blank end: the document's own line ending follows."""
    after = context.line_after.strip()
    if not text.strip():
        return ""
    if not after:
        return text.rstrip()
    if after[0] in ")]}" and text[0] == "\n" and not text.rpartition("\n")[2].strip():
        # The bracket behind goes to a line of its own, as the one that opens it has one.
        return text.rstrip() + "\n" + text.rpartition("\n")[2]
    return text.rstrip("\n")


FILTERS: tuple[tuple[str, Filter], ...] = (
    ("special tokens", cut_special_tokens),
    ("code fence", cut_code_fence),
    ("control characters", cut_control_characters),
    ("ends the script", cut_end_of_region),
    ("indentation", fix_indent),
    ("closed already", cut_closed_already),
    ("repeats what follows", cut_repeated_suffix),
    ("repeats what stands above", cut_repeated_lines_above),
    ("loop", cut_loops),
    ("closes twice", cut_doubled_closers),
    ("breaks the syntax", cut_what_breaks_syntax),
    ("blank end", trim_end),
)
