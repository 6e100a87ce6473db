"""Messages from the process and its terminal to the app; a widget's own are nested in it."""

from __future__ import annotations

from textual.message import Message


class TerminalGone(Message):
    """The terminal is gone: nothing is drawn any more, and no key will come."""


class GuardGone(Message):
    """The parent that guards the terminal was killed; the shell reads the keys from now on."""
