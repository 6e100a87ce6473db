"""Find and replace: two lines below the editor that say what is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from codebuddy.tui import literal
from codebuddy.tui.text.find import Query
from codebuddy.tui.widgets.entry import Entry


class FindBar(Vertical):
    """Hidden until it is opened. It finds nothing itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close"),
        # First of all: what is typed behind them goes to the line that they lead to.
        Binding("tab", "app.focus_next", "To the replacement", priority=True),
        Binding("shift+tab", "app.focus_previous", "Back to the text", priority=True),
        Binding("down", "next(1)", "Next match"),
        Binding("up", "next(-1)", "Previous match"),
        Binding("alt+r", "toggle_regex", "Regular expression on or off"),
        Binding("alt+a", "replace_all", "Replace all"),
    ]

    @dataclass
    class Wanted(Message):
        """Something else is looked for."""

        query: Query

    @dataclass
    class Step(Message):
        """The next match (1) or the one before (-1) is wanted."""

        step: int

    @dataclass
    class Replace(Message):
        """The current match, or all, are to be replaced."""

        by: str
        should_replace_all: bool

    class Closed(Message):
        """The bar was closed."""

    def __init__(self) -> None:
        super().__init__()
        self._is_regex = False

    def compose(self) -> ComposeResult:
        """Two lines and a count."""
        with Horizontal(classes="find-row"):
            yield Static("find ", classes="find-label")
            yield Entry(id="find-text")
            yield Static(id="find-count", markup=False)
        with Horizontal(classes="find-row", id="replace-row"):
            yield Static("with ", classes="find-label")
            yield Entry(id="find-by", placeholder="Enter replaces this one, Alt+A all")

    @property
    def query_wanted(self) -> Query:
        """What is looked for."""
        return Query(self.query_one("#find-text", Input).value, self._is_regex)

    def open(self, text: str, *, with_replace: bool) -> None:
        """Show the bar, with a first idea of what to look for."""
        self.display = True
        self.query_one("#replace-row").display = with_replace
        entry = self.query_one("#find-text", Input)
        if text:
            entry.value = text
        # At once: `focus` would let the next keys go where they went before.
        self.screen.set_focus(entry)
        entry.select_all()
        self.post_message(self.Wanted(self.query_wanted))

    def show_count(self, text: str, *, is_error: bool = False) -> None:
        """Say how many there are, or what is wrong with the pattern."""
        mode = " .*" if self._is_regex else ""
        self.query_one("#find-count", Static).update(
            Content.styled(f" {text}{mode} ", "$error" if is_error else literal.MUTED)
        )

    def on_input_changed(self, event: Input.Changed) -> None:
        """Look for what is typed now."""
        event.stop()
        if event.input.id == "find-text":
            self.post_message(self.Wanted(self.query_wanted))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes on, or replaces."""
        event.stop()
        if event.input.id == "find-by":
            self.post_message(self.Replace(event.value, should_replace_all=False))
        else:
            self.post_message(self.Step(1))

    def action_next(self, step: int) -> None:
        """Another match."""
        self.post_message(self.Step(step))

    def action_toggle_regex(self) -> None:
        """Take the text as a regular expression, or as it stands."""
        self._is_regex = not self._is_regex
        self.post_message(self.Wanted(self.query_wanted))

    def action_replace_all(self) -> None:
        """Replace every match."""
        by = self.query_one("#find-by", Input).value
        self.post_message(self.Replace(by, should_replace_all=True))

    def action_close(self) -> None:
        """Hide the bar."""
        self.display = False
        self.post_message(self.Closed())
