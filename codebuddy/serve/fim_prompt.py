"""Prompts in which a client wrote a model's fill-in-the-middle tokens itself.

Prompts are built here, in the served model's own spelling and from text that is never parsed
for tokens, so that what such a client wrote is taken apart again: the text before the cursor,
the text after it, the file's name, and pieces of other files. Prefix first, suffix first and
suffix in the middle are all in use. It knows nothing of HTTP.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from codebuddy.errors import UsageError
from codebuddy.inference.fim_families import (
    FILE_MARKS,
    PAD_MARKS,
    REPOSITORY_MARKS,
    START_MARKS,
    FimSpelling,
    written_spellings,
)

_FILE_MARK = re.compile("|".join(re.escape(mark) for mark in FILE_MARKS))
_REPOSITORY = re.compile(f"(?:{'|'.join(re.escape(m) for m in REPOSITORY_MARKS)})[^\n<]*\n?")
_STARS = re.compile(r"<gh_stars>[^\n]*\n?")
# What stands above the pieces of files in Codestral's prompts.
_PLUS_HEADER = re.compile(r"^\+{5} ([^\n]+)\n", re.MULTILINE)
_PATH = re.compile(r"[^\s\0<>:\"|?*][^\0<>:\"|?*\n]{0,200}")
# The orders in which the marks may come: prefix, suffix, middle by their first letters.
_ORDERS = {"psm", "spm", "sp", "ps", "pm", "sm"}


@dataclass(frozen=True, slots=True)
class FimPrompt:
    """A prompt taken apart. `filename` is what the client calls the file, and may be anything;
    `extras` are names and texts of pieces of other files, in their order.
    """

    prefix: str
    suffix: str = ""
    filename: str = ""
    extras: tuple[tuple[str, str], ...] = ()


def split_prompt(prompt: str) -> FimPrompt | None:
    """The parts of a prompt with FIM tokens; `None` for one without any.

    Raises:
        UsageError: It holds such tokens, and not in an order that says what is what.
    """
    text = _without_start(prompt)
    found = None
    blamed = ""
    for spelling in written_spellings():
        marks = _marks(spelling)
        used = [mark for mark in marks.values() if mark in text]
        if not used:
            continue
        parts = _split(text, marks)
        if parts is None or (_is_weak(spelling) and not _is_meant(text, marks)):
            blamed = blamed or ("" if _is_weak(spelling) else used[0])
        elif found is None or len(used) > found[0]:
            found = len(used), _read(parts, spelling)
    if found is not None:
        return found[1]
    if blamed:
        raise UsageError(
            f"prompt holds the FIM token {blamed}, and not each of its family once and in order",
            hint="send the text before the cursor as prompt and the text after it as suffix",
        )
    if text.startswith((*FILE_MARKS, *REPOSITORY_MARKS)):
        return _with_files(text, FimPrompt(""), is_whole=True)
    return None


@dataclass(frozen=True, slots=True)
class _Parts:
    """Texts behind each mark, and what stands before the first one."""

    preamble: str
    prefix: str
    suffix: str
    rest: str
    order: str


def _marks(spelling: FimSpelling) -> dict[str, str]:
    named = {"p": spelling.prefix, "s": spelling.suffix, "m": spelling.middle}
    return {kind: mark.strip() for kind, mark in named.items()}


def _split(text: str, marks: dict[str, str]) -> _Parts | None:
    """The parts; `None` where a mark comes twice or their order says nothing."""
    if any(text.count(mark) > 1 for mark in marks.values()):
        return None
    places = sorted((text.find(mark), kind) for kind, mark in marks.items() if mark in text)
    order = "".join(kind for _, kind in places)
    if order not in _ORDERS and not (order == "p" and places[0][0] == 0):
        return None
    ends = [place for place, _ in places[1:]] + [len(text)]
    behind = {
        kind: text[place + len(marks[kind]) : end]
        for (place, kind), end in zip(places, ends, strict=True)
    }
    preamble = text[: places[0][0]]
    return _Parts(preamble, behind.get("p", ""), behind.get("s", ""), behind.get("m", ""), order)


def _is_weak(spelling: FimSpelling) -> bool:
    """Whether the marks may as well be words of a document."""
    return spelling.prefix.strip() in ("<PRE>", "[PREFIX]")


def _is_meant(text: str, marks: dict[str, str]) -> bool:
    """Whether marks that may be words are marks: all are there, or the text begins with one."""
    is_bracketed = marks["p"] == "[PREFIX]"
    if text.startswith(tuple(marks.values())):
        return sum(mark in text for mark in marks.values()) > 1
    if is_bracketed:
        # Some clients write comments about other files above it.
        return f"\n{marks['s']}" in text and text.find(marks["s"]) < text.find(marks["p"])
    return all(mark in text for mark in marks.values())


def _read(parts: _Parts, spelling: FimSpelling) -> FimPrompt:
    prefix, suffix, rest = parts.prefix, parts.suffix, parts.rest
    if spelling.prefix.startswith("<PRE>"):
        prefix, suffix, rest = _without_template_blanks(prefix, suffix, rest)
    for mark in PAD_MARKS:
        rest = rest.removesuffix(mark)
    if "p" not in parts.order:
        # Without its own mark the prefix stands before the others, or behind all of them.
        return FimPrompt(parts.preamble + rest, suffix)
    # What stands behind the middle's mark is the middle's beginning, or in some orders the prefix.
    return _with_files(parts.preamble, FimPrompt(prefix + rest, suffix))


def _without_template_blanks(prefix: str, suffix: str, rest: str) -> tuple[str, str, str]:
    """CodeLlama's parts without the blanks that belong to its marks, where they are written."""
    if not suffix.endswith(" ") or not (prefix.endswith(" ") or not prefix):
        return prefix, suffix, rest
    if rest and not prefix.strip():
        return "", suffix[:-1], rest.removeprefix(" ")
    if prefix.startswith(" "):
        return prefix[1:-1], suffix[:-1], rest
    # Twinny writes a blank behind the suffix's mark instead of the prefix's.
    return prefix[:-1], suffix.removeprefix(" ")[:-1], rest


def _with_files(preamble: str, found: FimPrompt, *, is_whole: bool = False) -> FimPrompt:
    """`found` with the files that stand before it, or at the beginning of its prefix.

    Where the preamble `is_whole` the prompt, its last file is the one to complete.
    """
    if not is_whole and found.prefix.startswith((*FILE_MARKS, *REPOSITORY_MARKS)):
        inner = _with_files(found.prefix, FimPrompt(""), is_whole=True)
        found = FimPrompt(inner.prefix, found.suffix, inner.filename, inner.extras)
    if _PLUS_HEADER.match(found.prefix):
        pieces = _PLUS_HEADER.split(found.prefix)[1:]
        named = list(zip(pieces[::2], pieces[1::2], strict=True))
        name, text = named.pop()
        others = tuple((_path(each), content) for each, content in named)
        found = FimPrompt(text, found.suffix, _path(name), found.extras + others)
    head, *files = _FILE_MARK.split(_STARS.sub("", _REPOSITORY.sub("", preamble)))
    named = [_named(piece) for piece in files]
    name, prefix = found.filename, found.prefix
    if named and is_whole:
        name, prefix = named.pop()
    elif named and (named[-1][0] or not named[-1][1].strip()):
        # The last one is the file's own, whose text follows.
        name, text = named.pop()
        named.append(("", text))
    every = [("", head), *named, *found.extras]
    extras = tuple((each, text) for each, text in every if text.strip())
    return FimPrompt(prefix, found.suffix, name, extras)


def _named(piece: str) -> tuple[str, str]:
    """A file's name, empty where its first line is none, and its text."""
    line, _, rest = piece.partition("\n")
    path = _path(line)
    return (path, rest) if path else ("", piece)


def _path(line: str) -> str:
    """The path that a line is; empty for what is none."""
    path = line.strip()
    is_path = _PATH.fullmatch(path) is not None and ("." in path or "/" in path)
    return path if is_path and " " not in path else ""


def _without_start(prompt: str) -> str:
    """The prompt without the token that begins each of some model's sequences."""
    for mark in START_MARKS:
        prompt = prompt.removeprefix(mark)
    return prompt
