"""Builds documents, positions and contexts for the tests of the completion path."""

from __future__ import annotations

from pathlib import Path

from codebuddy.completion.context import build_context
from codebuddy.datatypes import Context, Document, Position
from codebuddy.syntax import language_for

CURSOR = "‸"


def document_at(marked: str, path: str = "module.py") -> tuple[Document, Position]:
    """A document and the place that `‸` marks in it."""
    before, _, after = marked.partition(CURSOR)
    document = Document(path, before + after, Path("/nowhere") / path)
    line = before.count("\n") + 1
    return document, Position(line, len(before.rpartition("\n")[2]) + 1)


def context_at(marked: str, path: str = "module.py") -> Context:
    """The context of the place that `‸` marks."""
    document, position = document_at(marked, path)
    return build_context(document, position, language_for(path))
