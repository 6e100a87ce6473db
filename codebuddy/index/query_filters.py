"""`lang:`, `path:` and `kind:` inside a query, and whole words: which chunks may be results.

A filter is a word of its own outside double quotes: `lang:go retry path:internal/`. `\\lang:` is
text, and so is a query that has several lines.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from codebuddy.datatypes import Chunk, Definition
from codebuddy.errors import UsageError
from codebuddy.index.store import Store
from codebuddy.syntax.embedded import COMPONENTS
from codebuddy.syntax.languages import (
    EDITOR_IDS,
    KERNEL_NAMES,
    NOTEBOOK,
    UNKNOWN,
    extensions,
    languages,
)

# What a result's title calls a definition, and a chunk outside of any.
KINDS = frozenset(
    "block class code column comment concept constant constructor data enum error extension field"
    " function impl imports index interface key macro method module object opaque output property"
    " protocol prototype provider record resource rule section sequence signature struct table"
    " target test trait trigger type union variable view".split()
)
# A word that stands for several kinds, itself among them.
_GROUPS = {
    "function": frozenset({"function", "method", "constructor", "macro"}),
    "type": frozenset(
        "type class struct interface enum trait protocol record union object data impl".split()
    ),
    "value": frozenset({"variable", "constant", "field", "property", "key"}),
    "doc": frozenset({"section", "comment"}),
}
# What other tools or languages call a kind.
_SHORT = {
    "attr": "field",
    "attribute": "field",
    "const": "constant",
    "ctor": "constructor",
    "def": "function",
    "docs": "doc",
    "fn": "function",
    "func": "function",
    "heading": "section",
    "iface": "interface",
    "meth": "method",
    "mod": "module",
    "namespace": "module",
    "package": "module",
    "prop": "property",
    "var": "variable",
}
_DOCUMENTS = (NOTEBOOK, *sorted(COMPONENTS), UNKNOWN)
_WORD = re.compile(r'"[^"\n]*"|\S+')
_FILTER = re.compile(r"(lang|path|kind):(\S+)$", re.IGNORECASE)
_NEGATED = re.compile(r"[-!](lang|path|kind):[\w./*-]+$", re.IGNORECASE)
_WITHOUT_NAME = re.compile(r"(lang|path|kind):$", re.IGNORECASE)
_NAMES = re.compile(r"[\w#+-]+(?:,[\w#+-]+)*$")
_ESCAPED = re.compile(r"(?<!\S)\\(?=(?:lang|path|kind):)", re.IGNORECASE)
_MAX_LOOKED_AT = 4_000
_MAX_WORDS = 32

Keep = Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class QueryFilters:
    """A query's `text`, and what its results must be; an empty set takes everything.

    `words` must all stand in a result as they are written, and not as a part of a word.
    `given` holds prefixes and names as they were written, `notes` what a person should know of
    how the query was read.
    """

    text: str
    languages: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    given: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether everything is taken."""
        return not (self.languages or self.paths or self.kinds or self.words)

    def takes_file(self, path: str, language: str) -> bool:
        """Whether results may lie in the file."""
        return self.takes_language(language) and self.takes_path(path)

    def takes_language(self, language: str) -> bool:
        """Whether results may be of it."""
        return not self.languages or language in self.languages

    def takes_path(self, path: str) -> bool:
        """Whether results may lie there."""
        return not self.paths or any(_fits(path, each) for each in self.paths)

    def names_of(self, prefix: str) -> tuple[str, ...]:
        """What stands behind `lang`, `path` or `kind`, as it was written."""
        return tuple(name for each, name in self.given if each == prefix)

    def takes_text(self, text: str) -> bool:
        """Whether all of the words stand in the text."""
        return all(whole_word(each).search(text) for each in self.words)

    def takes_definition(self, definition: Definition, chunk: Chunk) -> bool:
        """Whether it is one that the chunk is found for."""
        return definition.chunk_id == chunk.id and definition.kind in self.kinds


def split_filters(query: str, *, has_whole_words: bool = False) -> QueryFilters:
    """The query's text, and the filters in it.

    Raises:
        UsageError: No such language or kind is known, or nothing is left to look for.
    """
    if "\n" in query.strip() or len(query) > _MAX_LOOKED_AT:
        return QueryFilters(query, words=_words(query) if has_whole_words else ())
    kept: list[str] = []
    found: dict[str, list[str]] = {"lang": [], "path": [], "kind": []}
    notes: list[str] = []
    for word in _WORD.findall(query):
        match = _FILTER.match(word)
        prefix = match[1].lower() if match else ""
        # Code has `kind: str)`.
        if match is None or (prefix != "path" and not _NAMES.match(match[2])):
            kept.append(word)
            notes += _note_of(word)
            continue
        found[prefix] += [match[2]] if prefix == "path" else match[2].split(",")
    if not any(found.values()):
        text = _ESCAPED.sub("", query)
    elif kept:
        text = _ESCAPED.sub("", " ".join(kept))
    else:
        raise UsageError(
            "the query has filters and nothing to look for",
            hint="add a word that code would have; to look for the text itself, put it in double"
            " quotes",
        )
    return QueryFilters(
        text,
        frozenset(_language(each) for each in found["lang"]),
        tuple(each.strip('"') for each in found["path"]),
        frozenset().union(*(_kinds(each) for each in found["kind"])),
        _words(text) if has_whole_words else (),
        tuple((prefix, name.strip('"')) for prefix, names in found.items() for name in names),
        tuple(notes) if len(kept) <= _MAX_WORDS else (),
    )


def _note_of(word: str) -> list[str]:
    """What is said of a word that looks like a filter and is text."""
    if _NEGATED.match(word):
        return [
            f"{word:.60} is looked for as text: filters say what is taken, not what is left out"
        ]
    if _WITHOUT_NAME.match(word):
        return [f"{word} has no name behind it, and is looked for as text"]
    return []


def keep_of(filters: QueryFilters, store: Store) -> Keep | None:
    """Whether a chunk, by its id, may be a result; None where all may."""
    if filters.is_empty:
        return None
    of_files: dict[int, bool] = {}
    definitions: dict[int, list[Definition]] = {}

    def keep(chunk_id: int) -> bool:
        file_id = store.file_id_of(chunk_id)
        if file_id not in of_files:
            stored = store.file_by_id(file_id)
            of_files[file_id] = filters.takes_file(os.fsdecode(stored.path), stored.language)
        if not of_files[file_id]:
            return False
        if not (filters.words or filters.kinds):
            return True
        (chunk,) = store.chunks([chunk_id])
        if not filters.takes_text(chunk.text):
            return False
        if not filters.kinds or chunk.kind in filters.kinds:
            return True
        if file_id not in definitions:
            definitions[file_id] = store.definitions_of(store.file_by_id(file_id))
        return any(filters.takes_definition(each, chunk) for each in definitions[file_id])

    return keep


def whole_word(word: str) -> re.Pattern[str]:
    """The word as it is written, not as a part of a longer one."""
    before = r"(?<!\w)" if re.match(r"\w", word) else ""
    behind = r"(?!\w)" if re.search(r"\w$", word) else ""
    return re.compile(before + re.escape(word) + behind)


def _words(text: str) -> tuple[str, ...]:
    """What must stand as it is: words, and what double quotes hold together."""
    found = (each.strip('"') if each.startswith('"') else each for each in _WORD.findall(text))
    return tuple(dict.fromkeys(each for each in found if each))[:_MAX_WORDS]


def _fits(path: str, wanted: str) -> bool:
    if any(mark in wanted for mark in "*?["):
        return fnmatchcase(path, wanted) or fnmatchcase(path, f"*/{wanted}")
    return wanted.removeprefix("./").lower() in f"/{path}".lower()


def _language(name: str) -> str:
    known = (*languages(), *_DOCUMENTS)
    spelled = name.lower()
    by_extension = {end: each for each in reversed(known) for end in extensions(each)}
    alias = EDITOR_IDS | KERNEL_NAMES
    found = spelled if spelled in known else alias.get(spelled) or by_extension.get(spelled)
    if found is None:
        raise _unknown("language", "lang", name, [*known, *alias])
    return found


def _kinds(name: str) -> frozenset[str]:
    spelled = name.lower()
    if spelled in _GROUPS:
        return _GROUPS[spelled]
    if spelled in KINDS:
        return frozenset({spelled})
    raise _unknown("kind", "kind", name, [*KINDS, *_GROUPS])


def _unknown(what: str, prefix: str, name: str, known: list[str]) -> UsageError:
    spelled = name.lower()
    near = [_SHORT[spelled]] if spelled in _SHORT else []
    near += difflib.get_close_matches(spelled, known, 1, 0.5)
    meant = f"; did you mean {prefix}:{near[0]}?" if near else ""
    names = f"kinds are {', '.join(sorted(set(known)))}; " if prefix == "kind" and not near else ""
    return UsageError(
        f"there is no {what} {name:.60}{meant}",
        hint=f"{names}to look for the text, write \\{prefix}:",
    )
