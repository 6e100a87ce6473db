"""The lines of a file as its chunks hold them, each with its number in the file.

Of a notebook the chunks hold the cells' text, whose lines lie apart in the file. It reads no index.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from codebuddy.datatypes import Chunk


def has_own_lines(chunk: Chunk) -> bool:
    """Whether the lines of the chunk's text are, one by one, the lines of the file that it names.

    They are not where a notebook's JSON has several lines of a cell on one of its own, or blank
    lines between them.
    """
    return len(_lines_of(chunk)) == chunk.end_line - chunk.start_line + 1


@dataclass(frozen=True, slots=True)
class FileLines:
    """A file's lines without their ends; `numbers[i]` is the line of the file of `texts[i]`.

    Where a chunk has no own lines, each of its lines may be any from `numbers[i]` to `lasts[i]`.
    """

    texts: Sequence[str]
    numbers: Sequence[int]
    lasts: Sequence[int]

    @classmethod
    def of(cls, chunks: Iterable[Chunk]) -> FileLines:
        """Those of a file's chunks, which are in their order."""
        texts: list[str] = []
        numbers: list[int] = []
        lasts: list[int] = []
        is_open = False
        for chunk in chunks:
            lines = _lines_of(chunk)
            if has_own_lines(chunk):
                first = last = range(chunk.start_line, chunk.end_line + 1)
            else:
                first = range(chunk.start_line, chunk.start_line + 1)
                last = range(chunk.end_line, chunk.end_line + 1)
            # A line longer than a chunk goes on in the next one.
            n_known = int(is_open)
            if is_open:
                texts[-1] += lines[0]
                lasts[-1] = last[0]
            texts += lines[n_known:]
            numbers += [first[min(at, len(first) - 1)] for at in range(n_known, len(lines))]
            lasts += [last[min(at, len(last) - 1)] for at in range(n_known, len(lines))]
            is_open = not chunk.text.endswith("\n")
        return cls([each.removesuffix("\r") for each in texts], numbers, lasts)

    @property
    def last(self) -> int:
        """The last line of the file that holds text; 0 where there is none."""
        return self.lasts[-1] if self.lasts else 0

    def between(self, first: int, last: int) -> slice:
        """Where in `texts` the lines `first` to `last` of the file are."""
        start = bisect_left(self.lasts, first)
        return slice(start, max(start, bisect_right(self.numbers, last)))

    def is_told_apart(self, line: int) -> bool:
        """Whether a line of the file is no more than one of `texts`."""
        return len(self.texts[self.between(line, line)]) <= 1

    def naming(self, name: str, line: int) -> str:
        """The line of the file, of several that it may be the first with the word `name`."""
        texts = self.texts[self.between(line, line)]
        word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
        return next(filter(word.search, texts), texts[0] if texts else "")


def _lines_of(chunk: Chunk) -> list[str]:
    return chunk.text.removesuffix("\n").split("\n")
