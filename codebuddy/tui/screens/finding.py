"""The screen's middle part: finding things in a file and in the repository, and jumping there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from textual import on, work

from codebuddy.errors import CodebuddyError
from codebuddy.tui.backend import Backend
from codebuddy.tui.screens.desk import Desk
from codebuddy.tui.screens.dialogs import EntryScreen
from codebuddy.tui.screens.palettes import (
    DefinitionsPalette,
    FilesPalette,
    SearchPalette,
    definitions_of,
)
from codebuddy.tui.screens.picker import Picked
from codebuddy.tui.text import find, motion
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.widgets.find_bar import FindBar

T = TypeVar("T")

_MAX_JUMPS = 100
_IMPORTS_WITHIN_LINES = 2000


class FindingDesk(Desk):
    """A desk with a find bar, palettes and a way back. `paths` are the repository's files."""

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self.paths: list[str] = []
        self._jumps: list[tuple[str, Location]] = []
        # One search at a time, beside the threads that save files.
        self._finder = ThreadPoolExecutor(1, thread_name_prefix="find")
        self._searches = 0
        self._replacing = asyncio.Lock()

    # In the file

    def action_find(self, with_replace: bool) -> None:  # noqa: FBT001 - an action's parameter
        """Open the find bar with what is selected."""
        if self.editor is None:
            return
        selected = self.editor.editing.selected_text
        text = selected if "\n" not in selected else ""
        self.query_one(FindBar).open(text, with_replace=with_replace)

    @on(FindBar.Wanted)
    def look_for(self, event: FindBar.Wanted) -> None:
        """Mark what matches, and go to the first match from the cursor on."""
        self._mark_matches(event.query, should_go=True)

    @work(exclusive=True, group="find")
    async def _mark_matches(self, query: find.Query, *, should_go: bool) -> None:
        await self._mark(query, should_go=should_go)

    async def _mark(self, query: find.Query, *, should_go: bool) -> None:
        editor = self.editor
        bar = self.query_one(FindBar)
        if editor is None:
            return
        self._searches += 1
        number, revision = self._searches, editor.buffer.revision

        def is_wanted() -> bool:
            return number == self._searches and self.is_running

        try:
            matches = await self._in_finder(
                partial(find.find_all, editor.buffer.lines, query, is_wanted)
            )
        except find.UnwantedError:
            return
        except find.BadPatternError as error:
            bar.show_count(str(error), is_error=True)
            editor.set_matches([])
            return
        if editor.buffer.revision != revision:
            return
        current = find.next_match(matches, editor.editing.selection[0])
        editor.set_matches(matches, current)
        if current is not None and should_go:
            editor.select(*current)
            editor.set_matches(matches, current)
        many = "+" if len(matches) >= find.MAX_MATCHES else ""
        at = f"{matches.index(current) + 1}/" if current and not many else ""
        bar.show_count(f"{at}{len(matches)}{many}" if query.text else "")

    async def _in_finder(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._finder, work)

    @on(FindBar.Step)
    def step_match(self, event: FindBar.Step) -> None:
        """The next or previous match."""
        self.action_next_match(event.step)

    def action_next_match(self, step: int) -> None:
        """Go to the next or previous match."""
        editor = self.editor
        if editor is None:
            return
        if not editor.matches:
            self._mark_matches(self.query_one(FindBar).query_wanted, should_go=True)
            return
        matches = editor.matches
        start, end = editor.editing.selection
        current = (
            find.next_match(matches, max(end, Location(start.line, start.column + 1)))
            if step > 0
            else find.previous_match(matches, start)
        )
        if current is not None:
            editor.select(*current)
            editor.set_matches(matches, current)
            self.query_one(FindBar).show_count(f"{matches.index(current) + 1}/{len(matches)}")

    @on(FindBar.Replace)
    def replace(self, event: FindBar.Replace) -> None:
        """Replace the current match and go to the next, or all."""
        self._replace(event.by, should_replace_all=event.should_replace_all)

    @work
    async def _replace(self, by: str, *, should_replace_all: bool) -> None:
        # Enter may be pressed again before the next match is found.
        async with self._replacing:
            editor, bar = self.editor, self.query_one(FindBar)
            if editor is None or not editor.matches:
                return
            if editor.is_read_only:
                self.notify_user("this text is read-only", "warning")
                return
            query, revision = bar.query_wanted, editor.buffer.revision
            chosen = editor.matches if should_replace_all else [editor.current_match]
            matches = [match for match in chosen if match is not None]
            if not matches:
                return
            try:
                edits = await self._in_finder(
                    partial(find.replacements, editor.buffer.lines, matches, query, by)
                )
            except find.BadPatternError as error:
                bar.show_count(str(error), is_error=True)
                return
            if editor.buffer.revision != revision:
                return
            count = editor.replace_places(edits)
            if should_replace_all:
                self.notify_user(f"{count} replaced; Ctrl+Z brings them back")
            else:
                start, _, text = edits[0]
                editor.go(Location(start.line, start.column + len(text)))
            await self._mark(query, should_go=not should_replace_all)

    @on(FindBar.Closed)
    def close_find(self) -> None:
        """Back to the text, with the match selected."""
        if self.editor is not None:
            self.editor.set_matches([])
            self.editor.focus()

    def action_go_to_line(self) -> None:
        """Go to a line, or a line and column."""
        if self.editor is not None:
            self.app.push_screen(EntryScreen("go to line[:column]"), self._go_to_line)

    def _go_to_line(self, answer: str | None) -> None:
        line, _, column = (answer or "").strip().partition(":")
        if self.editor is not None and line.isdecimal() and len(line) < 10:
            number = int(column) if column.isdecimal() and len(column) < 10 else 1
            self.editor.go(Location(max(0, int(line) - 1), max(0, number - 1)))
        elif answer:
            self.notify_user(f"{answer[:40]} is not a line", "warning")

    # In the repository

    def action_files(self) -> None:
        """Go to a file by parts of its name."""
        recent = [each.name for each in reversed(self.documents) if each is not self.active]
        self.app.push_screen(FilesPalette(self.paths, recent), self._picked)

    def action_search(self) -> None:
        """Search the repository, first for what is selected."""
        selected = self.editor.editing.selected_text if self.editor else ""
        query = selected if selected and "\n" not in selected else ""
        self.app.push_screen(SearchPalette(self.backend, query), self._picked)

    @work(exclusive=True, group="definition")
    async def action_definition(self) -> None:
        """Go to where the name at the cursor is defined."""
        document = self.active
        if document is None:
            return
        editing = document.editor.editing
        word = motion.word_at(editing.buffer, editing.cursor)
        if word is None:
            return
        name = editing.buffer.slice(*word)
        try:
            lines = editing.buffer.lines[:_IMPORTS_WITHIN_LINES]
            found = await definitions_of(self.backend, name, document.name, lines)
        except CodebuddyError as error:
            self.notify_error(error)
            return
        here = editing.cursor.line + 1
        others = [each for each in found if (each.path, each.line) != (document.name, here)]
        if not others:
            self.notify_user(f"{name}: no definition known", "warning")
        elif len(others) == 1:
            await self.jump(others[0].path, others[0].line, name)
        else:
            self.app.push_screen(DefinitionsPalette(others), self._picked)

    async def jump(self, path: str, line: int, name: str = "") -> None:
        """Go to a place of the repository, remembering this one."""
        if self.store is None:
            return
        if self.active is not None:
            self._jumps.append((self.active.name, self.active.editor.editing.cursor))
            del self._jumps[:-_MAX_JUMPS]
        document = await self.document_controller.open(
            self.store.root / path, Location(line - 1, 0)
        )
        if document is not None and name:
            column = document.editor.buffer.lines[document.editor.editing.cursor.line].find(name)
            if column >= 0:
                document.editor.go(Location(line - 1, column))

    async def action_back(self) -> None:
        """Back to where the last jump began."""
        if self._jumps and self.store is not None:
            path, place = self._jumps.pop()
            await self.document_controller.open(self.store.root / path, place)

    def _picked(self, picked: Picked | None) -> None:
        if picked is not None:
            self._go_to_picked(picked)

    @work
    async def _go_to_picked(self, picked: Picked) -> None:
        found = picked.found
        if not picked.should_insert:
            if found.text or found.line > 1:
                await self.jump(found.path, found.line)
            elif self.store is not None:
                await self.document_controller.open(self.store.root / found.path)
        elif self.editor is not None:
            self.editor.put(found.symbol or f"{found.path}:{found.line}")
