"""Renamed definitions, recognised by a body that is nearly the same."""

from __future__ import annotations

import difflib
import re

from codebuddy.hook.state import SourceFile
from codebuddy.index.symbols import FoundDefinition

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
