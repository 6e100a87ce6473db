"""The item that editors without inline completions get."""

from __future__ import annotations

import pytest
from lsprotocol import types

from codebuddy.serve.completion_item import completion_item, takes_one_line
from codebuddy.serve.inline_completion import ShownSuggestion
from codebuddy.serve.text_document import TextDocument

DOCUMENT = TextDocument("file:///a.py", "python", "x = '😀' + val\n", "utf-16")


def item(text: str, *, is_one_line: bool = False) -> types.CompletionItem | None:
    return completion_item(
        DOCUMENT, len("x = '😀' + val"), ShownSuggestion(7, text), is_one_line=is_one_line
    )


def test_it_replaces_the_word_before_the_cursor_by_itself_and_more():
    """Range and text begin at the word, counted as the editor counts."""
    found = item("ue(1)\n    more(2)\n")
    assert found is not None
    span = types.Range(types.Position(0, 11), types.Position(0, 14))
    assert found.text_edit == types.TextEdit(span, "value(1)\n    more(2)\n")
    assert found.label == "value(1) …"
    assert found.filter_text == "val"
    assert found.command is not None
    assert found.command.arguments == [7]


def test_a_long_line_is_shortened_in_the_menu_only():
    """The label has 60 characters; the text is whole."""
    found = item("x" * 100)
    assert found is not None
    assert len(found.label) == 62
    assert isinstance(found.text_edit, types.TextEdit)
    assert found.text_edit.new_text == "val" + "x" * 100


@pytest.mark.parametrize(("text", "expected"), [("ue(1)\r\n  more\r\n", "value(1)"), ("u", "valu")])
def test_an_editor_that_takes_one_line_gets_one(text, expected):
    """Old versions of Neovim write the newlines of an item as NUL."""
    found = item(text, is_one_line=True)
    assert found is not None
    assert isinstance(found.text_edit, types.TextEdit)
    assert found.text_edit.new_text == expected
    assert item("\n    more", is_one_line=True) is None


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("Neovim", "0.7.2", True),
        ("Neovim", "v0.9.5", True),
        ("Neovim", "0.10.0", False),
        ("Neovim", "0.12.0-dev", False),
        ("Neovim", None, False),
        ("helix", "0.7.2", False),
    ],
)
def test_which_editors_take_one_line(name, version, expected):
    """It is Neovim before 0.10, as far as is known."""
    assert takes_one_line(types.ClientInfo(name, version)) is expected
    assert takes_one_line(None) is False
