"""Questions about code that an open index answers: definitions, uses, outlines, relations, texts.

Every text comes out of the index, never from a path that the caller names: what is not indexed
(secrets, links, files that git ignores) cannot be read here.
"""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from codebuddy.cancellation import CancellationToken
from codebuddy.datatypes import Chunk, Definition
from codebuddy.errors import UsageError
from codebuddy.index.file_lines import FileLines
from codebuddy.service.code_names import parts_of
from codebuddy.service.code_text import CodeText, lines_between, text_of
from codebuddy.syntax.languages import language_for
from codebuddy.syntax.traits import traits_of

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.index.store import StoredFile
    from codebuddy.index.usages import Usage

# Definitions of one name that are looked at.
_MAX_DEFINITIONS = 64
_MAX_SIMILAR = 6
_WHY_SKIPPED = {
    "secret": "it is named or looks like a file of keys or passwords",
    "symlink": "it is a link",
    "large": "it is larger than index.max_file_bytes",
    "binary": "it is no text",
    "submodule": "it is a repository of its own",
    "permission": "it may not be read",
}


@dataclass(frozen=True, slots=True)
class NamedDefinitions:
    """The definitions of a name, the likeliest first, with their texts.

    `n_more` are known and beyond the limit. Without any, `similar` holds the places of names that
    are like it.
    """

    found: tuple[tuple[Definition, CodeText], ...]
    similar: tuple[Definition, ...] = ()
    n_more: int = 0


@dataclass(frozen=True, slots=True)
class NameUses:
    """Where a name is used, and where it is defined.

    With several definitions of the last part, `meant` says which one a file that uses it most
    likely means, as `PATH:LINE`, by its imports and its place; nothing where only the name speaks
    for one. Uses that most likely mean another than those that were asked for come last.
    `n_elsewhere` uses were not asked for, and `n_unseen` files have the word and were not looked
    into.
    """

    name: str
    definitions: tuple[Definition, ...]
    found: tuple[Usage, ...]
    meant: dict[str, str]
    n_elsewhere: int
    n_unseen: int


@dataclass(frozen=True, slots=True)
class FileOutline:
    """What a file defines and imports, in source order."""

    path: str
    language: str
    n_lines: int
    imports: tuple[str, ...]
    definitions: tuple[Definition, ...]


@dataclass(frozen=True, slots=True)
class FolderOutline:
    """The files beneath a folder, with their numbers of lines."""

    path: str
    files: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class RelatedFiles:
    """Files that have to do with one: by its imports, by theirs, and by git's history.

    `changed_with` has scores in (0, 1), the closest first; `n_unseen` files might import it too.
    """

    path: str
    imports: tuple[str, ...]
    imported_by: tuple[str, ...]
    changed_with: tuple[tuple[str, float], ...]
    n_unseen: int


def find_definitions(
    index: RepositoryIndex, name: str, near: str, cancellation: CancellationToken, limit: int
) -> NamedDefinitions:
    """Where `name` (`total`, `Cart.total`, `cart::total`) is defined.

    Args:
        index: Of the repository.
        name: As code spells it.
        near: The file that the name stands in: what it imports comes first; empty for none.
        cancellation: Ends the work between steps.
        limit: Definitions at most.
    """
    known = _definitions(index, name, near)
    found = []
    for each in known[:limit]:
        cancellation.check()
        found.append((each, text_of(each, index.chunks_of(each.path))))
    if found:
        return NamedDefinitions(tuple(found), n_more=len(known) - len(found))
    last = parts_of(name)[-1]
    similar: dict[tuple[str, int], Definition] = {}
    for result in index.search(name, _MAX_SIMILAR, "symbol", max_per_file=2):
        cancellation.check()
        known = index.definitions_of(result.chunk.path)
        inside = [each for each in known if _is_in(each, result.chunk)]
        if inside:
            likest = max(inside, key=lambda each: _likeness(each.name, last))
            similar[likest.path, likest.line] = likest
    return NamedDefinitions((), tuple(similar.values()))


def find_uses(
    index: RepositoryIndex, name: str, of: str, cancellation: CancellationToken
) -> NameUses:
    """Where `name` is used by that spelling.

    Args:
        index: Of the repository.
        name: As code spells it; of a dotted one the last part counts.
        of: Only uses that most likely mean the definition in this file; empty for all.
        cancellation: Ends the work between steps.
    """
    last = parts_of(name)[-1]
    every, definitions = (_in_code(_definitions(index, each, "")) for each in (last, name))
    if of and _own(index, last, of, definitions) is None:
        _check_indexed(index, of)
        raise UsageError(f"{of:.200} does not define {last:.200}", hint="ask without defined_in")
    cancellation.check()
    usages = index.usages(last)
    meant: dict[str, str] = {}
    if len(every) > 1 or of:
        for path in dict.fromkeys(each.path for each in usages.found):
            cancellation.check()
            meant[path] = _meant(index, last, path, every)
    found = usages.found
    if of:
        found = tuple(each for each in found if meant[each.path].rpartition(":")[0] == of)
    elif len(definitions) < len(every):
        files = {"", *(each.path for each in definitions)}
        found = tuple(
            sorted(found, key=lambda each: meant[each.path].rpartition(":")[0] not in files)
        )
    n_elsewhere = len(usages.found) - len(found)
    return NameUses(last, tuple(definitions), found, meant, n_elsewhere, usages.n_unseen)


def outline(index: RepositoryIndex, path: str) -> FileOutline | FolderOutline:
    """What a file defines, or which files a folder has.

    Raises:
        UsageError: Neither is in the index.
    """
    files = index.files()
    stored = next((each for each in files if _path(each) == path), None)
    if stored is not None:
        return FileOutline(
            path,
            stored.language,
            stored.n_lines,
            index.imports(path),
            tuple(sorted(index.definitions_of(path), key=lambda each: each.line)),
        )
    beneath = f"{path}/" if path else ""
    inside = tuple((_path(each), each.n_lines) for each in files if _path(each).startswith(beneath))
    if not inside and path:
        raise _not_indexed(index, path)
    return FolderOutline(path, inside)


def related_files(
    index: RepositoryIndex, path: str, cancellation: CancellationToken
) -> RelatedFiles:
    """The files that have to do with `path`.

    Raises:
        UsageError: It is not in the index.
    """
    known = {_path(each) for each in index.files()}
    if path not in known:
        raise _not_indexed(index, path)
    imports = index.imported_files(path)
    cancellation.check()
    imported_by, n_unseen = index.importing_files(path)
    cancellation.check()
    # History has files that are gone.
    changed = [
        (other, score) for other, score in index.changed_with(path).items() if other in known
    ]
    return RelatedFiles(path, tuple(imports), tuple(imported_by), tuple(changed), n_unseen)


def read_lines(
    index: RepositoryIndex, path: str, start: int, end: int | None, neighbours: int
) -> CodeText:
    """Lines `start` to `end` of a file, widened to whole chunks.

    Args:
        index: Of the repository.
        path: Of the file.
        start: First line, from 1.
        end: Last line; None for the chunk around `start`.
        neighbours: Chunks before and behind to add; with 0 and an `end` nothing is widened.

    Raises:
        UsageError: The file is not in the index, or has fewer lines.
    """
    chunks = index.chunks_of(path)
    if not chunks:
        _check_indexed(index, path)
    lines = FileLines.of(chunks)
    if end is not None and end < start:
        raise UsageError("end_line is before start_line", hint="give the first line first")
    if start > max(1, lines.last):
        raise UsageError(f"{path} has {lines.last} lines", hint="give a line that it has")
    first, last = start, end or start
    if end is None or neighbours:
        around = [
            place
            for place, each in enumerate(chunks)
            if each.start_line <= last and each.end_line >= first
        ]
        if around:
            before = chunks[max(0, around[0] - neighbours)]
            behind = chunks[min(len(chunks) - 1, around[-1] + neighbours)]
            first, last = min(first, before.start_line), max(last, behind.end_line)
    found = lines_between(path, lines, first, last)
    if chunks and not found.lines:
        following = lines.numbers[lines.between(first, lines.last)][0]
        raise UsageError(
            f"lines {first} to {last} of {path} hold no text of a cell",
            hint=f"the next text is at line {following}",
        )
    return found


def whole_text(index: RepositoryIndex, path: str) -> str:
    """The text of a file as it was indexed.

    Raises:
        UsageError: It is not in the index.
    """
    chunks = index.chunks_of(path)
    if not chunks:
        _check_indexed(index, path)
    return "".join(each.text for each in chunks)


def list_files(index: RepositoryIndex) -> list[tuple[str, int, str]]:
    """Path, bytes and language of every file, in the order of the paths' bytes."""
    return [(_path(each), each.stat.size, each.language) for each in index.files()]


def _definitions(index: RepositoryIndex, name: str, near: str) -> list[Definition]:
    """Those of the name, the likeliest first; a qualified name that fits goes before others."""
    parts = parts_of(name)
    last = parts[-1]
    known = index.definitions([last], _MAX_DEFINITIONS).get(last, [])
    if len(parts) > 1:
        # Of a name that many define.
        known += index.definitions_qualified(parts, _MAX_DEFINITIONS)
    if near:
        own = [each for each in index.definitions_of(near) if each.name == last]
        routes = index.definitions_for([last], near, per_name=_MAX_DEFINITIONS).get(last, [])
        known = [*own, *(each.definition for each in routes), *known]
    known = list(dict.fromkeys([*_in_code(known), *known]))
    if len(parts) == 1:
        return known
    whole = ".".join(parts)
    fitting = [each for each in known if f".{each.qualified}".endswith(f".{whole}")]
    stem = parts[-2]
    in_module = [
        each
        for each in known
        if stem in (posixpath.basename(each.path).partition(".")[0], *each.path.split("/")[:-1])
    ]
    return fitting or in_module or known


def _meant(index: RepositoryIndex, name: str, path: str, definitions: list[Definition]) -> str:
    """The definition that `name` in the file `path` most likely is."""
    own = _own(index, name, path, definitions)
    if own is None:
        routes = index.definitions_for([name], path, per_name=1).get(name, [])
        if not routes or routes[0].via == "name":
            return ""
        own = routes[0].definition
    return f"{own.path}:{own.line}"


def _own(
    index: RepositoryIndex, name: str, path: str, definitions: list[Definition]
) -> Definition | None:
    """The file's own definition of the name, which may be beyond those that were looked at."""
    known = definitions
    if len(definitions) >= _MAX_DEFINITIONS:
        known = [each for each in index.definitions_of(path) if each.name == name]
    return next((each for each in known if each.path == path), None)


def _likeness(one: str, other: str) -> float:
    """How alike two names are, from 0 to 1, whatever their case."""
    return SequenceMatcher(None, one.lower(), other.lower()).ratio()


def _is_in(definition: Definition, chunk: Chunk) -> bool:
    return definition.chunk_id == chunk.id


def _in_code(definitions: list[Definition]) -> list[Definition]:
    """Those that a name in code can mean: no headings, and no keys of data."""
    return [each for each in definitions if traits_of(language_for(each.path)).defines_names]


def _path(stored: StoredFile) -> str:
    return os.fsdecode(stored.path)


def _check_indexed(index: RepositoryIndex, path: str) -> None:
    if path not in {_path(each) for each in index.files()}:
        raise _not_indexed(index, path)


def _not_indexed(index: RepositoryIndex, path: str) -> UsageError:
    """Why there is nothing to read."""
    reason = index.reason_skipped(path)
    if reason:
        why = _WHY_SKIPPED.get(reason, f"it was left out ({reason})")
        return UsageError(f"{path:.200} is not in the index: {why}")
    return UsageError(
        f"{path:.200} is not in the index",
        hint="give a path relative to the repository's root; outline without a path lists files",
    )
