"""Lines of files for those who ask about code, each with its number in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from codebuddy.datatypes import Chunk, Definition
from codebuddy.index.file_lines import FileLines, has_own_lines


@dataclass(frozen=True, slots=True)
class CodeText:
    """Lines of a file: `lines[0]` is line `start` (from 1) of `n_lines`.

    `numbers` are the lines' own where they do not follow each other, as in a notebook, of which
    `n_lines` is the last one with text.
    """

    path: str
    start: int
    lines: tuple[str, ...]
    n_lines: int
    numbers: tuple[int, ...] = ()

    @property
    def numbered(self) -> list[tuple[int, str]]:
        """Each line with its number."""
        return list(zip(self.numbers or count(self.start), self.lines, strict=False))


def text_of(definition: Definition, chunks: Sequence[Chunk]) -> CodeText:
    """The lines of a definition.

    Args:
        definition: Whose.
        chunks: Those of its file, in their order.
    """
    own = [each for each in chunks if each.id == definition.chunk_id and not has_own_lines(each)]
    # Where lines do not tell the cells of a notebook apart, the chunk does.
    lines = FileLines.of(own or chunks)
    return lines_between(definition.path, lines, definition.line, definition.end_line)


def lines_between(path: str, lines: FileLines, first: int, last: int) -> CodeText:
    """The lines `first` to `last` of a file, as far as there are such."""
    places = lines.between(first, last)
    numbers = tuple(lines.numbers[places])
    start = numbers[0] if numbers else first
    is_run = numbers == tuple(range(start, start + len(numbers)))
    return CodeText(path, start, tuple(lines.texts[places]), lines.last, () if is_run else numbers)
