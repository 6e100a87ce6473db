"""The review screen: what the hook says of the staged change, applied or dismissed one by one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from codebuddy.errors import CodebuddyError
from codebuddy.tui import literal
from codebuddy.tui.staged_review import ReviewItem, apply_item, review_staged
from codebuddy.tui.widgets.modal import Modal


class ReviewScreen(Modal[tuple[str, int] | None]):
    """Answers with a place to go to, or with nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        Binding("a", "apply", "Apply"),
        Binding("d", "drop", "Dismiss"),
    ]

    def __init__(self, root: Path, unsaved: frozenset[str]) -> None:
        super().__init__()
        self._root = root
        self._unsaved = unsaved
        self._items: list[ReviewItem] = []
        self._working: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        """List and note."""
        with Vertical(classes="page"):
            yield Static(literal.line("review of what is staged", "bold $primary"))
            yield OptionList(markup=False)
            yield Static("reading what is staged …", id="page-note", markup=False)

    def on_mount(self) -> None:
        """Begin."""
        self._working = self._review()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go to the finding's place."""
        event.stop()
        item = self._items[event.option_index]
        self.dismiss((item.path, item.line))

    def action_drop(self) -> None:
        """Take a finding off the list."""
        index = self.query_one(OptionList).highlighted
        if index is not None and index < len(self._items):
            del self._items[index]
            self._show(index)

    def action_apply(self) -> None:
        """Write the finding's patch to the file."""
        index = self.query_one(OptionList).highlighted
        if index is None or index >= len(self._items):
            return
        item = self._items[index]
        if not item.has_patch:
            self.show_message("this one has no patch; Enter goes to its place", "$error")
        elif item.path in self._unsaved:
            self.show_message(f"save {item.path} first", "$error")
        elif self._working is None or self._working.is_finished:
            self._working = self._apply(index, item)

    @work
    async def _apply(self, index: int, item: ReviewItem) -> None:
        try:
            paths = await asyncio.to_thread(apply_item, self._root, item)
        except CodebuddyError as error:
            self.show_error(error)
            return
        self._items.remove(item)
        self._show(index)
        self.show_message(f"applied to {', '.join(paths)}; it is not staged yet")

    @work
    async def _review(self) -> None:
        try:
            self._items = await review_staged(self._root)
        except CodebuddyError as error:
            self.show_error(error)
            return
        self._show(0)

    def _show(self, index: int) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(_line(each)) for each in self._items])
        options.focus()
        if self._items:
            options.highlighted = min(index, len(self._items) - 1)
            self.show_message("Enter goes there, A applies the patch, D dismisses, Esc closes")
        else:
            self.show_message("nothing to say about what is staged; Esc closes")


def _line(item: ReviewItem) -> Content:
    patch = "  has a patch" if item.has_patch else ""
    parts = [
        literal.line(f"{item.path}:{item.line}", "bold $secondary"),
        literal.line(f"  {item.title}{patch}", literal.MUTED),
        Content("\n"),
        literal.line(f"  {item.message}"),
    ]
    for each in item.evidence:
        parts += [Content("\n"), literal.line(f"    {each}", literal.MUTED)]
    return Content("").join(parts)
