"""How a line of text lies on the screen: tabs, wide characters, and control bytes as text.

Whatever a file holds, only printable characters come out. It knows no styles.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from codebuddy.terminal import safe_line

_PLAIN = re.compile(r"[ -~]*")


@dataclass(frozen=True, slots=True)
class Layout:
    """A line on the screen.

    `pieces[c]` is what is shown for the character at column `c`, and `starts[c]` the cell
    where it begins; `starts` has one entry more, the line's width in cells.
    """

    pieces: Sequence[str]
    starts: Sequence[int]

    @property
    def width_cells(self) -> int:
        """Cells that the line takes."""
        return self.starts[-1]

    def text(self, start: int, end: int) -> str:
        """What is shown for columns `start` to `end`."""
        pieces = self.pieces[start:end]
        return pieces if isinstance(pieces, str) else "".join(pieces)

    def column_at(self, cell: int) -> int:
        """The column of the character on `cell`, or the line's end."""
        if cell >= self.starts[-1]:
            return len(self.pieces)
        # Characters of no width share their cell with the one before.
        return max(0, bisect_right(self.starts, cell) - 1)


@lru_cache(maxsize=4096)
def lay_out(line: str, tab_width: int) -> Layout:
    """Lay `line` out with tab stops every `tab_width` cells."""
    if _PLAIN.fullmatch(line):
        return Layout(line, range(len(line) + 1))
    pieces: list[str] = []
    starts: list[int] = [0]
    cell = 0
    for character in line:
        if character == "\t":
            width = tab_width - cell % tab_width
            piece = " " * width
        elif " " <= character <= "~":
            piece, width = character, 1
        else:
            piece, width = _shown(character)
        pieces.append(piece)
        cell += width
        starts.append(cell)
    return Layout(pieces, starts)


@lru_cache(maxsize=4096)
def _shown(character: str) -> tuple[str, int]:
    """A character as text that is safe to print, and its width in cells."""
    from rich.cells import get_character_cell_size

    piece = safe_line(character)
    if piece != character:
        return piece, len(piece)
    return piece, get_character_cell_size(character)


def width_of(text: str, tab_width: int = 8) -> int:
    """Cells that a line of text takes."""
    return lay_out(text, tab_width).width_cells


def widest_line(lines: Sequence[str], tab_width: int) -> int:
    """About the width of the widest line, in cells: tabs and wide characters of the longest ones
    count.
    """
    longest = sorted(lines, key=len)[-20:]
    return max(width_of(line[:20_000], tab_width) for line in longest)
