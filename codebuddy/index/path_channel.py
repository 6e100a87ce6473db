"""The path channel: a query that is the path of a file, or how one ends -> that file's chunks.

`src/errors.ts`, `errors.ts` and `src/errors.ts:12` all name packages/db/src/errors.ts; nothing
is alike, a path ends so at a slash or it does not. It reads inside the caller's snapshot.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import cached_property

from codebuddy.index.query import PLACE, kind_of
from codebuddy.index.store import Store
from codebuddy.index.terms import normalized_name

PATH = "path"
# Nothing about a file's name is more or less sure.
SCORE = 1.0

_MAX_CHARACTERS = 4_096
# Of one name, as `__init__.py` in a large repository.
_MAX_FILES = 1_000
# A line of a Python traceback.
_FRAME = re.compile(r'File "([^"\n]+)", line ([0-9]{1,9})\b')
# Headings often bear a file's name; what code defines by a bare word is rather meant.
_HEADING = "section"
_DEFINITIONS_SEEN = 64
# Names of a path from another root that are looked at.
_MAX_DEPTH = 16


class PathFinder:
    """Finds paths by their ends; 100,000 of them are one string, gone through in about 1 ms."""

    def __init__(self, paths: Iterable[bytes]) -> None:
        # No path holds a NUL, so that one ends each of them.
        self._joined = b"".join(b"\0/" + path for path in paths) + b"\0"

    def has_any_with(self, letters: str) -> bool:
        """Whether a path has these letters, in lower case, somewhere in it."""
        return os.fsencode(letters) in self._lowered

    @cached_property
    def _lowered(self) -> bytes:
        return self._joined.lower()

    def has(self, path: str) -> bool:
        """Whether there is a file of this whole path."""
        try:
            wanted = b"\0/" + os.fsencode(path) + b"\0"
        except UnicodeEncodeError:
            return False
        return "\0" not in path and wanted in self._joined

    def ending_in(self, end: str) -> list[bytes]:
        """The paths that are `end`, or end in it behind a slash, the shortest first."""
        try:
            wanted = b"/" + os.fsencode(end) + b"\0"
        except UnicodeEncodeError:
            return []
        found: list[bytes] = []
        at = self._joined.find(wanted) if end and "\0" not in end else -1
        while at >= 0:
            found.append(self._joined[self._joined.rfind(b"\0", 0, at) + 2 : at + len(wanted) - 1])
            at = self._joined.find(wanted, at + 1)
        return sorted(found, key=lambda path: (len(path), path))[:_MAX_FILES]


def line_asked(query: str) -> int:
    """The line of a query `FILE:LINE` or `FILE:LINE:COL`; 0 where it names none."""
    text = query[:_MAX_CHARACTERS].strip()
    if frame := _FRAME.match(text):
        return int(frame[2])
    place = PLACE.search(text)
    return int(place[1]) if place else 0


def by_path(query: str, finder: PathFinder, store: Store, folder: str = "") -> Iterator[int]:
    """The ids of the chunks of the files that the query names; nothing if it names none.

    First one of each file, the one that holds the line asked for or the first, then the others.
    The file that the query names relative to `folder` comes before all others.
    """
    line, paths = _named_by(query, finder, folder)
    if not paths or _is_rather_a_name(query.strip(), store):
        return
    others: list[list[int]] = []
    for path in paths:
        stored = store.file_of(path)
        spans = store.chunk_spans(stored.id) if stored is not None else []
        # Stable, so that the others stay in their order.
        spans.sort(key=lambda span: not span[1] <= line <= span[2])
        ids = [chunk_id for chunk_id, _, _ in spans]
        yield from ids[:1]
        others.append(ids[1:])
    for ids in others:
        yield from ids


def missing_file(query: str, finder: PathFinder, folder: str) -> str:
    """The file of a query `FILE:LINE` where there is none that is called so; else empty."""
    text = query.strip()
    if len(text) > _MAX_CHARACTERS or kind_of(text) != "path":
        return ""
    bare = PLACE.sub("", text)
    return "" if bare == text or _named_by(text, finder, folder)[1] else bare


def beneath(folder: str, path: str) -> str:
    """The path of the repository that `path` is in `folder`."""
    return posixpath.normpath(posixpath.join(folder, path))


def _named_by(query: str, finder: PathFinder, folder: str) -> tuple[int, list[bytes]]:
    """The line asked for, or 0, and the files, that of the folder first."""
    line, paths = _named_anywhere(query, finder)
    text = query.strip()
    if len(text) > _MAX_CHARACTERS or "\n" in text:
        return line, paths
    bare = PLACE.sub("", text)
    for each in dict.fromkeys((text, bare, bare.replace("\\", "/"))):
        if finder.has(own := beneath(folder, each)):
            raw = os.fsencode(own)
            asked = 0 if each == text else line_asked(text)
            return asked, [raw, *(path for path in paths if path != raw)]
    return line, paths


def _named_anywhere(query: str, finder: PathFinder) -> tuple[int, list[bytes]]:
    """The line asked for, or 0, and the files."""
    text = query.strip()
    if len(text) > _MAX_CHARACTERS or "\n" in text:
        return 0, []
    if frame := _FRAME.match(text):
        text = f"{frame[1]}:{frame[2]}"
    # A file may be called so, place and backslash and all.
    if found := finder.ending_in(_relative(text)):
        return 0, found
    bare = PLACE.sub("", text)
    if bare != text and (found := finder.ending_in(_relative(bare))):
        return line_asked(text), found
    return line_asked(text), _nearest(_relative(bare.replace("\\", "/")), finder)


def _nearest(path: str, finder: PathFinder) -> list[bytes]:
    """The files of `path`, else those of its end.

    Another machine's path begins elsewhere; its last two names at least must be the same.
    """
    if found := finder.ending_in(path):
        return found
    if "/" in path and not any(mark.isspace() for mark in path):
        parts = path.split("/")[-_MAX_DEPTH:]
        for start in range(1, len(parts) - 1):
            if found := finder.ending_in("/".join(parts[start:])):
                return found
    return []


def _relative(path: str) -> str:
    while path.startswith(("./", "/")):
        path = path.removeprefix(".").removeprefix("/")
    return path


def _is_rather_a_name(text: str, store: Store) -> bool:
    """Whether `text` is a bare word that code defines: `configure` need not be the script."""
    if "/" in text or "." in text:
        return False
    known = store.definitions_named(text, normalized_name(text), _DEFINITIONS_SEEN)
    return any(each.kind != _HEADING for each in known)
