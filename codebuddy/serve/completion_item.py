"""A suggestion as an item of `textDocument/completion`, for editors without inline completions."""

from __future__ import annotations

import re

from lsprotocol import types

from codebuddy.serve.inline_completion import ShownSuggestion
from codebuddy.serve.text_document import TextDocument

ACCEPTED_COMMAND = "codebuddy.accepted"
_WORD_BEFORE = re.compile(r"(?<!\w)\w*$")
_LINE_END = re.compile(r"\r?\n")
_LABEL_CHARACTERS = 60
# Sorts after everything that other servers know for sure.
_LAST = "\U0010ffff"


def completion_item(
    document: TextDocument, offset: int, shown: ShownSuggestion, *, is_one_line: bool
) -> types.CompletionItem | None:
    """The item for a suggestion at `offset`, or `None` if nothing of it can be shown.

    Clients that filter compare with the word before the cursor, so that is a part of it.
    """
    text = _LINE_END.split(shown.text, maxsplit=1)[0] if is_one_line else shown.text
    if not text:
        return None
    line = document.text[document.text.rfind("\n", 0, offset) + 1 : offset]
    match = _WORD_BEFORE.search(line)
    word = match[0] if match else ""
    start, end = document.position_at(offset - len(word)), document.position_at(offset)
    span = types.Range(types.Position(start.line, start.units), types.Position(end.line, end.units))
    lines = [each for each in _LINE_END.split(word + text) if each.strip()] or [text]
    return types.CompletionItem(
        label=_label(lines[0].strip(), has_more=len(lines) > 1),
        label_details=types.CompletionItemLabelDetails(description="codebuddy"),
        kind=types.CompletionItemKind.Text,
        documentation=text,
        preselect=False,
        sort_text=_LAST,
        filter_text=word or lines[0],
        insert_text_format=types.InsertTextFormat.PlainText,
        insert_text_mode=types.InsertTextMode.AsIs,
        text_edit=types.TextEdit(span, word + text),
        command=types.Command("Accepted", ACCEPTED_COMMAND, arguments=[shown.number]),
    )


def takes_one_line(client: types.ClientInfo | None) -> bool:
    """Whether the editor would write the newlines of an item as NUL: Neovim before 0.10."""
    if client is None or client.name != "Neovim":
        return False
    match = re.match(r"v?(\d+)\.(\d+)", client.version or "")
    return match is not None and (int(match[1]), int(match[2])) < (0, 10)


def _label(line: str, *, has_more: bool) -> str:
    is_cut = has_more or len(line) > _LABEL_CHARACTERS
    return f"{line[:_LABEL_CHARACTERS]} …" if is_cut else line
