"""docs/tui.md tells the keys that there are, and the commands that work."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

from textual._xterm_parser import XTermParser
from textual.binding import Binding
from textual.events import Key

import codebuddy.tui
from codebuddy.tui.bindings import WORKSPACE_BINDINGS
from codebuddy.tui.screens.help import elsewhere, grouped, shown_keys
from codebuddy.tui.screens.picker import PickerScreen
from codebuddy.tui.terminal_driver import register_alt_keys
from codebuddy.tui.widgets.editor import EDITOR_BINDINGS
from codebuddy.tui.widgets.find_bar import FindBar

PAGE = Path(__file__).parents[2] / "docs" / "tui.md"


def key_tables() -> str:
    """The tables of all keys, as docs/tui.md has them."""
    parts = []
    groups = grouped([*EDITOR_BINDINGS, *WORKSPACE_BINDINGS]) | elsewhere()
    for name, rows in groups.items():
        parts.append(f"**{name}**\n\n| keys | what they do |\n|---|---|")
        parts.append("\n".join(f"| {keys} | {text} |" for keys, text in rows) + "\n")
    return "\n".join(parts)


def test_the_keys_in_the_documentation_are_the_bindings():
    """Every binding is in the page, in its group, and no other is."""
    text = PAGE.read_text(encoding="utf-8")
    between = text.partition("<!-- keys -->\n\n")[2].partition("\n<!-- end of keys -->")[0]
    assert between == key_tables()


def test_every_binding_of_every_screen_is_in_the_page():
    """No class of the editor binds a key that the page does not name."""
    page = PAGE.read_text(encoding="utf-8")
    bound = {}
    for found in pkgutil.walk_packages(codebuddy.tui.__path__, "codebuddy.tui."):
        for name, value in vars(importlib.import_module(found.name)).items():
            if isinstance(value, type) and value.__module__ == found.name:
                for each in vars(value).get("BINDINGS", ()):
                    bound[f"{name}: {each.key}"] = shown_keys(each.key)
    assert len(bound) > 80
    # Ctrl+C copies in the editor and says elsewhere how to leave; Esc closes whatever is open.
    missing = {name for name, keys in bound.items() if f"| {keys} |" not in page}
    assert missing == {
        "HelpScreen: escape,f1,q",
        "IndexScreen: escape,enter",
    }


def test_no_key_means_two_things():
    """A key is bound once among the editor's and the workspace's."""
    keys = [
        key for binding in [*EDITOR_BINDINGS, *WORKSPACE_BINDINGS] for key in binding.key.split(",")
    ]
    assert len(keys) == len(set(keys))


def keys_of(sequence: str) -> list[tuple[str, str | None]]:
    """What Textual's parser makes of what a terminal sends, at once."""
    parser = XTermParser()
    return [(each.key, each.character) for each in parser.feed(sequence) if isinstance(each, Key)]


# How a plain terminal (xterm, VTE, tmux) sends the keys that are no letters.
PLAIN = {
    "enter": "\r",
    "backspace": "\x7f",
    "full_stop": ".",
    "comma": ",",
    "slash": "/",
    "right_square_bracket": "]",
    "left": "\x1b[1;3D",
    "up": "\x1b[1;3A",
    "down": "\x1b[1;3B",
}


def test_every_key_with_alt_arrives_from_a_plain_terminal():
    """Esc and a key is that key with Alt, at once and not as a character to type."""
    register_alt_keys()
    bindings = [*EDITOR_BINDINGS, *WORKSPACE_BINDINGS, *FindBar.BINDINGS, *PickerScreen.BINDINGS]
    keys = {each.key for each in Binding.make_bindings(bindings)}
    held = sorted(key.removeprefix("alt+") for key in keys if key.startswith("alt+"))
    assert len(held) > 15
    for name in held:
        sent = PLAIN.get(name, name)
        sequence = sent if sent.startswith("\x1b") else f"\x1b{sent}"
        other = {"f": "ctrl+right", "b": "ctrl+left"}.get(name, f"alt+{name}")
        assert keys_of(sequence) == [(other, None)], name


def test_the_pictures_of_the_page_exist():
    """Every picture that the page shows is there and is an SVG."""
    pictures = re.findall(r"\]\((screenshots/[^)]+)\)", PAGE.read_text(encoding="utf-8"))
    assert len(pictures) >= 4
    for picture in pictures:
        assert (PAGE.parent / picture).read_text(encoding="utf-8").startswith("<svg")
