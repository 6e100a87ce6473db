"""Which file of the repository a raw prefix and suffix are a window of.

Editors that speak `/infill` send the lines around the cursor and no name. With the name the
language is known, the file's own chunks stay out of the prompt, and what stands above and
below the window is known too. Files that the editor mentioned are tried first, then those
that the index finds for the words around the cursor. It never leaves the repository's list
of files.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from codebuddy import platforms
from codebuddy.code_index import CodeIndex
from codebuddy.errors import CodebuddyError
from codebuddy.index.terms import terms
from codebuddy.source_text import decode

# A buffer differs from its file by what was typed since it was saved.
_LEAST_SHARE = 0.7
_LEAST_LINES = 3
_TRIVIAL_LINE_LENGTH = 4
_WINDOW_LINES = 200
_QUERY_LINES = 24
_CANDIDATES = 24
_MAX_FILES = 12
_REMEMBERED_FILES = 8
_MAX_FILE_BYTES = 4 << 20
# So many lines at a window's border must be found once in the file to say where it lies.
_BORDER_LINES = 3


@dataclass(frozen=True, slots=True)
class Window:
    """The text around the cursor, with `path` empty where no file is known to hold it."""

    path: str
    prefix: str
    suffix: str


class FileMatcher:
    """Finds files of one repository; the last ones found are tried first. One caller."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._recent: OrderedDict[str, None] = OrderedDict()

    def match(
        self, prefix: str, suffix: str, nearby: Iterable[str], index: CodeIndex | None
    ) -> Window:
        """The window, widened to the whole file where one is found that holds it.

        Args:
            prefix: The text before the cursor, with `\\n` line endings.
            suffix: The text after it.
            nearby: Paths that the editor mentioned; absolute, or relative to the repository.
            index: Asked where none of them holds the window.
        """
        # The cursor's own line is being typed.
        before, after = prefix.split("\n")[:-1], suffix.split("\n")[1:]
        wanted = _informative_lines([*before[-_WINDOW_LINES:], *after[:_WINDOW_LINES]])
        if len(wanted) < _LEAST_LINES:
            return Window("", prefix, suffix)
        tried: set[str] = set()
        named = [path for path in map(self.relative, nearby) if path]
        found = self._best([*reversed(self._recent), *named], wanted, tried)
        if found is None and index is not None:
            query = list(dict.fromkeys(terms("\n".join([*before[-_QUERY_LINES:], *after[:4]]))))
            results = index.lexical(query, _CANDIDATES)
            found = self._best((r.chunk.path for r in results), wanted, tried)
        if found is None:
            return Window("", prefix, suffix)
        path, text = found
        self._remember(path)
        above, below = _around(text, prefix, suffix)
        return Window(path, above + prefix, suffix + below)

    def _best(
        self, paths: Iterable[str], wanted: frozenset[str], tried: set[str]
    ) -> tuple[str, str] | None:
        """The path and text that hold most of the wanted lines, if they hold enough of them."""
        best, best_share = None, 0.0
        for path in paths:
            if path in tried or len(tried) >= _MAX_FILES:
                continue
            tried.add(path)
            text = self._read(path)
            share = (
                len(wanted & _informative_lines(text.split("\n"))) / len(wanted) if text else 0.0
            )
            if share > best_share:
                best, best_share = (path, text), share
        return best if best_share >= _LEAST_SHARE else None

    def _read(self, path: str) -> str:
        """The file's text with `\\n` line endings; empty if there is none to be had."""
        try:
            descriptor = platforms.open_beneath(os.fsencode(self._root), os.fsencode(path))
            with os.fdopen(descriptor, "rb") as stream:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_FILE_BYTES:
                    return ""
                content = stream.read(_MAX_FILE_BYTES)
            return decode(content, path)[0].replace("\r\n", "\n")
        except (OSError, ValueError, CodebuddyError):
            return ""

    def relative(self, name: str) -> str:
        """`name` relative to the root; empty where it leads out of it."""
        try:
            path = os.path.normpath(os.path.join(self._root, name))  # noqa: PTH118
            relative = Path(path).relative_to(self._root).as_posix()
        except ValueError:
            return ""
        return "" if relative == "." or relative.startswith(".git/") else relative

    def _remember(self, path: str) -> None:
        self._recent[path] = None
        self._recent.move_to_end(path)
        if len(self._recent) > _REMEMBERED_FILES:
            self._recent.popitem(last=False)


def _informative_lines(lines: Iterable[str]) -> frozenset[str]:
    return frozenset(s for line in lines if len(s := line.strip()) >= _TRIVIAL_LINE_LENGTH)


def _around(text: str, prefix: str, suffix: str) -> tuple[str, str]:
    """What stands in the file above and below the window; nothing where that is not certain."""
    top = "".join(_border(prefix.splitlines(keepends=True)))
    start = text.find(top) if top and text.count(top) == 1 else 0
    # An editor ends the window with a newline of its own, which stands for the file's.
    lines = suffix.removesuffix("\n").split("\n")[1:]
    bottom = "\n".join(reversed(_border(lines[::-1])))
    end = text.find(bottom) + len(bottom) if bottom and text.count(bottom) == 1 else len(text)
    below = text[end:].removeprefix("\n") if suffix.endswith("\n") else text[end:]
    return text[:start], below if end > start else ""


def _border(lines: list[str]) -> list[str]:
    """The first lines, up to the third that holds text; none if there are fewer."""
    telling = 0
    for index, line in enumerate(lines):
        telling += bool(line.strip())
        if telling == _BORDER_LINES:
            return lines[: index + 1]
    return []
