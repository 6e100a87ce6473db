"""Colours: four themes, each with a style for every kind of token and mark in the editor.

`terminal` takes the terminal's own sixteen colours; `contrast` keeps every text at 7:1 or
more. It knows no widgets.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from rich.style import Style
from textual.theme import Theme

# What a span or a mark is -> Rich style, by theme.
_DARK = {
    "comment": "#7d8799 italic",
    "string": "#a5d6a0",
    "escape": "#e0b878",
    "number": "#e8a87c",
    "keyword": "#c099f0",
    "constant": "#e8a87c",
    "function": "#82b4f0",
    "type": "#6fcbd6",
    "property": "#b4c8e8",
    "decorator": "#e0b878",
    "operator": "#a6b1c4",
    "punctuation": "#8d98ab",
    "tag": "#82b4f0",
    "heading": "#82b4f0 bold",
    "variable": "#dfe5ef",
    "ghost": "#77839a italic",
    "gutter": "#566073",
    "gutter_current": "#c3ccdb",
    "current_line": "on #1f2530",
    "selection": "on #38486b",
    "match": "on #4c4526",
    "match_current": "#14181f on #e0c060",
    "bracket": "bold underline",
    "cursor": "#14181f on #dfe5ef",
    "cursor_idle": "on #465064",
}
_LIGHT = {
    "comment": "#6a7280 italic",
    "string": "#22702f",
    "escape": "#8a5a00",
    "number": "#a3440b",
    "keyword": "#7a2fb5",
    "constant": "#a3440b",
    "function": "#1f55b0",
    "type": "#0b6a78",
    "property": "#36507a",
    "decorator": "#8a5a00",
    "operator": "#4a5260",
    "punctuation": "#606978",
    "tag": "#1f55b0",
    "heading": "#1f55b0 bold",
    "variable": "#1d232e",
    "ghost": "#7c8593 italic",
    "gutter": "#9aa3b0",
    "gutter_current": "#3b4454",
    "current_line": "on #eef1f6",
    "selection": "on #c9dbf8",
    "match": "on #fbe9a6",
    "match_current": "#1d232e on #f0b429",
    "bracket": "bold underline",
    "cursor": "#ffffff on #1d232e",
    "cursor_idle": "on #b9c2cf",
}
_CONTRAST = {
    "comment": "#b8b8b8 italic",
    "string": "#8cf08c",
    "escape": "#ffd75f",
    "number": "#ffb870",
    "keyword": "#e0b0ff bold",
    "constant": "#ffb870",
    "function": "#8ad0ff",
    "type": "#6ff0f0",
    "property": "#ffffff",
    "decorator": "#ffd75f",
    "operator": "#ffffff",
    "punctuation": "#dcdcdc",
    "tag": "#8ad0ff",
    "heading": "#8ad0ff bold",
    "variable": "#ffffff",
    "ghost": "#b0b0b0 italic underline",
    "gutter": "#b0b0b0",
    "gutter_current": "#ffff00 bold",
    "current_line": "on #1c1c1c",
    "selection": "#000000 on #ffff00",
    "match": "#000000 on #ffd75f",
    "match_current": "#000000 on #00ffff",
    "bracket": "bold underline",
    "cursor": "#000000 on #ffffff",
    "cursor_idle": "underline",
}
_TERMINAL = {
    "comment": "bright_black italic",
    "string": "green",
    "escape": "yellow",
    "number": "yellow",
    "keyword": "magenta",
    "constant": "yellow",
    "function": "blue",
    "type": "cyan",
    "property": "default",
    "decorator": "yellow",
    "operator": "default",
    "punctuation": "default",
    "tag": "blue",
    "heading": "blue bold",
    "variable": "default",
    "ghost": "bright_black italic",
    "gutter": "bright_black",
    "gutter_current": "default bold",
    "current_line": "",
    "selection": "reverse",
    "match": "underline",
    "match_current": "reverse bold",
    "bracket": "bold underline",
    "cursor": "reverse",
    "cursor_idle": "underline",
}
_TABLES = {
    "codebuddy-dark": _DARK,
    "codebuddy-light": _LIGHT,
    "codebuddy-contrast": _CONTRAST,
    "ansi-dark": _TERMINAL,
    "ansi-light": _TERMINAL,
}
# The setting's words -> names of themes.
THEMES = {
    "dark": "codebuddy-dark",
    "light": "codebuddy-light",
    "contrast": "codebuddy-contrast",
    "terminal": "ansi-dark",
}


@dataclass(frozen=True)
class Palette:
    """The styles of one theme."""

    styles: dict[str, Style]

    def __getitem__(self, name: str) -> Style:
        return self.styles[name]


@cache
def palette_of(theme: str) -> Palette:
    """The palette that belongs to a theme; the dark one for themes that are not ours."""
    table = _TABLES.get(theme, _DARK)
    return Palette({name: Style.parse(style or "none") for name, style in table.items()})


def themes() -> list[Theme]:
    """Our themes; the terminal's own comes with Textual."""
    return [
        Theme(
            name="codebuddy-dark",
            primary="#82b4f0",
            secondary="#6fcbd6",
            accent="#c099f0",
            warning="#e0b878",
            error="#f08a8a",
            success="#a5d6a0",
            foreground="#dfe5ef",
            background="#171b22",
            surface="#1d222b",
            panel="#242a35",
            dark=True,
        ),
        Theme(
            name="codebuddy-light",
            primary="#1f55b0",
            secondary="#0b6a78",
            accent="#7a2fb5",
            warning="#8a5a00",
            error="#b3261e",
            success="#22702f",
            foreground="#1d232e",
            background="#fbfcfe",
            surface="#f1f3f7",
            panel="#e4e8ef",
            dark=False,
        ),
        Theme(
            name="codebuddy-contrast",
            primary="#8ad0ff",
            secondary="#6ff0f0",
            accent="#ffff00",
            warning="#ffd75f",
            error="#ff9c9c",
            success="#8cf08c",
            foreground="#ffffff",
            background="#000000",
            surface="#000000",
            panel="#101010",
            dark=True,
        ),
    ]
