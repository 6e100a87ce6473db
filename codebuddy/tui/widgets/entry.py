"""A line to type in: Textual's, on one row and with a cursor that stands still."""

from __future__ import annotations

from textual.widgets import Input


class Entry(Input):
    """An `Input` that does not wake the program twice a second."""

    def __init__(self, value: str = "", *, placeholder: str = "", id: str | None = None) -> None:  # noqa: A002 - Textual's own word
        super().__init__(value=value, placeholder=placeholder, id=id, compact=True)
        self.cursor_blink = False
