"""A screen over the others."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen
from textual.widgets import Static

from codebuddy.errors import CodebuddyError
from codebuddy.tui import literal

ResultT = TypeVar("ResultT")


class Modal(ModalScreen[ResultT]):
    """Its workers end when it is dismissed, before its widgets go: they would miss them."""

    def dismiss(self, result: ResultT | None = None) -> AwaitComplete:
        """Close it, with a result."""
        self.workers.cancel_node(self)
        return super().dismiss(result)

    def show_message(self, text: str, style: str = literal.MUTED) -> None:
        """Show a text in the page's last row."""
        self.query_one("#page-note", Static).update(literal.line(text, style))

    def show_error(self, error: CodebuddyError) -> None:
        """Show an error and what to do about it there."""
        self.show_message(f"{error.message}. {error.hint}", "$error")
