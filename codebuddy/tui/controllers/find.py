"""Finding and replacing in the text in front."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from codebuddy.tui.controllers.documents import DocumentController
from codebuddy.tui.controllers.host import ControllerHost
from codebuddy.tui.text import find
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.widgets.find_bar import FindBar

T = TypeVar("T")


class FindController:
    """Searches the text in front for what the find bar asks, and marks the matches."""

    def __init__(self, host: ControllerHost, documents: DocumentController, bar: FindBar) -> None:
        self._host = host
        self._documents = documents
        self._bar = bar
        # One search at a time, beside the threads that save files.
        self._finder = ThreadPoolExecutor(1, thread_name_prefix="find")
        self._searches = 0
        self._replacing = asyncio.Lock()

    def open_bar(self, *, with_replace: bool) -> None:
        """Open the find bar with what is selected."""
        editor = self._documents.editor
        if editor is not None:
            selected = editor.editing.selected_text
            self._bar.open(selected if "\n" not in selected else "", with_replace=with_replace)

    def close_bar(self) -> None:
        """Back to the text, with the match selected."""
        editor = self._documents.editor
        if editor is not None:
            editor.set_matches([])
            editor.focus()

    def search(self, query: find.Query) -> None:
        """Mark what matches, and go to the first match from the cursor on."""
        mark = partial(self._mark, query, should_go=True)
        self._host.start_worker(mark, group="find", exclusive=True)

    async def _mark(self, query: find.Query, *, should_go: bool) -> None:
        editor = self._documents.editor
        if editor is None:
            return
        self._searches += 1
        number, revision = self._searches, editor.buffer.revision

        def is_wanted() -> bool:
            return number == self._searches and self._host.is_running

        try:
            matches = await self._in_finder(
                partial(find.find_all, editor.buffer.lines, query, is_wanted)
            )
        except find.UnwantedError:
            return
        except find.BadPatternError as error:
            self._bar.show_count(str(error), is_error=True)
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
        self._bar.show_count(f"{at}{len(matches)}{many}" if query.text else "")

    async def _in_finder(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._finder, work)

    def step(self, step: int) -> None:
        """Go to the next or previous match."""
        editor = self._documents.editor
        if editor is None:
            return
        if not editor.matches:
            self.search(self._bar.query_wanted)
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
            self._bar.show_count(f"{matches.index(current) + 1}/{len(matches)}")

    def replace(self, by: str, *, should_replace_all: bool) -> None:
        """Replace the current match and go to the next, or all."""
        replace = partial(self._replace, by, should_replace_all=should_replace_all)
        self._host.start_worker(replace)

    async def _replace(self, by: str, *, should_replace_all: bool) -> None:
        # Enter may be pressed again before the next match is found.
        async with self._replacing:
            editor = self._documents.editor
            if editor is None or not editor.matches:
                return
            if editor.is_read_only:
                self._host.notify_user("this text is read-only", "warning")
                return
            query, revision = self._bar.query_wanted, editor.buffer.revision
            chosen = editor.matches if should_replace_all else [editor.current_match]
            matches = [match for match in chosen if match is not None]
            if not matches:
                return
            try:
                edits = await self._in_finder(
                    partial(find.replacements, editor.buffer.lines, matches, query, by)
                )
            except find.BadPatternError as error:
                self._bar.show_count(str(error), is_error=True)
                return
            if editor.buffer.revision != revision:
                return
            count = editor.replace_places(edits)
            if should_replace_all:
                self._host.notify_user(f"{count} replaced; Ctrl+Z brings them back")
            else:
                start, _, text = edits[0]
                editor.go(Location(start.line, start.column + len(text)))
            await self._mark(query, should_go=not should_replace_all)
