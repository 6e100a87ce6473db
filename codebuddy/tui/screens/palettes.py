"""The palettes: files by name, the repository by meaning and words, definitions of a name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import ClassVar

from codebuddy.service.response import SearchHit
from codebuddy.syntax import language_for
from codebuddy.syntax.traits import IMPORT_OPENINGS, PACKAGE_STEMS
from codebuddy.tui.backend import Backend
from codebuddy.tui.screens.picker import PickerItem, PickerScreen

_MAX_SHOWN = 60
_TOP_K = 30
_IMPORT = re.compile(rf"\s*(?:{IMPORT_OPENINGS}|require)\b")
# Files that are called by their folder's name; a program's `main` is called by its own.
_NAMED_AS_FOLDER = PACKAGE_STEMS - {"main"}


class FilesPalette(PickerScreen):
    """Files of the repository by parts of their names."""

    title_text: ClassVar[str] = "go to file"

    def __init__(self, paths: Sequence[str], recent: Sequence[str]) -> None:
        super().__init__()
        self._paths = paths
        self._recent = recent

    async def search(self, query: str) -> Sequence[PickerItem]:
        """The files that match best; without a query, the recent ones first."""
        if not query.strip():
            rest = [path for path in self._paths[:_MAX_SHOWN] if path not in self._recent]
            return [PickerItem(path) for path in [*self._recent, *rest]]
        paths = await asyncio.to_thread(matching_paths, self._paths, query, _MAX_SHOWN)
        return [PickerItem(path) for path in paths]


class SearchPalette(PickerScreen):
    """The repository by what is asked for: names, words, or a description."""

    title_text: ClassVar[str] = "search the repository"
    pause_s: ClassVar[float] = 0.15

    def __init__(self, backend: Backend, query: str = "") -> None:
        super().__init__(query)
        self._backend = backend

    async def search(self, query: str) -> Sequence[PickerItem]:
        """The best chunks."""
        if not query.strip():
            return ()
        return [picker_item(each) for each in await self._backend.search(query, _TOP_K, "hybrid")]


class DefinitionsPalette(PickerScreen):
    """Where a name is defined, if in more than one place."""

    title_text: ClassVar[str] = "definitions"

    def __init__(self, items: Sequence[PickerItem]) -> None:
        super().__init__()
        self._all = items

    async def search(self, query: str) -> Sequence[PickerItem]:
        """Those whose place holds the query."""
        return [each for each in self._all if query.lower() in f"{each.path} {each.title}".lower()]


async def definitions_of(
    backend: Backend, name: str, own_path: str, lines: Sequence[str]
) -> list[PickerItem]:
    """Where `name` is defined, by the symbol table; the file asked from comes last.

    Those that a line of the file names together with their module (an import) are meant, if
    there are any.

    Raises:
        CodebuddyError: The index cannot be asked.
    """
    results = await backend.search(name, _TOP_K, "symbol")
    exact = [each for each in results if _last_name(each["symbol"]) == name]
    items = sorted((picker_item(each) for each in exact), key=lambda item: item.path == own_path)
    named = [line for line in lines if name in line and _IMPORT.match(line)]
    meant = [each for each in items if any(_names_module(line, each.path) for line in named)]
    return meant or items


def _names_module(line: str, path: str) -> bool:
    parts = PurePosixPath(path).with_suffix("").parts
    module = parts[-2] if len(parts) > 1 and parts[-1] in _NAMED_AS_FOLDER else parts[-1]
    return module in re.split(r"\W+", line)


def picker_item(result: SearchHit) -> PickerItem:
    """A search's result as a place to go to."""
    path, text, symbol = result["path"], result["text"], result["symbol"]
    kind = result["kind"] if symbol else ""
    return PickerItem(
        path=path,
        line=result["line"],
        title=f"{kind} {symbol}".strip(),
        facts=f"{result['channel']} {result['score']:.3f}",
        text=text,
        first_line=result["start_line"],
        language=language_for(path, text[:4096].encode("utf-8", "replace")),
        symbol=symbol,
    )


def matching_paths(paths: Sequence[str], query: str, top_k: int) -> list[str]:
    """Paths that hold the query's letters in order, the closest matches first.

    A match within the file's name counts before one across folders, a run of letters before
    scattered ones, a short path before a long one.
    """
    letters = "".join(query.lower().split())
    scored = []
    for path in paths:
        lowered = path.lower()
        width = _span(letters, lowered)
        if width is None:
            continue
        name = lowered.rpartition("/")[2]
        score = (
            letters not in name,
            letters not in lowered,
            _span(letters, name) is None,
            width,
            len(path),
        )
        scored.append((score, path))
    scored.sort()
    return [path for _, path in scored[:top_k]]


def _span(letters: str, text: str) -> int | None:
    """How many characters of `text` hold the letters in order, where they first end.

    One pass there and one back: a regular expression could try every combination.
    """
    end = 0
    for letter in letters:
        end = text.find(letter, end) + 1
        if end == 0:
            return None
    start = end
    for letter in reversed(letters):
        start = text.rindex(letter, 0, start)
    return end - start


def _last_name(symbol: str) -> str:
    return re.split(r"[.:#/]+", symbol)[-1]
