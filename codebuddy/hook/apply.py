"""Writing a finding's patch to the work tree, and nowhere else: the index and HEAD stay.

All of it or nothing: each file is checked and prepared before the first is written, and where
the rest fails, those that were written get back what they had. A file keeps its encoding, byte
order mark and line endings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codebuddy.completion.document import line_ending, load_document, not_written
from codebuddy.datatypes import Document
from codebuddy.errors import DocumentError
from codebuddy.hook.finding import FileEdit
from codebuddy.hook.patching import only_lacks_line, stays_well_formed
from codebuddy.hook.state import SourceFile
from codebuddy.source_text import encode
from codebuddy.user_file import FileChange, NotRestoredError, write_user_files
from codebuddy.vcs.repository import Repository


@dataclass(frozen=True, slots=True)
class Applied:
    """One file with a patch in it."""

    document: Document
    text: str


def apply_edits(repository: Repository, edits: Sequence[FileEdit]) -> list[Applied]:
    """Write the edits to the files of the work tree: all of them, or none.

    A patch that a killed process left half done is completed.

    Raises:
        DocumentError: A file does not hold what the patch replaces, would not parse with it, or
            cannot be written.
        UsageError: A file is gone or lies outside the repository.
    """
    by_path: dict[str, list[FileEdit]] = {}
    for edit in edits:
        by_path.setdefault(edit.path, []).append(edit)
    found = [_changed(repository, path, own) for path, own in by_path.items()]
    changed = [each for each in found if each.text != each.document.text]
    if not changed:
        raise DocumentError("the patch is in the files already", hint="stage them with 'git add'")
    changes = [
        FileChange(
            each.document.absolute,
            _encoded(each),
            expected=encode(each.document.text, each.document.encoding),
        )
        for each in changed
    ]
    try:
        write_user_files(changes)
    except OSError as error:
        names = {str(each.document.absolute): each.document.path for each in changed}
        failed = not_written(names.get(str(error.filename), str(error.filename)), error)
        if len(changes) > 1 and not isinstance(error, NotRestoredError):
            told = f"{failed.message}, and so are the other files of the patch"
            raise DocumentError(told, failed.hint) from error
        raise failed from error
    return changed


def _encoded(each: Applied) -> bytes:
    try:
        return encode(each.text, each.document.encoding)
    except UnicodeEncodeError as error:
        raise DocumentError(
            f"{each.document.path} cannot hold the patch in its encoding "
            f"({each.document.encoding}); nothing was written",
            hint="convert it to UTF-8 first",
        ) from error


def _changed(repository: Repository, path: str, edits: Sequence[FileEdit]) -> Applied:
    document = load_document(str(repository.root / path), repository.root, shown=path)
    carriage = "\r" if line_ending(document.text) == "\r\n" else ""
    # Each line keeps the ending that it has.
    raw = document.text.split("\n")
    lines = [line.removesuffix("\r") for line in raw]
    taken_out = 0
    # From the last line up, so that earlier line numbers stay right.
    for edit in sorted(edits, key=lambda each: -each.first_line):
        old = edit.old.split("\n")
        new = [] if edit.new is None else edit.new.split("\n")
        first = _place(lines, old, edit.first_line - 1)
        if first is None:
            if new and lines[edit.first_line - 1 : edit.first_line - 1 + len(new)] == new:
                continue
            raise DocumentError(
                f"{path} no longer holds the lines that the patch replaces; nothing was written",
                hint="run 'codebuddy hook run --staged' again",
            )
        taken_out = first + 1 if not new and len(old) == len(edits) == 1 else 0
        end = first + len(old)
        replaced = _ended(new, raw[first:end], carriage, is_last=end == len(raw))
        lines[first:end], raw[first:end] = new, replaced
        if not new and first == len(raw):
            # What is the file's last line now ends as the old one did: not at all.
            raw[first - 1 :] = [line.removesuffix("\r") for line in raw[first - 1 :]]
    _check_well_formed(path, document.text, "\n".join(lines), taken_out)
    return Applied(document, "\n".join(raw))


def _check_well_formed(path: str, before: str, after: str, taken_out: int) -> None:
    """Check that a file which changed since the review can take the patch.

    Args:
        path: The file.
        before: Its text as it is.
        after: Its text with the patch.
        taken_out: The 1-based line that goes, 0 where none does.

    Raises:
        DocumentError: It would no longer parse, or what is left would mean something else.
    """
    plain = before.replace("\r\n", "\n")
    one, other = (SourceFile(path, text.encode("utf-8", "replace")) for text in (plain, after))
    if one.tree is None or other.tree is None:
        return
    is_safe = stays_well_formed(one, other)
    if is_safe and taken_out:
        is_safe = only_lacks_line(one, other, taken_out)
    if not is_safe:
        raise DocumentError(
            f"{path} changed, and the patch would break it now; nothing was written",
            hint="run 'codebuddy hook run --staged' again",
        )


def _ended(new: Sequence[str], old: Sequence[str], usual: str, *, is_last: bool) -> list[str]:
    """New lines, each with the carriage return, or none, of the old line in its place.

    Args:
        new: Without carriage returns.
        old: What they replace, with them.
        usual: What most lines of the file have.
        is_last: Whether the file ends with them: its last line has no line break.
    """
    endings = ["\r" if line.endswith("\r") else "" for line in old]
    at_end = endings[-1]
    if is_last:
        endings[-1] = usual
    ended = [line + endings[min(at, len(old) - 1)] for at, line in enumerate(new)]
    if is_last and new:
        ended[-1] = new[-1] + at_end
    return ended


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
