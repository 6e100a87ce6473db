"""Jupyter notebooks (nbformat 4): the cells' code, and where each character of it is in the file.

The file is JSON, of which only the cells' sources are read with their places; outputs and
metadata are skipped by the standard library's scanner. A hostile file is no notebook
until shown otherwise: every mistake is one `NotebookError`. It opens no file.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from codebuddy.syntax.languages import (
    KERNEL_NAMES,
    NOTEBOOK_CODE,
    NOTEBOOK_TEXT,
    UNKNOWN,
    languages,
)

# More than anybody writes; each costs some microseconds, and a file must not hold up the index.
MAX_CELLS = 10_000
MAX_LINES = 100_000
MAX_CODE_CHARACTERS = 8_000_000

_SPACE = re.compile(r"[ \t\r\n]*")
# A character of a JSON string as it is written; a pair of surrogates is one.
_WRITTEN = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]",
    re.DOTALL,
)
_DECODER = json.JSONDecoder()
# What `%%` in a cell's first line may say without making it code of another language.
_OWN_MAGICS = frozenset("time timeit capture prun memit mprun lprun heat scalene".split())
_CELL_MAGIC = re.compile(r"\s*%%(\w*)")
_LINE_MAGIC = re.compile(r"^([ \t]*)[%!?](?=.)", re.MULTILINE)


class NotebookError(Exception):
    """Why a text is no notebook that can be read, as one clause."""


@dataclass(frozen=True, slots=True)
class SourceString:
    """One JSON string of a cell's source: its decoded `text`.

    `start` is the place in the file behind its opening quote, `end` that of its closing one.
    """

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: `number` from 1, `kind` is `code`, `markdown` or `raw`.

    `language` is what its source is written in. `empty_at` is the place in the file where the
    first string of an empty list goes in, -1 where there are strings.
    """

    number: int
    kind: str
    language: str
    strings: tuple[SourceString, ...]
    empty_at: int = -1

    @property
    def text(self) -> str:
        """The source, as a person sees it."""
        return "".join(each.text for each in self.strings)


@dataclass(frozen=True)
class Notebook:
    """A notebook: `file` is its JSON, `language` that of its kernel."""

    file: str
    language: str
    cells: tuple[Cell, ...]

    @property
    def code_cells(self) -> tuple[Cell, ...]:
        """The cells whose code is in the kernel's language."""
        return tuple(
            each for each in self.cells if each.kind == "code" and each.language == self.language
        )

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.file))]

    def line_at(self, place: int) -> int:
        """The 1-based line of a place in the file."""
        return bisect_right(self._line_starts, place)

    def column_at(self, place: int) -> int:
        """The 1-based column of a place in the file, in characters."""
        return place - self._line_starts[self.line_at(place) - 1] + 1

    def lines_of(self, cell: Cell) -> list[int]:
        """The file's line of each line of a cell's text."""
        found: list[int] = []
        begins_line = True
        for string in cell.strings:
            if not string.text:
                continue
            line = self.line_at(string.start)
            found += [line] * (string.text.count("\n") + begins_line)
            begins_line = string.text.endswith("\n")
            if begins_line:
                found.pop()
        return found

    def range_of_line(self, line: int) -> tuple[int, int] | None:
        """The places where a line begins and ends; `None` if there is no such line."""
        if not 1 <= line <= len(self._line_starts):
            return None
        start = self._line_starts[line - 1]
        end = self.file.find("\n", start)
        return start, len(self.file) if end < 0 else end


def is_notebook_text(text: str | bytes) -> bool:
    """Whether a text that is called a notebook is its JSON, and not code of its cells."""
    return text.lstrip()[:1] in ("{", b"{")


def read_notebook(file: str) -> Notebook:
    """The notebook whose JSON is `file`.

    Raises:
        NotebookError: It is none, is of nbformat 3 or older, or is too large or too deep.
    """
    try:
        return _Reader(file).read()
    except RecursionError:
        raise NotebookError("its JSON is nested too deep") from None
    except (ValueError, StopIteration) as error:
        raise NotebookError(f"it is not valid JSON: {error or 'it ends early'}") from None


def place_in_string(file: str, string: SourceString, offset: int) -> int:
    """The place in the file of a character of a string's text."""
    if string.end - string.start == len(string.text):
        return string.start + offset
    place = string.start
    for match in _WRITTEN.finditer(file, string.start, string.end):
        if offset <= 0:
            break
        offset -= 1
        place = match.end()
    return place


def offset_in_string(file: str, string: SourceString, place: int) -> int:
    """The opposite of `place_in_string`; inside an escape it is the character before."""
    if string.end - string.start == len(string.text):
        return place - string.start
    return sum(match.end() <= place for match in _WRITTEN.finditer(file, string.start, string.end))


def escaped(line: str, file: str) -> str:
    """A line as it stands in a JSON string, in the file's own way where that is known."""
    has_surrogate = any("\ud800" <= character <= "\udfff" for character in line)
    as_ascii = has_surrogate or (file.isascii() and "\\u" in file)
    return json.dumps(line, ensure_ascii=as_ascii)[1:-1]


def parsable(code: str, language: str) -> str:
    """Cells' code with what only IPython understands masked, each character in its place."""
    if language != NOTEBOOK_CODE or not ("%" in code or "!" in code or "?" in code):
        return code
    return _LINE_MAGIC.sub(r"\1#", code)


class _Reader:
    """Goes through the JSON once, from the front."""

    def __init__(self, file: str) -> None:
        self._file = file
        # A byte order mark is the file's, not the JSON's.
        self._place = 1 if file.startswith("\ufeff") else 0
        self._n_characters = self._n_lines = 0

    def read(self) -> Notebook:
        cells: list[Cell] | None = None
        metadata: Any = {}
        version: Any = 4
        if self._next() != "{":
            raise NotebookError("it is no JSON object")
        for key in self._members():
            if key == "cells" and self._next() == "[":
                cells = list(self._cells())
            elif key == "metadata":
                metadata = self._value()
            elif key == "nbformat":
                version = self._value()
            elif key == "worksheets":
                raise NotebookError("it is of nbformat 3 or older; save it with Jupyter again")
            else:
                self._value()
        if self._next():
            raise NotebookError("something follows its JSON")
        if not isinstance(version, int) or version < 4 or cells is None:
            raise NotebookError("it has no list of cells of nbformat 4")
        language = _kernel_language(metadata)
        return Notebook(self._file, language, tuple(_in_kernel(each, language) for each in cells))

    def _cells(self) -> Iterator[Cell]:
        for number, _ in enumerate(self._items(), 1):
            if number > MAX_CELLS:
                raise NotebookError(f"it has more than {MAX_CELLS:,} cells")
            if self._next() != "{":
                raise NotebookError(f"its cell {number} is no object")
            yield self._cell(number)

    def _cell(self, number: int) -> Cell:
        kind: Any = ""
        metadata: Any = {}
        strings: tuple[SourceString, ...] | None = None
        empty_at = -1
        for key in self._members():
            if key == "source":
                strings, empty_at = self._source(number)
            elif key == "cell_type":
                kind = self._value()
            elif key == "metadata":
                metadata = self._value()
            else:
                self._value()
        if kind not in ("code", "markdown", "raw"):
            raise NotebookError(f"its cell {number} has no type that is known")
        if strings is None:
            raise NotebookError(f"its cell {number} has no source")
        return Cell(number, kind, _own_language(metadata), strings, empty_at)

    def _source(self, number: int) -> tuple[tuple[SourceString, ...], int]:
        if self._next() == '"':
            return (self._string(),), -1
        if self._next() != "[":
            raise NotebookError(f"the source of its cell {number} is no text")
        empty_at = self._place + 1
        found = []
        for _ in self._items():
            if self._next() != '"':
                raise NotebookError(f"the source of its cell {number} is no list of texts")
            found.append(self._string())
        return tuple(found), -1 if found else empty_at

    def _string(self) -> SourceString:
        start = self._place + 1
        text, end = scanstring(self._file, start, True)  # noqa: FBT003 (as json calls it)
        self._place = end
        self._n_characters += len(text)
        self._n_lines += 1 + text.count("\n")
        if self._n_lines > MAX_LINES:
            raise NotebookError(f"its cells hold more than {MAX_LINES:,} lines")
        if self._n_characters > MAX_CODE_CHARACTERS:
            raise NotebookError(f"its cells hold more than {MAX_CODE_CHARACTERS:,} characters")
        return SourceString(start, end - 1, text)

    def _value(self) -> Any:
        """Any value, whose places do not matter."""
        self._next()
        value, self._place = _DECODER.raw_decode(self._file, self._place)
        return value

    def _members(self) -> Iterator[str]:
        """The keys of the object that begins here, each read up to its value."""
        for _ in self._items("{", "}"):
            if self._next() != '"':
                raise ValueError("a name is no text")
            key, self._place = scanstring(self._file, self._place + 1, True)  # noqa: FBT003
            self._take(":")
            yield key

    def _items(self, opening: str = "[", closing: str = "]") -> Iterator[None]:
        """Stops before each item; the caller reads it."""
        self._take(opening)
        if self._next() == closing:
            self._take(closing)
            return
        while True:
            yield
            if self._next() == ",":
                self._take(",")
                continue
            self._take(closing)
            return

    def _next(self) -> str:
        """The next character that is no blank; empty at the end."""
        match = _SPACE.match(self._file, self._place)
        self._place = match.end() if match else self._place
        return self._file[self._place : self._place + 1]

    def _take(self, sign: str) -> None:
        if self._next() != sign:
            raise ValueError(f"'{sign}' is missing at character {self._place}")
        self._place += 1


def _kernel_language(metadata: Any) -> str:
    """The kernel's language by its usual names; Python where nothing is said."""
    for section, key in (("kernelspec", "language"), ("language_info", "name")):
        part = metadata.get(section) if isinstance(metadata, dict) else None
        name = part.get(key) if isinstance(part, dict) else None
        if isinstance(name, str) and name:
            return _known(name)
    return NOTEBOOK_CODE


def _own_language(metadata: Any) -> str:
    """What a cell says of itself (VS Code's notebooks of several languages); empty if nothing."""
    part = metadata.get("vscode") if isinstance(metadata, dict) else None
    name = part.get("languageId") if isinstance(part, dict) else None
    return _known(name) if isinstance(name, str) and name else ""


def _known(name: str) -> str:
    lowered = name.strip().lower()
    lowered = KERNEL_NAMES.get(lowered, lowered)
    return lowered if lowered in languages() else UNKNOWN


def _in_kernel(cell: Cell, language: str) -> Cell:
    """The cell with its language, which its type, its own word or a `%%` in it may change."""
    own = {"markdown": NOTEBOOK_TEXT, "raw": UNKNOWN}.get(cell.kind) or cell.language or language
    if cell.kind == "code" and own == NOTEBOOK_CODE and (magic := _CELL_MAGIC.match(cell.text)):
        name = magic[1].lower()
        own = own if not name or name in _OWN_MAGICS else _known(name)
    return Cell(cell.number, cell.kind, own, cell.strings, cell.empty_at)
