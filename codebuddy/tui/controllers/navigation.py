"""Going to a line, a file, a definition or what a search found, and back."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING

from codebuddy.errors import CodebuddyError
from codebuddy.tui.backend import Backend
from codebuddy.tui.controllers.documents import DocumentController
from codebuddy.tui.controllers.host import ControllerHost
from codebuddy.tui.screens.dialogs import EntryScreen
from codebuddy.tui.screens.palettes import (
    DefinitionsPalette,
    FilesPalette,
    SearchPalette,
    definitions_of,
)
from codebuddy.tui.screens.picker import PickerResult
from codebuddy.tui.text import motion
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.widgets.file_tree import FileTree, as_folders

if TYPE_CHECKING:
    from codebuddy.vcs.repository import Repository

_MAX_JUMPS = 100
_IMPORTS_WITHIN_LINES = 2000


class NavigationController:
    """Palettes, definitions and the jump list. `paths` are the repository's files."""

    def __init__(
        self,
        host: ControllerHost,
        documents: DocumentController,
        backend: Backend,
        tree: FileTree,
    ) -> None:
        self.paths: list[str] = []
        self._host = host
        self._documents = documents
        self._backend = backend
        self._tree = tree
        self._repository: Repository | None = None
        self._jumps: list[tuple[str, Location]] = []

    def begin(self, repository: Repository) -> None:
        """The repository is known: its files can be listed."""
        self._repository = repository

    async def list_files(self) -> None:
        """Show the repository's files as they are now."""
        if self._repository is None:
            return
        try:
            listed = await asyncio.to_thread(self._repository.list_files)
        except CodebuddyError:
            return
        paths = [os.fsdecode(path) for path in listed]
        if paths != self.paths:
            self.paths = paths
            folders = await asyncio.to_thread(as_folders, paths)
            # The editor may have been left meanwhile: then there is no tree any more.
            if self._tree.is_attached:
                self._tree.show(folders)

    def ask_line(self) -> None:
        """Go to a line, or a line and column, that is asked for."""
        if self._documents.editor is not None:
            self._host.app.push_screen(EntryScreen("go to line[:column]"), self._go_to_line)

    def _go_to_line(self, answer: str | None) -> None:
        line, _, column = (answer or "").strip().partition(":")
        editor = self._documents.editor
        if editor is not None and line.isdecimal() and len(line) < 10:
            number = int(column) if column.isdecimal() and len(column) < 10 else 1
            editor.go(Location(max(0, int(line) - 1), max(0, number - 1)))
        elif answer:
            self._host.notify_user(f"{answer[:40]} is not a line", "warning")

    def open_files_palette(self) -> None:
        """Go to a file by parts of its name."""
        documents = self._documents
        others = [each for each in documents.documents if each is not documents.active]
        recent = [each.name for each in reversed(others)]
        self._host.app.push_screen(FilesPalette(self.paths, recent), self._picked)

    def open_search_palette(self) -> None:
        """Search the repository, first for what is selected."""
        editor = self._documents.editor
        selected = editor.editing.selected_text if editor else ""
        query = selected if selected and "\n" not in selected else ""
        self._host.app.push_screen(SearchPalette(self._backend, query), self._picked)

    async def open_file(self, path: str) -> None:
        """Open a file of the repository, or go to its tab."""
        if self._documents.store is not None:
            await self._documents.open(self._documents.store.root / path)

    async def go_to_definition(self) -> None:
        """Go to where the name at the cursor is defined."""
        document = self._documents.active
        if document is None:
            return
        editing = document.editor.editing
        word = motion.word_at(editing.buffer, editing.cursor)
        if word is None:
            return
        name = editing.buffer.slice(*word)
        try:
            lines = editing.buffer.lines[:_IMPORTS_WITHIN_LINES]
            found = await definitions_of(self._backend, name, document.name, lines)
        except CodebuddyError as error:
            self._host.notify_error(error)
            return
        here = editing.cursor.line + 1
        others = [each for each in found if (each.path, each.line) != (document.name, here)]
        if not others:
            self._host.notify_user(f"{name}: no definition known", "warning")
        elif len(others) == 1:
            await self.jump(others[0].path, others[0].line, name)
        else:
            self._host.app.push_screen(DefinitionsPalette(others), self._picked)

    async def jump(self, path: str, line: int, name: str = "") -> None:
        """Go to a line of the repository, remembering where the cursor is.

        Args:
            path: The file, relative to the root.
            line: 1-based.
            name: The cursor goes to this name in the line, if it stands there.
        """
        documents = self._documents
        if documents.store is None:
            return
        if documents.active is not None:
            cursor = documents.active.editor.editing.cursor
            self._jumps.append((documents.active.name, cursor))
            del self._jumps[:-_MAX_JUMPS]
        document = await documents.open(documents.store.root / path, Location(line - 1, 0))
        if document is not None and name:
            column = document.editor.buffer.lines[document.editor.editing.cursor.line].find(name)
            if column >= 0:
                document.editor.go(Location(line - 1, column))

    async def jump_back(self) -> None:
        """Back to where the last jump began."""
        store = self._documents.store
        if self._jumps and store is not None:
            path, place = self._jumps.pop()
            await self._documents.open(store.root / path, place)

    def _picked(self, picked: PickerResult | None) -> None:
        if picked is not None:
            self._host.start_worker(partial(self._go_to_picked, picked))

    async def _go_to_picked(self, picked: PickerResult) -> None:
        found = picked.item
        if not picked.should_insert:
            if found.text or found.line > 1:
                await self.jump(found.path, found.line)
            else:
                await self.open_file(found.path)
        elif self._documents.editor is not None:
            self._documents.editor.put(found.symbol or f"{found.path}:{found.line}")
