"""The open files as tabs on one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from codebuddy.tui import literal

_MAX_NAME_CELLS = 28


@dataclass(frozen=True, slots=True)
class Tab:
    """One open file: `mark` says in a sign what state it is in."""

    name: str
    mark: str = ""


class TabBar(Widget):
    """Shows tabs, the active one highlighted and in sight."""

    DEFAULT_CSS = "TabBar { height: 1; }"

    @dataclass
    class Chosen(Message):
        """A tab was clicked; the middle button wants it closed."""

        index: int
        should_close: bool

    def __init__(self) -> None:
        super().__init__()
        self._tabs: Sequence[Tab] = ()
        self._active = 0
        self._edges: list[int] = []

    def show(self, tabs: Sequence[Tab], active: int) -> None:
        """Show these tabs."""
        if (tabs, active) != (self._tabs, self._active):
            self._tabs, self._active = tuple(tabs), active
            self.refresh()

    def render(self) -> Content:
        """The row."""
        if not self._tabs:
            return Content("")
        parts = [self._part(index) for index in range(len(self._tabs))]
        first = 0
        while first < self._active and sum(
            part.cell_length for part in parts[first : self._active + 1]
        ) > max(1, self.size.width):
            first += 1
        self._edges = [0] * first
        end = 0
        for part in parts[first:]:
            end += part.cell_length
            self._edges.append(end)
        return Content("").join(parts[first:])

    def _part(self, index: int) -> Content:
        tab = self._tabs[index]
        name = literal.shortened(tab.name, _MAX_NAME_CELLS)
        text = f" {name} {tab.mark} " if tab.mark else f" {name} "
        if index == self._active:
            return literal.line(text, "bold $foreground on $background")
        return literal.line(text, "$foreground 60%")

    def on_click(self, event: events.Click) -> None:
        """Choose the tab under the pointer."""
        for index, end in enumerate(self._edges):
            if event.x < end:
                self.post_message(self.Chosen(index, event.button == 2))
                return
