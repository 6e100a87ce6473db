"""Writing a finding's patch to the work tree, and nowhere else: the index and HEAD stay.

All of it or nothing: each file is checked before the first is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codebuddy.completion.document import encode, line_ending, load_document, write_atomically
from codebuddy.datatypes import Document
from codebuddy.errors import DocumentError
from codebuddy.hook.finding import Edit
from codebuddy.vcs.repository import Repository


@dataclass(frozen=True, slots=True)
class Applied:
    """One file with a patch in it."""

    document: Document
    text: str


def apply_edits(repository: Repository, edits: Sequence[Edit]) -> list[Applied]:
    """Write the edits to the files of the work tree.

    Raises:
        DocumentError: A file does not hold what the patch replaces, or cannot be written.
        UsageError: A file is gone or lies outside the repository.
    """
    by_path: dict[str, list[Edit]] = {}
    for edit in edits:
        by_path.setdefault(edit.path, []).append(edit)
    changed = [_changed(repository, path, own) for path, own in by_path.items()]
    for each in changed:
        content = encode(each.text, each.document.encoding)
        try:
            write_atomically(each.document.absolute, content)
        except OSError as error:
            raise DocumentError(
                f"cannot write {each.document.path}: {error.strerror}; it is unchanged"
            ) from error
    return changed


def _changed(repository: Repository, path: str, edits: Sequence[Edit]) -> Applied:
    document = load_document(str(repository.root / path), repository.root, shown=path)
    carriage = "\r" if line_ending(document.text) == "\r\n" else ""
    # Each line keeps the ending that it has.
    raw = document.text.split("\n")
    lines = [line.removesuffix("\r") for line in raw]
    # From the last line up, so that earlier line numbers stay right.
    for edit in sorted(edits, key=lambda each: -each.first_line):
        old = edit.old.split("\n")
        first = _place(lines, old, edit.first_line - 1)
        if first is None:
            raise DocumentError(
                f"{path} no longer holds the lines that the patch replaces; nothing was written",
                hint="run 'codebuddy hook run --staged' again",
            )
        new = [] if edit.new is None else edit.new.split("\n")
        lines[first : first + len(old)] = new
        raw[first : first + len(old)] = [line + carriage for line in new]
    return Applied(document, "\n".join(raw))


def _place(lines: list[str], old: list[str], expected: int) -> int | None:
    """Where `old` stands: at `expected`, or at the only other place."""
    if lines[expected : expected + len(old)] == old:
        return expected
    found = [
        place
        for place in range(len(lines) - len(old) + 1)
        if lines[place : place + len(old)] == old
    ]
    return found[0] if len(found) == 1 else None
