"""An open document: the file, its editor, and its use as suggestion target."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from codebuddy.syntax.languages import NOTEBOOK
from codebuddy.tui.backend import SuggestionRequest
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.text.files import OpenedFile
from codebuddy.tui.text.ghost import Ghost
from codebuddy.tui.text.journal import Record
from codebuddy.tui.widgets.editor import Editor
from codebuddy.tui.widgets.tab_bar import Tab


@dataclass(eq=False)
class EditorDocument:
    """`name` is the path relative to the repository's root, or absolute outside it.

    `has_changed_on_disk` once another program wrote the file while the text here is unsaved;
    `journaled_revision` is the revision that the journal holds; `next_path` where the document
    is being saved under another name.
    """

    name: str
    opened: OpenedFile
    editor: Editor
    has_changed_on_disk: bool = False
    journaled_revision: int = 0
    is_in_journal: bool = False
    next_path: Path | None = None

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.opened.path

    @property
    def is_notebook(self) -> bool:
        """Whether it is a notebook's JSON, in which nothing is suggested."""
        return self.editor.language == NOTEBOOK

    @property
    def is_modified(self) -> bool:
        """Whether there is something to save."""
        return self.editor.buffer.is_modified

    @property
    def note(self) -> str:
        """What a person should know about it, in a few words."""
        if self.opened.is_read_only:
            return "read-only"
        if self.has_changed_on_disk:
            return "changed on disk"
        if self.is_notebook:
            return "no suggestions in JSON"
        return "new" if self.opened.on_disk is None else ""

    def tab(self) -> Tab:
        """How it shows among the tabs."""
        mark = "!" if self.has_changed_on_disk else "●" if self.is_modified else ""
        return Tab(self.path.name, mark)

    def record(self) -> Record:
        """Its unsaved text, for the journal."""
        cursor = self.editor.editing.cursor
        base = self.opened.on_disk.digest if self.opened.on_disk else ""
        return Record(
            self.name, self.editor.buffer.text, cursor.line, cursor.column, base, time.time()
        )

    # What the suggester sees

    def suggestion_request(self, *, is_asked_for: bool, alternatives: int) -> SuggestionRequest:
        """A request for a suggestion at the cursor."""
        cursor = self.editor.editing.cursor
        return SuggestionRequest(
            self.path,
            self.editor.buffer.text,
            cursor.line + 1,
            cursor.column + 1,
            alternatives=alternatives,
            is_asked_for=is_asked_for,
        )

    def around_cursor(self) -> tuple[Location, str, str]:
        """The cursor, and its line before and behind it."""
        cursor = self.editor.editing.cursor
        line = self.editor.buffer.lines[cursor.line]
        return cursor, line[: cursor.column], line[cursor.column :]

    def show_ghost(self, ghost: Ghost | None) -> None:
        """Show a suggestion at the cursor, or none."""
        self.editor.set_ghost(ghost)

    def shown_ghost(self) -> Ghost | None:
        """What is shown."""
        return self.editor.ghost
