"""A line to type in: Textual's, on one row, with a cursor that stands still; and its screens."""

from __future__ import annotations

import contextlib

from textual import events
from textual.css.query import NoMatches
from textual.widgets import Input

from codebuddy.tui.widgets.modal import Modal, ResultT


class Entry(Input):
    """An `Input` that does not wake the program twice a second."""

    def __init__(self, value: str = "", *, placeholder: str = "", id: str | None = None) -> None:  # noqa: A002 - Textual's own word
        super().__init__(value=value, placeholder=placeholder, id=id, compact=True)
        self.cursor_blink = False


class EntryModal(Modal[ResultT]):
    """A screen around an `Entry`: keys that come before it is drawn are typed there."""

    def on_key(self, event: events.Key) -> None:
        """A key that no widget handled."""
        if not event.is_printable or event.character is None:
            return
        with contextlib.suppress(NoMatches):
            self.query_one(Entry).insert_text_at_cursor(event.character)
            event.stop()
