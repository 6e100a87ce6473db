"""Where a name is used and which files import a file, by what the index keeps of each file.

A use is a place that the parser took for one, of that very spelling; which definition it means is
for others to say. Everything here reads inside the caller's snapshot.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from codebuddy.datatypes import Definition
from codebuddy.index.file_lines import FileLines
from codebuddy.index.lexical import LexicalRanker
from codebuddy.index.match_location import innermost
from codebuddy.index.modules import ModuleMap, family_of
from codebuddy.index.store import Store, StoredFile
from codebuddy.index.terms import MAX_WORD_LENGTH
from codebuddy.index.terms import words as words_of
from codebuddy.syntax.spec import VALUE_KINDS
from codebuddy.syntax.traits import IMPORT_CONVENTIONS, PACKAGE_STEMS

# Files that may use a name and are looked into; a name that more have says little.
MAX_FILES_SEEN = 1_000
_ROLES = ("code", "test", "generated", "vendored")


@dataclass(frozen=True, slots=True)
class Usage:
    """A use of a name: `kind` is `call`, `import`, `type` or `name`, `line` 1-based.

    `inside` is the qualified name of the innermost definition around it, empty at module level.
    """

    path: str
    line: int
    kind: str
    inside: str
    text: str


@dataclass(frozen=True, slots=True)
class Usages:
    """The uses that were found; `n_unseen` files have the word and were not looked into."""

    found: tuple[Usage, ...]
    n_unseen: int = 0


def find_usages(store: Store, lexical: LexicalRanker, name: str) -> Usages:
    """The uses of `name`, code before tests, in the order of paths and lines."""
    files, n_unseen = _files_with(store, lexical, [name])
    found: list[Usage] = []
    for stored in files:
        references = store.references_of(stored.id, name)
        if references:
            definitions = store.definitions_of(stored)
            lines = FileLines.of(store.chunks_of(stored))
            path = os.fsdecode(stored.path)
            for _, kind, line in references:
                # Of a notebook, one line of the file may be many of the cells.
                inside = enclosing(definitions, line) if lines.is_told_apart(line) else ""
                found.append(Usage(path, line, kind, inside, lines.naming(name, line)))
    return Usages(tuple(found), n_unseen)


def find_importers(
    store: Store, lexical: LexicalRanker, modules: ModuleMap, path: str
) -> tuple[list[str], int]:
    """The files whose imports lead to `path`, and how many more have its name unseen.

    A file that names neither the module nor, where an import can name that, its folder is not
    looked into.
    """
    folder, name = posixpath.split(path)
    stem = name.partition(".")[0]
    words = [stem]
    convention = IMPORT_CONVENTIONS.get(family_of(path))
    may_name_folder = convention is not None and convention.target != "file"
    if folder and (may_name_folder or stem in PACKAGE_STEMS):
        words.append(posixpath.basename(folder))
    files, n_unseen = _files_with(store, lexical, words)
    found = []
    for stored in files:
        other = os.fsdecode(stored.path)
        imports = store.imports_of(stored.id)
        if other != path and path in modules.resolve(imports, other, words):
            found.append(other)
    return found, n_unseen


def enclosing(definitions: Iterable[Definition], line: int) -> str:
    """The qualified name of the innermost definition with a body around `line`."""
    found = innermost((each for each in definitions if each.kind not in VALUE_KINDS), line)
    return "" if found is None else found.qualified


def _files_with(
    store: Store, lexical: LexicalRanker, words: Iterable[str]
) -> tuple[list[StoredFile], int]:
    """The files that hold one of `words`, code first, and how many were left out."""
    ids = {file_id for word in words for file_id in _file_ids(store, lexical, word)}
    files = [store.file_by_id(file_id) for file_id in ids]
    files.sort(key=lambda each: (_ROLES.index(each.role), each.path))
    return files[:MAX_FILES_SEEN], max(0, len(files) - MAX_FILES_SEEN)


def _file_ids(store: Store, lexical: LexicalRanker, word: str) -> Iterator[int]:
    # The index has whole words: `valid?` is found by `valid`, `my-file` by the longer half.
    longest = max(words_of(word), key=len, default="")
    if len(longest) > MAX_WORD_LENGTH:
        # It is in none of them.
        yield from (stored.id for stored in store.files())
    for chunk_id in lexical.chunks_with(longest.lower()):
        yield store.file_id_of(chunk_id)
