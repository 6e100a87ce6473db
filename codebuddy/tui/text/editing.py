"""A cursor and a selection in a buffer, and what keys do with them. It draws nothing.

Every change goes through the buffer, so that it can be undone; a change of several places
is one step of undo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from codebuddy.positions import indent_width
from codebuddy.tui.text import motion
from codebuddy.tui.text.buffer import Edit, Location, TextBuffer
from codebuddy.tui.text.cells import lay_out


class Editing:
    """Where typing goes in, and what is selected: from `anchor` to `cursor`."""

    def __init__(self, buffer: TextBuffer, tab_width: int = 4) -> None:
        self.buffer = buffer
        self.tab_width = tab_width
        self.cursor = Location(0, 0)
        self.anchor = Location(0, 0)
        self._goal_cell: int | None = None

    @property
    def selection(self) -> tuple[Location, Location]:
        """Start and end of what is selected, in text order; equal if nothing is."""
        return (
            (self.anchor, self.cursor) if self.anchor <= self.cursor else (self.cursor, self.anchor)
        )

    @property
    def has_selection(self) -> bool:
        """Whether anything is selected."""
        return self.anchor != self.cursor

    @property
    def selected_text(self) -> str:
        """What is selected."""
        return self.buffer.slice(*self.selection)

    # Motion

    def go(self, place: Location, *, select: bool = False, keep_goal: bool = False) -> None:
        """Put the cursor at `place`; with `select`, the selection grows or shrinks to it."""
        self.buffer.close_step()
        self.cursor = self.buffer.clamp(place)
        if not select:
            self.anchor = self.cursor
        if not keep_goal:
            self._goal_cell = None

    def left(self, *, select: bool = False) -> None:
        """One character to the left, or to the selection's beginning."""
        if self.has_selection and not select:
            self.go(self.selection[0])
            return
        line, column = self.cursor
        if column:
            self.go(Location(line, column - 1), select=select)
        elif line:
            self.go(Location(line - 1, self.buffer.end_of_line(line - 1)), select=select)

    def right(self, *, select: bool = False) -> None:
        """One character to the right, or to the selection's end."""
        if self.has_selection and not select:
            self.go(self.selection[1])
            return
        line, column = self.cursor
        if column < self.buffer.end_of_line(line):
            self.go(Location(line, column + 1), select=select)
        elif line + 1 < len(self.buffer.lines):
            self.go(Location(line + 1, 0), select=select)

    def vertically(self, lines: int, *, select: bool = False) -> None:
        """Some lines down (or up), staying in the same cell where lines are long enough."""
        layout = lay_out(self.buffer.lines[self.cursor.line], self.tab_width)
        if self._goal_cell is None:
            self._goal_cell = layout.starts[self.cursor.column]
        line = min(max(self.cursor.line + lines, 0), len(self.buffer.lines) - 1)
        if line == self.cursor.line:
            end = 0 if lines < 0 else self.buffer.end_of_line(line)
            self.go(Location(line, end), select=select)
            return
        column = lay_out(self.buffer.lines[line], self.tab_width).column_at(self._goal_cell)
        self.go(Location(line, column), select=select, keep_goal=True)

    def by(self, move: Callable[[TextBuffer, Location], Location], *, select: bool = False) -> None:
        """As a function of `motion` says."""
        self.go(move(self.buffer, self.cursor), select=select)

    def to_line_end(self, *, select: bool = False) -> None:
        """The end of the line."""
        line = self.cursor.line
        self.go(Location(line, self.buffer.end_of_line(line)), select=select)

    def select_all(self) -> None:
        """Select the whole text."""
        self.anchor = Location(0, 0)
        self.cursor = self.buffer.end

    def select_word(self) -> None:
        """Select the word at the cursor."""
        word = motion.word_at(self.buffer, self.cursor)
        if word is not None:
            self.anchor, self.cursor = word

    def select_line(self) -> None:
        """Select the cursor's line with its end."""
        line = self.cursor.line
        self.anchor = Location(line, 0)
        self.cursor = self.buffer.clamp(Location(line + 1, 0))
        if self.cursor.line == line:
            self.to_line_end(select=True)

    # Changes

    def insert(self, text: str, *, keeps_ends: bool = False) -> Edit | None:
        """Put `text` in the place of the selection; the cursor goes behind it.

        Its lines end as the line does in which it is put. With `keeps_ends` they keep their own
        where the text mixes line ends.
        """
        start, end = self.selection
        if not (keeps_ends and self.buffer.has_crlf):
            text = self.buffer.with_ends_of(end.line, text)
        edit = self.buffer.replace(start, end, text, self.cursor)
        if edit is not None:
            self._settle(edit.new_end)
        return edit

    def newline(self) -> Edit | None:
        """Break the line; the new one is indented as the syntax of the old one's end asks."""
        start, _ = self.selection
        line = self.buffer.lines[start.line]
        indent = motion.indentation_after(self.buffer, start)
        own_indent = line[: indent_width(line)]
        is_between = line[start.column - 1 : start.column + 1] in ("()", "[]", "{}")
        if is_between and not self.has_selection:
            edit = self.insert("\n" + indent + "\n" + own_indent)
            self._settle(Location(start.line + 1, len(indent)))
            return edit
        if start.column < len(own_indent):
            indent = own_indent[: start.column]
        return self.insert("\n" + indent)

    def backspace(self) -> Edit | None:
        """Delete the selection or the character before; in indentation, one level of it."""
        if not self.has_selection:
            line, column = self.cursor
            before = self.buffer.lines[line][:column]
            unit = motion.indentation_unit(self.buffer)
            if before and not before.strip(" ") and unit != "\t":
                self.anchor = Location(line, (column - 1) // len(unit) * len(unit))
            else:
                self._select(self.left)
        return self._delete_selection()

    def delete(self) -> Edit | None:
        """Delete the selection or the character behind the cursor."""
        if not self.has_selection:
            self._select(self.right)
        return self._delete_selection()

    def delete_word_left(self) -> Edit | None:
        """Delete back to the beginning of the word."""
        if not self.has_selection:
            self.by(motion.word_left, select=True)
        return self._delete_selection()

    def delete_word_right(self) -> Edit | None:
        """Delete to the end of the word."""
        if not self.has_selection:
            self.by(motion.word_right, select=True)
        return self._delete_selection()

    def delete_lines(self) -> Edit | None:
        """Delete every line that the selection touches."""
        first, last = self._lines()
        if last + 1 < len(self.buffer.lines):
            start, end = Location(first, 0), Location(last + 1, 0)
        elif first:
            start = Location(first - 1, self.buffer.end_of_line(first - 1))
            end = self.buffer.end
        else:
            start, end = Location(0, 0), self.buffer.end
        edit = self.buffer.replace(start, end, "", self.cursor)
        self._settle(Location(first, self.cursor.column))
        return edit

    def move_lines(self, step: int) -> None:
        """Move the lines that the selection touches one up (-1) or down (1).

        Their ends go with them. The last line of the text has none: where it goes up, it gets that
        of the line that becomes the last.
        """
        first, last = self._lines()
        other = first - 1 if step < 0 else last + 1
        if not 0 <= other < len(self.buffer.lines):
            return
        low, high = min(first, other), max(last, other)
        lines = self.buffer.lines[low : high + 1]
        columns = [self.buffer.end_of_line(number) for number in range(low, high + 1)]
        ends = [line[column:] for line, column in zip(lines, columns, strict=True)]
        order = [*range(1, len(lines)), 0] if step < 0 else [len(lines) - 1, *range(len(lines) - 1)]
        if high + 1 == len(self.buffer.lines):
            ends[-1], ends[order[-1]] = ends[order[-1]], ends[-1]
        lines = [lines[number][: columns[number]] + ends[number] for number in order]
        cursor, anchor = self.cursor, self.anchor
        end = Location(high, len(self.buffer.lines[high]))
        self.buffer.close_step()
        self.buffer.replace(Location(low, 0), end, "\n".join(lines), cursor)
        self.cursor = self.buffer.clamp(Location(cursor.line + step, cursor.column))
        self.anchor = self.buffer.clamp(Location(anchor.line + step, anchor.column))

    def indent(self) -> None:
        """A tab's worth of indentation: for the lines of a selection, else at the cursor."""
        unit = motion.indentation_unit(self.buffer)
        first, last = self._lines()
        if first == last:
            column = self.cursor.column
            width = len(unit) - column % len(unit) if unit != "\t" else 1
            self.insert(unit[0] * width)
            return
        self._change_lines(lambda line: unit + line if line.strip() else line)

    def dedent(self) -> None:
        """Take a level of indentation from every line that the selection touches."""
        unit = motion.indentation_unit(self.buffer)
        width = 1 if unit == "\t" else len(unit)

        def less(line: str) -> str:
            if line.startswith("\t"):
                return line[1:]
            return line[min(width, len(line) - len(line.lstrip(" "))) :]

        self._change_lines(less)

    def toggle_comment(self, mark: str) -> None:
        """Make comments of the lines, or code of them if all are comments."""
        first, last = self._lines()
        lines = [line for line in self.buffer.lines[first : last + 1] if line.strip()]
        if not lines:
            return
        if all(line.lstrip().startswith(mark) for line in lines):
            self._change_lines(lambda line: _without_mark(line, mark))
            return
        indent = min(indent_width(line) for line in lines)
        self._change_lines(
            lambda line: line[:indent] + mark + " " + line[indent:] if line.strip() else line
        )

    def replace_all(self, edits: Iterable[tuple[Location, Location, str]]) -> int:
        """Make many replacements, given in text order, as one step.

        Returns:
            How many.
        """
        ended = [
            (start, end, self.buffer.with_ends_of(end.line, text)) for start, end, text in edits
        ]
        count = self.buffer.replace_many(reversed(ended), self.cursor)
        self.go(self.cursor)
        return count

    def undo(self) -> bool:
        """Take the last step back; whether there was one."""
        cursor = self.buffer.undo()
        if cursor is None:
            return False
        self._settle(cursor)
        return True

    def redo(self) -> bool:
        """Make the step taken back again; whether there was one."""
        cursor = self.buffer.redo()
        if cursor is None:
            return False
        self._settle(cursor)
        return True

    def _settle(self, place: Location) -> None:
        """Put the cursor somewhere without ending the step of undo."""
        self.cursor = self.anchor = self.buffer.clamp(place)
        self._goal_cell = None

    def _select(self, move: Callable[..., None]) -> None:
        """Select what a motion passes, without ending the step of undo."""
        before = self.cursor
        is_open = self.buffer.step_is_open
        move(select=True)
        self.anchor = before
        if is_open:
            self.buffer.reopen_step()

    def _delete_selection(self) -> Edit | None:
        start, end = self.selection
        edit = self.buffer.replace(start, end, "", max(start, end))
        self._settle(start)
        return edit

    def _lines(self) -> tuple[int, int]:
        """First and last line that the selection touches; not one that it only ends before."""
        start, end = self.selection
        last = end.line - 1 if end.column == 0 and end.line > start.line else end.line
        return start.line, last

    def _change_lines(self, change: Callable[[str], str]) -> None:
        """Change each line; cursor and anchor keep their distance from the lines' ends."""
        first, last = self._lines()
        before = self.buffer.lines[first : last + 1]
        after = [change(line) for line in before]
        self.buffer.close_step()
        end = Location(last, len(before[-1]))
        if self.buffer.replace(Location(first, 0), end, "\n".join(after), self.cursor) is None:
            return

        def moved(place: Location) -> Location:
            if not first <= place.line <= last or not place.column:
                return place
            grown = len(after[place.line - first]) - len(before[place.line - first])
            return Location(place.line, max(0, place.column + grown))

        self.cursor, self.anchor = moved(self.cursor), moved(self.anchor)


def _without_mark(line: str, mark: str) -> str:
    indent = indent_width(line)
    rest = line[indent:].removeprefix(mark)
    return line[:indent] + rest.removeprefix(" ")
