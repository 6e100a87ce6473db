"""CB112: new code that uses what the repository itself has marked as deprecated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from codebuddy.hook.finding import Evidence, Finding
from codebuddy.hook.review import Review
from codebuddy.hook.state import SourceFile
from codebuddy.index.deprecation import WORD, deprecation_mark, replacement_named_in
from codebuddy.index.file_role import role_of
from codebuddy.index.symbols import FoundDefinition
from codebuddy.syntax.traits import traits_of

_BYTES_NEAR = 1500
_MAX_PLACES = 200
_WORDS = re.compile(r"[A-Za-z_]\w{3,}")
_MAX_USED = 500


@dataclass(frozen=True, slots=True)
class _Marked:
    path: str
    definition: FoundDefinition
    replacement: str


def check(review: Review) -> Iterator[Finding]:
    """New uses of marked definitions that cannot mean anything else."""
    if review.lookup is None:
        return
    written = [
        (change, file)
        for change, file in review.state.written()
        if role_of(change.path, file.source) == "code" and file.tree is not None
    ]
    if not written:
        return
    # Words are enough to begin with; few of them are defined where something is deprecated.
    used = {
        word
        for change, file in written
        for number in review.state.added(change)
        for word in _WORDS.findall(file.lines[number - 1])
    }
    marked = dict(_marked(review, used))
    for change, file in written:
        review.check_time()
        added = review.state.added(change)
        for name, line in _new_calls(review, file, added, marked):
            each = marked[name]
            if each.path == change.path:
                continue
            text = file.lines[line - 1]
            instead = f"; use {each.replacement} instead" if each.replacement else ""
            where = f"{each.path}:{each.definition.line}"
            yield Finding(
                "CB112",
                change.path,
                line,
                max(1, text.find(name) + 1),
                f"{name} is marked as deprecated in {where}{instead}",
                (Evidence(each.path, each.definition.line, each.definition.signature),),
            )


def _marked(review: Review, used: set[str]) -> Iterator[tuple[str, _Marked]]:
    """Definitions with a mark, of the names `used`, that mean one thing in the repository."""
    assert review.lookup is not None
    with_word = set(review.lookup.files_with(WORD))
    if not with_word:
        return
    for name in sorted(used)[:_MAX_USED]:
        review.check_time()
        places = review.lookup.definitions(name)
        if len(places) != 1 or places[0].path not in with_word or name.startswith("_"):
            continue
        path = places[0].path
        file = review.state.file(path) if role_of(path) == "code" else None
        if file is None or not _is_near_the_word(file, name):
            continue
        for each in file.symbols.definitions:
            text = deprecation_mark(file.lines, each, file.language) if each.name == name else ""
            if text:
                yield name, _Marked(path, each, replacement_named_in(text, name))
                break


def _is_near_the_word(file: SourceFile, name: str) -> bool:
    """Whether the mark may stand at a definition of `name`, without a parser."""
    places = re.finditer(rf"\b{re.escape(name)}\b".encode(), file.source)
    for match in islice(places, _MAX_PLACES):
        first = max(0, match.start() - _BYTES_NEAR)
        if WORD.encode() in file.source[first : match.end() + _BYTES_NEAR].lower():
            return True
    return False


def _new_calls(
    review: Review, file: SourceFile, added: frozenset[int], marked: dict[str, _Marked]
) -> Iterator[tuple[str, int]]:
    """(name, line) of uses on new lines that mean the marked definition."""
    used = {
        each.name: each.line
        for each in reversed(file.symbols.references)
        if each.kind in ("call", "import") and each.line in added and each.name in marked
    }
    if not traits_of(file.language).import_syntax:
        # Elsewhere only the name decides; it is defined once in the repository.
        same = {name for name in used if _is_same_language(review, file, marked[name])}
        yield from ((name, line) for name, line in used.items() if name in same)
        return
    origins = {
        each.alias: review.resolver.target(file.path, each.module, each.name)
        for each in file.imported
        if each.alias and (each.name in used or not each.name or each.alias in used)
    }
    for each in file.occurrences(used):
        mark = marked[each.name]
        if each.line not in added or mark.definition.kind == "method":
            continue
        if each.receiver is None and each.role == "import":
            if origins.get(each.name) == (mark.path, each.name):
                yield each.name, each.line
        elif each.role == "call" and origins.get(each.receiver or "") == (mark.path, ""):
            yield each.name, each.line


def _is_same_language(review: Review, file: SourceFile, mark: _Marked) -> bool:
    other = review.state.file(mark.path)
    return other is not None and other.language == file.language
