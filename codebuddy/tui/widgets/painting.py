"""A line of the editor as styled segments: tokens below, marks above, the cursor on top.

Only what `cells.Layout` made printable is painted. It knows no widget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.segment import Segment
from rich.style import Style

from codebuddy.tui.palette import Palette
from codebuddy.tui.text.cells import Layout, lay_out

# A mark that ends here goes on to the edge of the screen.
TO_THE_EDGE = 1 << 29


class Mark(NamedTuple):
    """Columns `start` to `end` get `style` on top of what they have."""

    start: int
    end: int
    style: Style


def token_marks(
    spans: Sequence[tuple[int, int, str]], palette: Palette, start: int = 0, end: int = TO_THE_EDGE
) -> list[Mark]:
    """The spans between two columns as marks, counted from `start`."""
    return [
        Mark(max(first, start) - start, min(last, end) - start, palette[token])
        for first, last, token in spans
        if last > start and first < end
    ]


def paint(
    text: str,
    marks: Sequence[Mark],
    base: Style,
    tab_width: int,
    first_cell: int,
    width_cells: int,
) -> list[Segment]:
    """The cells from `first_cell` on, `width_cells` of them, filled up with blanks.

    Args:
        text: The whole row; one more blank may be marked behind its end (the cursor).
        marks: In the order in which they are put on.
        base: Under everything.
        tab_width: Cells between tab stops.
        first_cell: How far the row is scrolled.
        width_cells: How many cells there are.
    """
    layout = lay_out(text + " ", tab_width)
    last_cell = first_cell + width_cells
    start = layout.column_at(first_cell) if first_cell else 0
    end = min(layout.column_at(last_cell) + 1, len(layout.pieces))
    segments: list[Segment] = []
    lead = first_cell - layout.starts[start] if start < len(layout.pieces) else 0
    for first, last, style in _runs(marks, base, start, end):
        segments.append(Segment(layout.text(first, last), style))
    used = layout.starts[end] - layout.starts[start]
    if lead or used > width_cells:
        return _cut(segments, layout, start, end, lead, width_cells, base)
    if used < width_cells:
        style = base
        for mark in marks:
            if mark.end >= TO_THE_EDGE:
                style += mark.style
        segments.append(Segment(" " * (width_cells - used), style))
    return segments


def _cut(
    segments: list[Segment],
    layout: Layout,
    start: int,
    end: int,
    lead: int,
    width_cells: int,
    base: Style,
) -> list[Segment]:
    """Segments whose first or last character sticks out, cut to fit."""
    from textual.strip import Strip

    used = layout.starts[end] - layout.starts[start]
    strip = Strip(segments, used).crop_extend(lead, lead + width_cells, base)
    return list(strip)


def _runs(marks: Sequence[Mark], base: Style, start: int, end: int) -> list[tuple[int, int, Style]]:
    """Columns of one style each."""
    cuts = {start, end}
    for first, last, _ in marks:
        if start < first < end:
            cuts.add(first)
        if start < last < end:
            cuts.add(last)
    ordered = sorted(cuts)
    runs: list[tuple[int, int, Style]] = []
    for index in range(len(ordered) - 1):
        first, last = ordered[index], ordered[index + 1]
        style = base
        for mark in marks:
            if mark.start <= first and mark.end >= last:
                style += mark.style
        runs.append((first, last, style))
    return runs
