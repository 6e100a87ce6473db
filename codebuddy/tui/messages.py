"""What widgets tell the screens, and workers the app. Each message is a fact, not a wish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textual.message import Message

if TYPE_CHECKING:
    from codebuddy.tui.text.ghost import Ghost
    from codebuddy.tui.widgets.editor_view import EditorView

GhostUse = Literal["accepted", "typed", "overtyped", "dismissed", "left"]


@dataclass
class EditorChanged(Message):
    """The text changed; `is_typing` if a person's key did it, at the cursor."""

    editor: EditorView
    is_typing: bool


@dataclass
class EditorMoved(Message):
    """The cursor went elsewhere without a change."""

    editor: EditorView


@dataclass
class GhostUsed(Message):
    """What became of a suggestion, or of its part `text`."""

    editor: EditorView
    how: GhostUse
    text: str
    ghost: Ghost


@dataclass
class SuggestionAsked(Message):
    """A suggestion was asked for with a key; `should_vary` for alternatives of the shown one."""

    editor: EditorView
    should_vary: bool


@dataclass
class EditRefused(Message):
    """Somebody tried to change a read-only text."""

    editor: EditorView


class TerminalGone(Message):
    """There is nobody to draw for any more, and no key will come."""


class GuardGone(Message):
    """The parent that guards the terminal was killed; the shell reads the keys from now on."""
