"""docs/tui.md tells the keys that there are, and the commands that work."""

from __future__ import annotations

import re
from pathlib import Path

from codebuddy.tui.screens.help import grouped
from codebuddy.tui.screens.workspace import Workspace
from codebuddy.tui.widgets.editor import EDITOR_BINDINGS

PAGE = Path(__file__).parent.parent / "docs" / "tui.md"


def key_tables() -> str:
    """The tables of all keys, as docs/tui.md has them."""
    parts = []
    for name, rows in grouped([*EDITOR_BINDINGS, *Workspace.KEYS]).items():
        parts.append(f"**{name}**\n\n| keys | what they do |\n|---|---|")
        parts.append("\n".join(f"| {keys} | {text} |" for keys, text in rows) + "\n")
    return "\n".join(parts)


def test_the_keys_in_the_documentation_are_the_bindings():
    """Every binding is in the page, in its group, and no other is."""
    text = PAGE.read_text(encoding="utf-8")
    between = text.partition("<!-- keys -->\n\n")[2].partition("\nIn palettes:")[0]
    assert between == key_tables()


def test_no_key_means_two_things():
    """A key is bound once among the editor's and the workspace's."""
    keys = [
        key for binding in [*EDITOR_BINDINGS, *Workspace.KEYS] for key in binding.key.split(",")
    ]
    assert len(keys) == len(set(keys))


def test_the_pictures_of_the_page_exist():
    """Every picture that the page shows is there and is an SVG."""
    pictures = re.findall(r"\]\((screenshots/[^)]+)\)", PAGE.read_text(encoding="utf-8"))
    assert len(pictures) >= 4
    for picture in pictures:
        assert (PAGE.parent / picture).read_text(encoding="utf-8").startswith("<svg")
