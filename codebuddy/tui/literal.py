"""Texts of others as content that is shown letter by letter: no markup, no control bytes.

Everything that a screen shows of files, names, models or errors goes through here.
"""

from __future__ import annotations

from textual.content import Content
from textual.style import Style

from codebuddy.terminal import safe_line, safe_text

MUTED = "$foreground 60%"


def line(text: str, style: str | Style = "") -> Content:
    """One line, in a style of ours."""
    return Content.styled(safe_line(text), style) if style else Content(safe_line(text))


def lines(text: str, style: str | Style = "") -> Content:
    """Several lines."""
    shown = safe_text(text).expandtabs(4)
    return Content.styled(shown, style) if style else Content(shown)


def shortened(text: str, width: int) -> str:
    """`text` with its middle left out if it is longer than `width` characters."""
    if len(text) <= width:
        return text
    if width < 5:
        return text[:width]
    head = (width - 1) // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"
