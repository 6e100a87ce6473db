"""A palette: a line to type in, the places that match, and a preview of the chosen one."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from codebuddy.errors import CodebuddyError
from codebuddy.tui import literal
from codebuddy.tui.widgets.editor_view import EditorView
from codebuddy.tui.widgets.entry import Entry, EntryModal

_MIN_WIDTH_FOR_PREVIEW = 90
# After this long the palette says that it is searching.
_LONG_S = 0.5


@dataclass(frozen=True, slots=True)
class PickerItem:
    """A place to go to: `line` is 1-based; `text` is previewed, from `first_line` on."""

    path: str
    line: int = 1
    title: str = ""
    facts: str = ""
    text: str = ""
    first_line: int = 1
    language: str = "text"
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class PickerResult:
    """What was chosen, and whether a reference to it is to be inserted instead of going there."""

    item: PickerItem
    should_insert: bool = False


class PickerScreen(EntryModal[PickerResult | None]):
    """The palette's keys and layout; what is found, a subclass says."""

    title_text: ClassVar[str] = ""
    pause_s: ClassVar[float] = 0.0
    """How long typing must rest before it is looked for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        Binding("down,ctrl+n", "step(1)", "Next", priority=True),
        Binding("up,ctrl+p", "step(-1)", "Previous", priority=True),
        Binding("pagedown", "step(10)", "Ten on", priority=True),
        Binding("pageup", "step(-10)", "Ten back", priority=True),
        Binding("alt+i,ctrl+o", "insert", "Insert a reference", priority=True),
    ]

    def __init__(self, query: str = "") -> None:
        super().__init__()
        self._query = query
        self._found: Sequence[PickerItem] = ()

    @abstractmethod
    async def search(self, query: str) -> Sequence[PickerItem]:
        """What matches.

        Raises:
            CodebuddyError: The search failed; the message is shown.
        """

    def compose(self) -> ComposeResult:
        """Line, list, preview, note."""
        with Vertical(classes="palette"):
            yield Static(literal.line(self.title_text, "bold $primary"), id="palette-title")
            yield Entry(value=self._query, placeholder="type to search")
            with Horizontal(id="palette-body"):
                yield OptionList(id="palette-list", markup=False)
                yield Vertical(id="palette-preview")
            yield Static(id="palette-note", markup=False)

    def on_mount(self) -> None:
        """The list is moved from the line, so it takes no focus."""
        self.query_one("#palette-list", OptionList).can_focus = False
        self.query_one(Input).focus()
        self._search()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Look for what is typed now."""
        self._query = event.value
        self._search()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        """Go to the chosen one."""
        self._pick(should_insert=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go to the clicked one."""
        event.stop()
        self._pick(should_insert=False)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Preview it."""
        event.stop()
        if event.option_index < len(self._found):
            self._preview(self._found[event.option_index])

    def action_step(self, step: int) -> None:
        """Choose another one."""
        options = self.query_one("#palette-list", OptionList)
        if self._found:
            at = options.highlighted or 0
            options.highlighted = min(max(at + step, 0), len(self._found) - 1)

    def action_insert(self) -> None:
        """Insert a reference to the chosen one."""
        self._pick(should_insert=True)

    def _pick(self, *, should_insert: bool) -> None:
        index = self.query_one("#palette-list", OptionList).highlighted
        if index is not None and index < len(self._found):
            self.dismiss(PickerResult(self._found[index], should_insert))

    @work(exclusive=True)
    async def _search(self) -> None:
        await asyncio.sleep(self.pause_s)
        if self._is_closing():
            return
        note = self.query_one("#palette-note", Static)
        waiting = asyncio.get_running_loop().call_later(
            _LONG_S, note.update, Content.styled("looking …", literal.MUTED)
        )
        try:
            items = await self.search(self._query)
        except CodebuddyError as error:
            if self._is_closing():
                return
            note.update(literal.line(f"{error.message} {error.hint}", "$error"))
            return
        finally:
            waiting.cancel()
        if self._is_closing():
            return
        self._found = items
        pane = self.query_one("#palette-preview", Vertical)
        pane.display = self._has_preview(items[0] if items else None)
        # The list's width is known once the preview's is.
        self.call_after_refresh(self._list)

    def _is_closing(self) -> bool:
        """Whether its parts are gone already, as when it was closed while something was awaited."""
        return not self.query("#palette-preview")

    def _list(self) -> None:
        """Show what was found."""
        if self._is_closing():
            return
        options = self.query_one("#palette-list", OptionList)
        options.clear_options()
        options.add_options(
            [Option(_prompt(each, max(20, options.size.width - 3))) for each in self._found]
        )
        if self._found:
            options.highlighted = 0
        else:
            self.query_one("#palette-preview").remove_children()
        self.query_one("#palette-note", Static).update(self._note_on(self._found))

    def _has_preview(self, item: PickerItem | None) -> bool:
        is_wide = self.size.width >= _MIN_WIDTH_FOR_PREVIEW
        return item is not None and bool(item.text) and is_wide

    def _note_on(self, items: Sequence[PickerItem]) -> Content:
        if not items and self._query.strip():
            return Content.styled("nothing found", literal.MUTED)
        return Content.styled(
            "Enter goes there, Alt+I inserts a reference, Esc closes", literal.MUTED
        )

    def _preview(self, item: PickerItem) -> None:
        pane = self.query_one("#palette-preview", Vertical)
        pane.display = self._has_preview(item)
        pane.remove_children()
        if not pane.display:
            return
        view = EditorView(item.text, language=item.language, first_number=item.first_line)
        view.can_focus = False
        pane.mount(view)


def _prompt(item: PickerItem, width: int) -> Content:
    place = f"{item.path}:{item.line}" if item.line > 1 or item.text else item.path
    head = literal.line(literal.shortened(place, width), "$foreground")
    if not item.title and not item.facts:
        return head
    return Content("").join(
        [
            head,
            Content("\n  "),
            literal.line(item.title, "bold $secondary"),
            literal.line(f"  {item.facts}" if item.facts else "", literal.MUTED),
        ]
    )
