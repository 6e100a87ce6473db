"""Reads the document to complete and writes an accepted suggestion back.

Keeps encoding, byte order mark, line endings and mode. It knows nothing of models.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from codebuddy.completion.notebook import is_notebook, written_form
from codebuddy.datatypes import Document, Position
from codebuddy.errors import DocumentError, UsageError
from codebuddy.positions import resolve
from codebuddy.source_text import check_insertable, decode, encode, read_text
from codebuddy.user_file import NotRestoredError, ReadOnlyFileError, write_user_file

__all__ = [
    "MAX_DOCUMENT_BYTES",
    "apply_suggestion",
    "decode",
    "encode",
    "line_ending",
    "load_document",
    "not_written",
]

MAX_DOCUMENT_BYTES = 32 << 20


def load_document(file: str, root: Path, unsaved: bytes | None = None, shown: str = "") -> Document:
    """Read `file`, relative to the current folder, as a document of the repository at `root`.

    Args:
        file: Its path.
        root: The repository's work tree.
        unsaved: The buffer's text in place of the file's; then the file need not exist.
        shown: What errors call it, for example as the user typed it; `file` by default.

    Raises:
        UsageError: It does not exist, is no regular file, or lies outside the repository.
        DocumentError: It cannot be read, is too large, or is not text.
    """
    shown = shown or file
    try:
        absolute = Path(file).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{shown} cannot be resolved: {error}") from error
    try:
        relative = absolute.relative_to(root.resolve())
    except ValueError:
        raise UsageError(
            f"{shown} is outside the repository {root}",
            hint="run codebuddy in the file's own repository, or use -C",
        ) from None
    if relative.parts[:1] == (".git",):
        raise UsageError(f"{shown} belongs to git itself", hint="give a file of the work tree")
    if unsaved is None and not absolute.exists() and (root / shown).is_file():
        raise UsageError(
            f"{shown} does not exist in the current folder",
            hint=f"it is a path from the repository's root: add -C {root}",
        )
    content = _read(absolute, shown) if unsaved is None else unsaved
    if len(content) > MAX_DOCUMENT_BYTES:
        raise DocumentError(
            f"{shown} is larger than {MAX_DOCUMENT_BYTES >> 20} MiB", hint="complete a smaller file"
        )
    text, encoding = decode(content, shown)
    return Document(relative.as_posix(), text, absolute, encoding)


def apply_suggestion(document: Document, position: Position, text: str) -> None:
    """Insert `text` into the file: all of it or nothing, keeping encoding and line endings.

    In a notebook's file it goes into the cell's source, as JSON writes it.

    Raises:
        DocumentError: The file changed since it was read, its encoding cannot hold the text, or
            it cannot be written.
    """
    file = document.absolute
    current = _read(file, document.path)
    if current != encode(document.text, document.encoding):
        raise DocumentError(
            f"{document.path} was changed while the suggestion was made; nothing was written",
            hint="run the command again",
        )
    check_insertable(text, read_text(current, document.path), document.path)
    if is_notebook(document.path):
        offset, text = written_form(document, position, text)
    else:
        _, offset = resolve(document.text, position.line, position.column, document.path)
    changed = document.text[:offset] + text + document.text[offset:]
    try:
        write_user_file(file, encode(changed, document.encoding), expected=current)
    except OSError as error:
        raise not_written(document.path, error) from error


def not_written(name: str, error: OSError) -> DocumentError:
    """Why the file that a person calls `name` could not be written, as one sentence."""
    if isinstance(error, NotRestoredError):
        return DocumentError(f"cannot write {name}: {error.strerror}")
    hint = f"chmod u+w {name}" if isinstance(error, ReadOnlyFileError) else ""
    return DocumentError(
        f"cannot write {name}: {error.strerror or error}; it is unchanged", hint=hint
    )


def line_ending(text: str) -> str:
    """The line ending that most lines of `text` have."""
    windows = text.count("\r\n")
    return "\r\n" if windows and windows * 2 > text.count("\n") else "\n"


def _read(absolute: Path, name: str) -> bytes:
    try:
        status = absolute.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UsageError(f"{name} is a folder", hint="give a file")
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{name} is not a regular file", hint="give a text file")
        if status.st_size > MAX_DOCUMENT_BYTES:
            raise DocumentError(
                f"{name} is larger than {MAX_DOCUMENT_BYTES >> 20} MiB",
                hint="complete a smaller file",
            )
        return absolute.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"{name} does not exist", hint="check its path, or give the text with --stdin"
        ) from None
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise DocumentError(f"{name} cannot be read: {reason}") from error
