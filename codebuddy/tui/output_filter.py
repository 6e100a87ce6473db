"""The last gate before the terminal: no control character of anybody's text goes out, nor one
that reorders or hides text.

What is shown of files, names and models was made printable before; this holds for what a
widget of Textual's own shows as it got it (a pasted line, for example).
"""

from __future__ import annotations

import unicodedata

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter


class _Kept(dict[int, str | int | None]):
    """Translation table for `str.translate`, filled as characters are met."""

    def __missing__(self, code: int) -> str | int | None:
        character = chr(code)
        shown: str | int | None = code
        is_kept = character.isprintable() or character == "\n"
        if not is_kept and unicodedata.category(character) != "Zs":
            # Most have no width, so that nothing moves when they go.
            shown = "?" * get_character_cell_size(character) or None
        self[code] = shown
        return shown


_KEPT = _Kept()


class NoControlCharacters(LineFilter):
    """Takes control characters out of every segment."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments, those with control characters without them."""
        if all(segment.text.isprintable() for segment in segments):
            return segments
        return [
            segment
            if segment.control or segment.text.isprintable()
            else Segment(segment.text.translate(_KEPT), segment.style)
            for segment in segments
        ]
