"""Lines of text that are edited, with undo. It knows nothing of files, cursors or screens.

Lines and columns are 0-based here, columns count code points; `datatypes.Position` is for
what leaves the editor.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# A pause this long begins a new step of undo.
_PAUSE_S = 1.0
_MAX_STEPS = 5000
_numbers = itertools.count(1)

# What identifies a text among the steps: the last step's number, and how many edits it has.
State = tuple[int, int]


class Location(NamedTuple):
    """A place between two characters; 0-based."""

    line: int
    column: int


class Edit(NamedTuple):
    """A replacement that was made: `removed` stood at `start`, `inserted` stands there now."""

    start: Location
    removed: str
    inserted: str

    @property
    def old_end(self) -> Location:
        """Where the removed text ended."""
        return end_of(self.start, self.removed)

    @property
    def new_end(self) -> Location:
        """Where the inserted text ends."""
        return end_of(self.start, self.inserted)


@dataclass(slots=True)
class _Step:
    """Edits that are undone together, with the cursor before the first of them.

    No two steps have the same `number`, so that a text is never taken for another one.
    """

    cursor: Location
    edits: list[Edit] = field(default_factory=list)
    touched_at_s: float = 0.0
    is_open: bool = True
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def state(self) -> State:
        """What identifies the text behind this step."""
        return (self.number, len(self.edits))


def end_column(lines: Sequence[str], number: int) -> int:
    """Where the text of a line ends: before the `\\r` of a `\\r\\n`; the last line has no `\\n`."""
    line = lines[number]
    return len(line) - (line.endswith("\r") and number + 1 < len(lines))


def end_of(start: Location, text: str) -> Location:
    """Where `text` ends if it begins at `start`."""
    newlines = text.count("\n")
    if not newlines:
        return Location(start.line, start.column + len(text))
    return Location(start.line + newlines, len(text) - text.rfind("\n") - 1)


class TextBuffer:
    """Lines without their newlines; there is always at least one.

    `revision` changes with every edit. `has_crlf` once a line ended with `\\r\\n`: as a file of
    nothing else has its text with `\\n`, the line ends of this one are mixed.
    """

    def __init__(self, text: str = "") -> None:
        self.lines: list[str] = text.split("\n")
        self.has_crlf = "\r\n" in text
        self.revision = 0
        self.listeners: list[Callable[[Edit], None]] = []
        self._undo: list[_Step] = []
        self._redo: list[_Step] = []
        # The text before the first step that can be undone.
        self._first_state: State = (0, 0)
        self._saved_state: State | None = (0, 0)

    @property
    def text(self) -> str:
        """The whole text, newlines as `\\n`."""
        return "\n".join(self.lines)

    @property
    def end(self) -> Location:
        """Behind the last character."""
        return Location(len(self.lines) - 1, len(self.lines[-1]))

    @property
    def is_modified(self) -> bool:
        """Whether the text differs from what was last saved or loaded; undo can undo it."""
        return self._saved_state != self._state()

    def snapshot(self) -> tuple[str, State]:
        """The text as it stands, and the state for `mark_saved` once it is on disk."""
        self.close_step()
        return self.text, self._state()

    def mark_saved(self, state: State | None = None) -> None:
        """The text of `state`, by default as it stands, is what is on disk."""
        self.close_step()
        self._saved_state = self._state() if state is None else state

    def mark_unsaved(self) -> None:
        """What is on disk is something else, whatever is undone."""
        self._saved_state = None

    def clamp(self, place: Location) -> Location:
        """The nearest place inside the text, never between `\\r` and `\\n`."""
        line = min(max(place.line, 0), len(self.lines) - 1)
        return Location(line, min(max(place.column, 0), self.end_of_line(line)))

    def end_of_line(self, line: int) -> int:
        """The column behind the last character of a line, before the `\\r` of a `\\r\\n`."""
        return end_column(self.lines, line)

    def with_ends_of(self, line: int, text: str) -> str:
        """`text` with its lines ended as `line` is; as the one above it, if that is the last."""
        text = text.replace("\r\n", "\n")
        if not self.has_crlf or "\n" not in text:
            return text
        ended = line if line + 1 < len(self.lines) else line - 1
        is_crlf = ended >= 0 and self.lines[ended].endswith("\r")
        return text.replace("\n", "\r\n") if is_crlf else text

    def slice(self, start: Location, end: Location) -> str:
        """The text between two places."""
        if start.line == end.line:
            return self.lines[start.line][start.column : end.column]
        return "\n".join(
            [
                self.lines[start.line][start.column :],
                *self.lines[start.line + 1 : end.line],
                self.lines[end.line][: end.column],
            ]
        )

    def replace(self, start: Location, end: Location, text: str, cursor: Location) -> Edit | None:
        """Put `text` in the place of what stands from `start` to `end`.

        Args:
            start: Where the old text begins.
            end: Where it ends.
            text: The new one.
            cursor: Where the cursor was, for undo.

        Returns:
            The edit, or `None` if it would change nothing.
        """
        removed = self.slice(start, end)
        if removed == text:
            return None
        self.has_crlf = self.has_crlf or "\r\n" in text
        edit = Edit(start, removed, text)
        step = self._step_for(edit, cursor)
        step.edits.append(edit)
        step.touched_at_s = time.monotonic()
        self._redo.clear()
        self._apply(edit)
        return edit

    def replace_many(
        self, edits: Iterable[tuple[Location, Location, str]], cursor: Location
    ) -> int:
        """Make many replacements, the last in the text first, as one step of undo.

        Args:
            edits: Start and end of what stands there, and the new text; they do not overlap.
            cursor: Where the cursor was, for undo.

        Returns:
            How many changed something.
        """
        step = _Step(cursor, is_open=False)
        for start, end, text in edits:
            removed = self.slice(start, end)
            if removed == text:
                continue
            if not step.edits:
                self._add_step(step)
                self._redo.clear()
            step.edits.append(Edit(start, removed, text))
            self._apply(step.edits[-1])
        return len(step.edits)

    def close_step(self) -> None:
        """The next edit is undone by itself (the cursor went elsewhere)."""
        if self._undo:
            self._undo[-1].is_open = False

    @property
    def step_is_open(self) -> bool:
        """Whether the next edit may be undone together with the last."""
        return bool(self._undo) and self._undo[-1].is_open

    def reopen_step(self) -> None:
        """The next edit may be undone together with the last again."""
        if self._undo:
            self._undo[-1].is_open = True

    def undo(self) -> Location | None:
        """Take the last step back.

        Returns:
            Where the cursor was before it; `None` if there is none.
        """
        if not self._undo:
            return None
        step = self._undo.pop()
        for edit in reversed(step.edits):
            self._apply(Edit(edit.start, edit.inserted, edit.removed))
        step.is_open = False
        self._redo.append(step)
        return step.cursor

    def redo(self) -> Location | None:
        """Make the step again that was taken back last.

        Returns:
            The end of its last edit; `None` if there is none.
        """
        if not self._redo:
            return None
        step = self._redo.pop()
        for edit in step.edits:
            self._apply(edit)
        self._undo.append(step)
        return step.edits[-1].new_end

    def _state(self) -> State:
        """What identifies the present text among the steps."""
        return self._undo[-1].state if self._undo else self._first_state

    def _step_for(self, edit: Edit, cursor: Location) -> _Step:
        """The open step if `edit` goes on with it, else a new one."""
        step = self._undo[-1] if self._undo else None
        if (
            step is not None
            and step.is_open
            and time.monotonic() - step.touched_at_s < _PAUSE_S
            and _goes_on(step.edits[-1], edit)
        ):
            return step
        new = _Step(cursor)
        self._add_step(new)
        return new

    def _add_step(self, step: _Step) -> None:
        self._undo.append(step)
        if len(self._undo) > _MAX_STEPS:
            self._first_state = self._undo.pop(0).state

    def _apply(self, edit: Edit) -> None:
        start, end = edit.start, edit.old_end
        lines = self.lines
        first, last = lines[start.line], lines[end.line]
        joined = first[: start.column] + edit.inserted + last[end.column :]
        lines[start.line : end.line + 1] = joined.split("\n")
        self.revision += 1
        for listener in self.listeners:
            listener(edit)


def _goes_on(before: Edit, edit: Edit) -> bool:
    """Whether typing or deleting goes on; a new word begins a new step."""
    if before.removed and not before.inserted:
        # Backspace goes left, delete stays.
        is_next = edit.start == before.start or edit.old_end == before.start
        return is_next and not edit.inserted and len(edit.removed) == 1 and edit.removed != "\n"
    if edit.removed or len(edit.inserted) != 1 or edit.inserted == "\n":
        return False
    is_adjacent = edit.start == before.new_end
    starts_word = not edit.inserted.isspace() and before.inserted[-1:].isspace()
    return is_adjacent and not starts_word
