"""Renamed definitions: recognised by a body that is nearly the same, and followed where used."""

from __future__ import annotations

import difflib
import re

from codebuddy.hook.finding import FileEdit
from codebuddy.hook.state import SourceFile
from codebuddy.index.symbols import FoundDefinition
from codebuddy.syntax.occurrences import Occurrence

# Of the body's tokens, in order. A function of two lines can be like any other by chance.
_MIN_RATIO = 0.9
_MIN_TOKENS = 8
_MAX_TOKENS = 2000
_TOKEN = re.compile(rb"\w+|[^\w\s]")


def renamed_to(old: SourceFile, new: SourceFile, gone: FoundDefinition) -> str:
    """The name under which `gone` of `old` goes on in `new`, or an empty text."""
    owner = gone.qualified.rpartition(".")[0]
    before = {each.qualified for each in old.symbols.definitions}
    body = _tokens(old, gone)
    if len(body) < _MIN_TOKENS:
        return ""
    best, best_ratio = "", _MIN_RATIO
    for each in new.symbols.definitions:
        is_new = each.qualified not in before and each.kind == gone.kind
        if not is_new or each.qualified.rpartition(".")[0] != owner:
            continue
        matcher = difflib.SequenceMatcher(None, body, _tokens(new, each), autojunk=False)
        if matcher.real_quick_ratio() > best_ratio and matcher.ratio() > best_ratio:
            best, best_ratio = each.name, matcher.ratio()
    return best


def _tokens(file: SourceFile, definition: FoundDefinition) -> list[bytes]:
    """The definition's tokens without its own name."""
    start, end = definition.extent
    own = definition.name.encode()
    found = _TOKEN.findall(file.source[start:end])[:_MAX_TOKENS]
    return [token for token in found if token != own]


def renaming_edits(
    uses: list[tuple[str, SourceFile, Occurrence]], name: str, replacement: str
) -> tuple[FileEdit, ...]:
    """The lines of the uses with the new name in the place of the old one.

    None where a component's markup has the name too: half a renaming breaks it.
    """
    if any(file.holds_beside_code(name) for _, file, _ in uses):
        return ()
    by_line: dict[tuple[str, int], list[Occurrence]] = {}
    files = {path: file for path, file, _ in uses}
    for path, _, each in uses:
        by_line.setdefault((path, each.line), []).append(each)
    edits = []
    for (path, line), places in by_line.items():
        text = files[path].lines[line - 1]
        new = text
        for each in sorted(places, key=lambda place: -place.column):
            start = each.column - 1
            if new[start : start + len(name)] == name:
                new = new[:start] + replacement + new[start + len(name) :]
        if new != text:
            edits.append(FileEdit(path, line, line, text, new))
    return tuple(edits)
