"""Files of the editor: opened with limits, saved atomically, never over another program's change.

A file that is not text the editor can write back byte for byte is opened read-only. Every
function here may block; callers are worker threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from codebuddy import user_file
from codebuddy.completion.document import not_written
from codebuddy.errors import DocumentError
from codebuddy.source_text import check_storable, encode, read_text

MAX_FILE_BYTES = 32 << 20
# A file without text in its beginning is not shown at all.
_READ_ONLY_ENCODING = "latin-1"


@dataclass(frozen=True, slots=True)
class DiskState:
    """What is known of the bytes on disk; `None` in the editor stands for no file.

    `digest` is empty where they could not be read: then any other time, size or inode is a change.
    """

    digest: str
    size_bytes: int
    modified_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file as the editor has it: `text` with `\\n`, and what is needed to write it back.

    `is_crlf` only if every line ends with `\\r\\n` and there is no other `\\r`; otherwise a
    `\\r` is a character of its line. `reason_read_only` is empty if it may be edited.
    """

    path: Path
    text: str
    encoding: str
    is_crlf: bool
    on_disk: DiskState | None
    reason_read_only: str = ""

    @property
    def is_read_only(self) -> bool:
        """Whether it must not be edited."""
        return bool(self.reason_read_only)


def open_file(path: Path) -> OpenedFile:
    """Read `path`; one that does not exist is an empty new file.

    Raises:
        DocumentError: It is a folder, no regular file, too large or cannot be read.
    """
    try:
        content, status = _read(path)
    except FileNotFoundError:
        return OpenedFile(path, "", "utf-8", is_crlf=False, on_disk=None)
    except OSError as error:
        raise DocumentError(f"{path.name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DocumentError(f"{path.name} cannot be read: {error}") from error
    reason = ""
    try:
        found = read_text(content, path.name)
        text, encoding = found.text, found.encoding
        if not found.is_exact:
            reason = f"{path.name} holds bytes that are not UTF-8"
    except DocumentError as error:
        reason = error.message
    if reason:
        text, encoding = content.decode(_READ_ONLY_ENCODING), _READ_ONLY_ENCODING
    if not reason and user_file.is_read_only(path):
        reason = f"{path.name} is marked as read-only or may not be written"
    is_crlf = "\r\n" in text and text.count("\r\n") == text.count("\n") == text.count("\r")
    if is_crlf:
        text = text.replace("\r\n", "\n")
    return OpenedFile(path, text, encoding, is_crlf, _state(content, status), reason)


def save_file(opened: OpenedFile, text: str, *, should_overwrite: bool = False) -> OpenedFile:
    """Write `text` in the place of the file's bytes: all of them or none.

    A link stays a link; what it leads to is written.

    Returns:
        The file as it is now.

    Raises:
        ChangedOnDiskError: Another program wrote it since it was opened, and it is not to be
            overwritten.
        DocumentError: It is read-only or cannot be written; the file is unchanged.
    """
    name = opened.path.name
    if opened.is_read_only:
        raise DocumentError(opened.reason_read_only, hint="save it under another name")
    expected = None if should_overwrite else _expected(opened)
    content = _encoded(opened, text)
    target = Path(os.path.realpath(opened.path))
    try:
        if target.is_dir():
            raise DocumentError(f"cannot write {name}: it is a folder; it is unchanged")
        target.parent.mkdir(parents=True, exist_ok=True)
        user_file.write_user_file(target, content, expected=expected)
        status = target.stat()
    except user_file.FileChangedError as error:
        raise _changed(opened) from error
    except OSError as error:
        raise not_written(name, error) from error
    except ValueError as error:
        raise DocumentError(f"cannot write {name}: {error}; it is unchanged") from error
    return replace(opened, text=text, on_disk=_state(content, status))


def _expected(opened: OpenedFile) -> bytes | None:
    """What the file must still hold when it is written; `None` where its bytes are not known.

    Raises:
        ChangedOnDiskError: It is another one already.
    """
    if has_changed(opened):
        raise _changed(opened)
    if opened.on_disk is None or not opened.on_disk.digest:
        return None
    try:
        content, _ = _read(opened.path)
    except (OSError, DocumentError) as error:
        raise _changed(opened) from error
    if _digest(content) != opened.on_disk.digest:
        raise _changed(opened)
    return content


def _encoded(opened: OpenedFile, text: str) -> bytes:
    """The bytes of `text` as the file has them."""
    check_storable(text, opened.encoding, opened.path.name)
    if opened.is_crlf:
        # Undo may bring back a text from before another program made all line ends the same.
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    return encode(text, opened.encoding)


class ChangedOnDiskError(DocumentError):
    """The file is not what was opened any more.

    `found` is what it is now (`None`: it is gone), `is_known` whether that could be seen.
    """

    found: DiskState | None = None
    is_known: bool = False

    @property
    def is_gone(self) -> bool:
        """Whether nothing is there to be overwritten."""
        return self.is_known and self.found is None


def _changed(opened: OpenedFile) -> ChangedOnDiskError:
    name = opened.path.name
    try:
        content, status = _read(opened.path)
    except FileNotFoundError:
        error = ChangedOnDiskError(
            f"{name} was deleted by another program since it was opened", hint="write it again"
        )
        error.is_known = True
    except (OSError, DocumentError):
        error = ChangedOnDiskError(f"{name} is not the file that was opened any more")
        with contextlib.suppress(OSError):
            error.found, error.is_known = _unread_state(opened.path.stat()), True
    else:
        error = ChangedOnDiskError(
            f"{name} was changed by another program since it was opened",
            hint="reload it, or overwrite it",
        )
        error.found, error.is_known = _state(content, status), True
    return error


def has_changed(opened: OpenedFile) -> bool:
    """Whether the bytes on disk are others than those that were read or written last."""
    known = opened.on_disk
    try:
        status = opened.path.stat()
        if known is None:
            return True
        if (status.st_size, status.st_mtime_ns, status.st_ino) == (
            known.size_bytes,
            known.modified_ns,
            known.inode,
        ):
            return False
        if status.st_size != known.size_bytes:
            return True
        content, _ = _read(opened.path)
    except OSError:
        # Where nothing was and nothing can be read, writing says why.
        return known is not None
    except DocumentError:
        return True
    return _digest(content) != known.digest


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    # Opening some devices does something: they are not opened at all. The file may become
    # another between two looks: limits hold for what was opened.
    if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
        raise DocumentError(f"{path.name} is not a regular file", hint="open a text file")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _FLAGS)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise DocumentError(f"{path.name} is a folder", hint="open a file in it")
        if not stat.S_ISREG(status.st_mode):
            raise DocumentError(f"{path.name} is not a regular file", hint="open a text file")
        if status.st_size > MAX_FILE_BYTES:
            raise DocumentError(
                f"{path.name} is larger than {MAX_FILE_BYTES >> 20} MiB",
                hint="open a smaller file",
            )
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_FILE_BYTES:
        raise DocumentError(f"{path.name} is larger than {MAX_FILE_BYTES >> 20} MiB")
    return content, status


_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)


def _state(content: bytes, status: os.stat_result) -> DiskState:
    return DiskState(_digest(content), len(content), status.st_mtime_ns, status.st_ino)


def _unread_state(status: os.stat_result) -> DiskState:
    return DiskState("", status.st_size, status.st_mtime_ns, status.st_ino)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
