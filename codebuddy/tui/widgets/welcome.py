"""What stands in the middle of the screen while no file is open."""

from __future__ import annotations

from textual.widgets import Static

from codebuddy.tui import literal

_TEXT = """\
codebuddy

Ctrl+P  go to a file          Ctrl+T  search the repository
Ctrl+N  new file              F1      all keys
Ctrl+K  all commands          Ctrl+Q  leave

Type, and suggestions come by themselves. Tab takes one."""


class Welcome(Static):
    """The first keys to know."""

    def __init__(self) -> None:
        super().__init__(literal.lines(_TEXT, literal.MUTED), id="welcome")
