"""Draws the editor: a buffer with its colours, marks, cursor and ghost text.

Rows are lines, with the further rows of a ghost text below the cursor's line. It knows no
keys; `editor` turns those into edits.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from rich.segment import Segment
from textual import events
from textual.geometry import Offset, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from codebuddy.tui.palette import Palette, palette_of
from codebuddy.tui.text import find, motion
from codebuddy.tui.text.buffer import Edit, Location, TextBuffer
from codebuddy.tui.text.cells import lay_out, widest_line, width_of
from codebuddy.tui.text.colouring import Colouring
from codebuddy.tui.text.editing import Editing
from codebuddy.tui.text.ghost import Ghost
from codebuddy.tui.widgets.painting import TO_THE_EDGE, Mark, paint, token_marks

# The virtual size grows in steps, because each change of it lays the screen out again.
_STEP_ROWS = 16
_STEP_CELLS = 40
# Larger texts take milliseconds to copy for the parser, so they wait for a pause.
_LARGE_CHARACTERS = 400_000
_PAUSE_IF_LARGE_S = 0.15


class EditorView(ScrollView, can_focus=True):
    """One text with its cursor. `ghost` is what is suggested at the cursor, if anything."""

    @dataclass
    class Changed(Message):
        """The text changed; `is_typing` if a person's key did it, at the cursor."""

        editor: EditorView
        is_typing: bool

    @dataclass
    class Moved(Message):
        """The cursor went elsewhere without a change."""

        editor: EditorView

    def __init__(
        self, text: str, *, language: str, tab_width: int = 4, first_number: int = 1
    ) -> None:
        super().__init__()
        self.first_number = first_number
        self.buffer = TextBuffer(text)
        self.editing = Editing(self.buffer, tab_width)
        self.colouring = Colouring(self.buffer, language)
        self.language = language
        self.is_read_only = False
        self.ghost: Ghost | None = None
        self.matches: list[tuple[Location, Location]] = []
        self.current_match: tuple[Location, Location] | None = None
        self._bracket: tuple[Location, Location] | None = None
        self._widest_cells = widest_line(self.buffer.lines, tab_width)
        self._before = self._view_state()
        self._colouring_task: asyncio.Task[None] | None = None
        self._first_row: int | None = None
        self.buffer.listeners.append(self._on_edit)

    # What is shown

    @property
    def palette(self) -> Palette:
        """The styles of the app's theme."""
        return palette_of(self.app.theme)

    @property
    def gutter_cells(self) -> int:
        """Cells that the line numbers take, with the blanks around them."""
        return len(str(len(self.buffer.lines) + self.first_number - 1)) + 2

    @property
    def ghost_rows(self) -> int:
        """Rows that the ghost text adds below the cursor's line."""
        return self.ghost.text.count("\n") if self.ghost else 0

    def row_of(self, line: int) -> int:
        """The row on which a line is drawn."""
        below = self.ghost is not None and line > self.ghost.at.line
        return line + (self.ghost_rows if below else 0)

    def line_of(self, row: int) -> tuple[int, int]:
        """The line drawn on a row, and which of the ghost's further rows it is (0: none)."""
        if self.ghost is None or row <= self.ghost.at.line:
            return row, 0
        extra = row - self.ghost.at.line
        if extra <= self.ghost_rows:
            return self.ghost.at.line, extra
        return row - self.ghost_rows, 0

    def render_line(self, y: int) -> Strip:
        """Draw one row: number, text, marks, ghost."""
        width = self.scrollable_content_region.width or self.size.width
        row = y + self.scroll_offset.y
        line, extra = self.line_of(row)
        base = self.rich_style
        if line >= len(self.buffer.lines):
            return Strip([Segment(" " * width, base)], width)
        palette, gutter = self.palette, self.gutter_cells
        is_current = line == self.editing.cursor.line
        number = f"{line + self.first_number:>{gutter - 1}} " if not extra else " " * gutter
        segments = [Segment(number, base + palette["gutter_current" if is_current else "gutter"])]
        text, marks = self._row(line, extra)
        segments += paint(
            text, marks, base, self.editing.tab_width, self.scroll_offset.x, max(1, width - gutter)
        )
        return Strip(segments, width)

    def _row(self, line: int, extra: int) -> tuple[str, list[Mark]]:
        """A row's text and marks."""
        palette, text = self.palette, self.buffer.lines[line]
        spans = self.colouring.spans(line)
        ghost = self.ghost if self.ghost is not None and self.ghost.at.line == line else None
        marks: list[Mark] = []
        if line == self.editing.cursor.line and self.has_focus:
            marks.append(Mark(0, TO_THE_EDGE, palette["current_line"]))
        if ghost is None:
            marks += token_marks(spans, palette)
            marks += self._marks_on(line)
            return text, marks
        pieces, column = ghost.text.split("\n"), ghost.at.column
        style, is_last = palette["ghost"], extra == len(pieces) - 1
        shown = pieces[extra]
        head = text[:column] if extra == 0 else ""
        if not extra:
            marks += token_marks(spans, palette, 0, column)
            marks += [mark for mark in self._marks_on(line) if mark.start < column]
        marks.append(Mark(len(head), len(head) + len(shown), style))
        if is_last:
            place = len(head) + len(shown)
            marks += [
                Mark(mark.start + place, mark.end + place, mark.style)
                for mark in token_marks(spans, palette, column)
            ]
        if extra == 0:
            marks.append(self._cursor_mark(column))
        return head + shown + (text[column:] if is_last else ""), marks

    def _marks_on(self, line: int) -> list[Mark]:
        """Matches, selection, brackets and cursor on a line."""
        palette, editing = self.palette, self.editing
        marks: list[Mark] = []
        start, end = editing.selection
        if start.line <= line <= end.line and start != end:
            first = start.column if line == start.line else 0
            last = end.column if line == end.line else len(self.buffer.lines[line]) + 1
            marks.append(Mark(first, last, palette["selection"]))
        for start, end in find.matches_on(self.matches, line) if self.matches else ():
            name = "match_current" if (start, end) == self.current_match else "match"
            marks.append(Mark(start.column, end.column, palette[name]))
        marks += [
            Mark(bracket.column, bracket.column + 1, palette["bracket"])
            for bracket in self._bracket or ()
            if bracket.line == line
        ]
        if line == editing.cursor.line and self.can_focus:
            marks.append(self._cursor_mark(editing.cursor.column))
        return marks

    def _cursor_mark(self, column: int) -> Mark:
        name = "cursor" if self.has_focus else "cursor_idle"
        return Mark(column, column + 1, self.palette[name])

    # What changes

    def set_ghost(self, ghost: Ghost | None) -> None:
        """Show another suggestion, or none; one for another place is none."""
        if ghost is not None and (ghost.at != self.editing.cursor or not ghost.text):
            ghost = None
        if ghost is None and self.ghost is None:
            return
        self.ghost = ghost
        self.settle()

    def set_matches(
        self,
        matches: list[tuple[Location, Location]],
        current: tuple[Location, Location] | None = None,
    ) -> None:
        """Mark what was found."""
        self.matches, self.current_match = matches, current
        self.refresh()

    def select(self, start: Location, end: Location) -> None:
        """Select from `start` to `end`, and show it in the middle if it was out of sight."""
        self.editing.go(start)
        self.editing.go(end, select=True)
        self.drop_ghost()
        self.settle(in_the_middle=True)
        self.post_message(self.Moved(self))

    def go(self, place: Location, first_row: int | None = None) -> None:
        """Put the cursor somewhere, scrolled to `first_row` or, if out of sight, to the middle."""
        self._first_row = first_row
        self.editing.go(place)
        self.drop_ghost()
        self.settle(in_the_middle=True)
        self.post_message(self.Moved(self))

    def replace_text(self, text: str) -> None:
        """Another text in the place of this one, as one step of undo; the cursor stays.

        What was undone before stays within reach: it comes back with undo as well.
        """
        cursor = self.editing.cursor
        while self.buffer.redo() is not None:
            pass
        self.buffer.close_step()
        self.buffer.replace(Location(0, 0), self.buffer.end, text, cursor)
        self.editing.go(cursor)
        self.drop_ghost()
        self.settle()
        self.post_message(self.Changed(self, is_typing=False))

    def replace_places(self, edits: list[tuple[Location, Location, str]]) -> int:
        """Make replacements, given in text order, as one step of undo; how many there were."""
        count = self.editing.replace_all(edits)
        self.drop_ghost()
        self.settle()
        self.post_message(self.Changed(self, is_typing=False))
        return count

    def drop_ghost(self) -> None:
        """Take the suggestion away without a word."""
        self.ghost = None

    def settle(self, *, in_the_middle: bool = False) -> None:
        """Draw what changed since the last time, and keep the cursor in sight."""
        self._bracket = self._find_bracket()
        self._fit_virtual_size()
        before, now = self._before, self._view_state()
        self._before = now
        self._show_cursor(in_the_middle=in_the_middle)
        if before.lines != now.lines or before.ghost_rows != now.ghost_rows:
            self.refresh()
            return
        for line in {*before.touched, *now.touched}:
            self.refresh_lines(self.row_of(line), 1 + self.ghost_rows)

    def refresh_text_lines(self, first: int, last: int) -> None:
        """Draw lines again whose colours changed."""
        top = self.scroll_offset.y
        low = max(self.row_of(first), top)
        high = min(self.row_of(last) + self.ghost_rows, top + self.size.height)
        if high >= low:
            self.refresh_lines(low, high - low + 1)

    def _view_state(self) -> _ViewState:
        start, end = self.editing.selection
        touched = set(range(start.line, min(end.line, start.line + 400) + 1))
        for bracket in self._bracket or ():
            touched.add(bracket.line)
        return _ViewState(len(self.buffer.lines), self.ghost_rows, frozenset(touched))

    def _find_bracket(self) -> tuple[Location, Location] | None:
        cursor = self.editing.cursor
        partner = motion.matching_bracket(self.buffer, cursor)
        if partner is None:
            return None
        line = self.buffer.lines[cursor.line]
        is_at = cursor.column < len(line) and line[cursor.column] in "()[]{}"
        own = cursor if is_at else Location(cursor.line, cursor.column - 1)
        return own, partner

    def _on_edit(self, edit: Edit) -> None:
        for text in edit.inserted.split("\n")[:1000]:
            self._widest_cells = max(self._widest_cells, len(text))
        end = edit.new_end
        for line in (edit.start.line, end.line):
            width = width_of(self.buffer.lines[line], self.editing.tab_width)
            self._widest_cells = max(self._widest_cells, width)
        self.matches, self.current_match = [], None
        self._colour()

    # Colours

    def _colour(self) -> None:
        """Have the tree follow the text, in a thread; one at a time."""
        if self.is_attached and (self._colouring_task is None or self._colouring_task.done()):
            self._colouring_task = asyncio.create_task(self._keep_coloured())

    async def _keep_coloured(self) -> None:
        colouring, buffer = self.colouring, self.buffer
        while not colouring.is_current:
            text = buffer.text
            if len(text) > _LARGE_CHARACTERS:
                await asyncio.sleep(_PAUSE_IF_LARGE_S)
                text = buffer.text
            revision = buffer.revision
            result, changed = await asyncio.to_thread(colouring.highlight, text)
            for first, last in colouring.take(result, changed, revision):
                self.refresh_text_lines(first, last)

    def _fit_virtual_size(self) -> None:
        height = self.size.height or 1
        rows = len(self.buffer.lines) + self.ghost_rows
        rows = _rounded_up(rows + height // 2, _STEP_ROWS) if rows > height else height
        cells, needed_cells = self.size.width, self._widest_cells + 2 + self.gutter_cells
        if needed_cells > cells:
            cells = _rounded_up(needed_cells, _STEP_CELLS)
        wanted = Size(cells, rows)
        if self.virtual_size != wanted:
            self.virtual_size = wanted

    def _show_cursor(self, *, in_the_middle: bool = False) -> None:
        """Scroll so that the cursor, and what follows of a ghost, is in sight."""
        view = self.scrollable_content_region
        height = max(1, view.height)
        width = max(1, view.width - self.gutter_cells)
        row = self.row_of(self.editing.cursor.line)
        top, left = self.scroll_offset.y, self.scroll_offset.x
        if is_first := self._first_row is not None:
            if not view.height:
                return
            top, self._first_row = self._first_row or 0, None
        margin = min(3, height // 4)
        if in_the_middle and not top <= row < top + height:
            top = max(0, row - height // 2)
        elif row < top + margin:
            top = max(0, row - margin)
        elif row + min(self.ghost_rows, height // 2) > top + height - 1 - margin:
            top = row + min(self.ghost_rows, height // 2) - height + 1 + margin
        cell = self.cell_of_cursor()
        if cell < left + 2:
            left = max(0, cell - width // 4)
        elif cell >= left + width - 1:
            left = cell - width + 1 + width // 4
        if cell < width - 1:
            left = 0
        if (left, top) != (self.scroll_offset.x, self.scroll_offset.y):
            self.scroll_to(left, top, animate=False, force=True, immediate=is_first)
        self.app.cursor_position = self._cursor_on_screen()

    def cell_of_cursor(self) -> int:
        """The cell in its row on which the cursor stands."""
        cursor = self.editing.cursor
        return lay_out(self.buffer.lines[cursor.line], self.editing.tab_width).starts[cursor.column]

    def _cursor_on_screen(self) -> Offset:
        x = self.content_region.x + self.gutter_cells + self.cell_of_cursor()
        y = self.content_region.y + self.row_of(self.editing.cursor.line)
        return Offset(x - self.scroll_offset.x, y - self.scroll_offset.y)

    # Events

    def on_mount(self) -> None:
        """Fit the first time."""
        super().on_mount()  # type: ignore[no-untyped-call]
        self.settle()
        self._colour()

    def on_unmount(self) -> None:
        """Nothing goes on without a screen."""
        if self._colouring_task is not None:
            self._colouring_task.cancel()

    def on_resize(self, _event: events.Resize) -> None:
        """The cursor stays in sight when the terminal shrinks."""
        self.settle()

    def on_focus(self) -> None:
        """The cursor looks different with the focus."""
        self.refresh_text_lines(self.editing.cursor.line, self.editing.cursor.line)

    on_blur = on_focus

    def place_at(self, offset: Offset) -> Location:
        """The place in the text under a point of this widget."""
        line, extra = self.line_of(max(0, offset.y + self.scroll_offset.y))
        line = min(line, len(self.buffer.lines) - 1)
        if extra and self.ghost is not None:
            return self.ghost.at
        cell = max(0, offset.x - self.gutter_cells + self.scroll_offset.x)
        column = lay_out(self.buffer.lines[line], self.editing.tab_width).column_at(cell)
        return Location(line, column)


@dataclass(frozen=True)
class _ViewState:
    """What decides which rows are to be drawn again."""

    lines: int
    ghost_rows: int
    touched: frozenset[int]


def _rounded_up(number: int, step: int) -> int:
    return -(-number // step) * step
