"""Files of codebuddy's own: read and written through no link, with a limit, never waited for.

A repository may come with a hostile git folder: a link in the place of a file
would lead a write elsewhere, a pipe would hold a read for ever, and a number such as 1e999
ends in an error far from where it was read. It knows no file's meaning.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from codebuddy import platforms

# Beyond any size, line, time in nanoseconds or count of a file that codebuddy wrote.
LARGEST_NUMBER = (1 << 63) - 1

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_PLAIN = (
    getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_file(file: Path, max_bytes: int, *, follows_links: bool = False) -> bytes:
    """The bytes of a plain file.

    Args:
        file: A link is refused, as are folders, pipes and devices; nothing blocks.
        max_bytes: A larger file is refused.
        follows_links: For files that an installation may link to.

    Raises:
        OSError: It cannot be read, or is refused; `strerror` says why.
    """
    with os.fdopen(open_plain(file, follows_links=follows_links), "rb") as stream:
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {max_bytes:,} bytes", str(file))
    return content


def open_plain(file: Path, *, follows_links: bool = False) -> int:
    """A descriptor that reads a plain file, as `read_file`.

    Raises:
        OSError: It cannot be read, or is refused; `strerror` says why.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | _PLAIN | (0 if follows_links else _NO_LINK))
    except OSError as error:
        raise _named(error, file) from error
    try:
        _check_plain(descriptor, file)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_json(file: Path, max_bytes: int, *, follows_links: bool = False) -> Any:
    """The value of a JSON file, as `parse_json`; the arguments are those of `read_file`.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no JSON of codebuddy's.
    """
    return parse_json(read_file(file, max_bytes, follows_links=follows_links))


def parse_json(content: bytes) -> Any:
    """The value of UTF-8 JSON.

    Raises:
        ValueError: It is none, is nested too deep, or holds a number that is not finite or
            does not fit 64 bits.
    """
    try:
        return json.loads(
            content.decode("utf-8"),
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_bounded,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def whole_number(value: Any, smallest: int = 0, largest: int = LARGEST_NUMBER) -> int:
    """`value`, which was read from a file, as a whole number within bounds.

    Raises:
        ValueError: It is something else.
    """
    if type(value) is not int or not smallest <= value <= largest:
        raise ValueError("a number is out of bounds")
    return value


def write_file(file: Path, content: bytes, *, is_durable: bool = False) -> None:
    """Put a file with `content`, for its owner alone, in the place of `file`; whole or not at all.

    What stood there is exchanged, never written: a link's target stays as it is.

    Raises:
        OSError: It cannot be written; what was there is still there.
    """
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".tmp", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        if is_durable:
            platforms.replace_durably(Path(name), file)
        else:
            Path(name).replace(file)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def append_to(file: Path, content: bytes) -> None:
    """Add `content` to a plain file that no other name leads to, on the disk on return.

    Raises:
        OSError: It cannot be written, or is no such file.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINK | _PLAIN
    try:
        descriptor = os.open(file, flags, 0o600)
    except OSError as error:
        raise _named(error, file) from error
    with os.fdopen(descriptor, "ab") as stream:
        _check_plain(stream.fileno(), file)
        if os.fstat(stream.fileno()).st_nlink > 1:
            raise OSError(errno.EMLINK, "it is linked to another file", str(file))
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def make_folder(folder: Path, levels: int = 1) -> Path:
    """Make `folder` for this user alone (0700), or close one of this user's to others.

    Args:
        folder: Where codebuddy is to keep files.
        levels: How many of its last parts are codebuddy's own; none of them may be a link.

    Raises:
        OSError: It cannot be made, or must not be used; `strerror` says why, `filename` which.
    """
    own = [folder, *folder.parents[: levels - 1]][::-1]
    _make_parents(own[0].parent)
    for each in own:
        with suppress(FileExistsError):
            os.mkdir(each, 0o700)  # noqa: PTH102
        if reason := why_not_private(each):
            raise OSError(errno.EPERM, reason, str(each))
        mode = stat.S_IMODE(os.lstat(each).st_mode)
        if mode & _OTHERS and not platforms.IS_WINDOWS:
            os.chmod(each, mode & ~_OTHERS)  # noqa: PTH101
    return folder


def _make_parents(folder: Path) -> None:
    """Make what is missing of `folder`, each part for this user alone."""
    if folder.is_dir():
        return
    _make_parents(folder.parent)
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)  # noqa: PTH102


def why_not_private(folder: Path) -> str:
    """Why codebuddy must not keep files in `folder`; empty where it may, or nothing is there.

    Whoever else may write to it could exchange files between a look at them and their use.
    """
    try:
        status = os.lstat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return error.strerror or str(error)
    if stat.S_ISLNK(status.st_mode):
        return "it is a link"
    if not stat.S_ISDIR(status.st_mode):
        return "it is no folder"
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        return "it belongs to another user"
    if status.st_mode & _OTHERS_MAY_WRITE and not platforms.IS_WINDOWS:
        return "other users may write to it"
    return ""


def remedy_for(folder: Path) -> str:
    """What a person can do about a folder that `why_not_private` speaks of."""
    if folder.is_dir() and not folder.is_symlink():
        return f"delete it, or, if you trust what it holds, run 'chmod -R go-w {folder}' as owner"
    return "delete it"


def _check_plain(descriptor: int, file: Path) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, "it is no plain file", str(file))


def _named(error: OSError, file: Path) -> OSError:
    """The error of an `open`, in words where the system has none that fit."""
    if error.errno == errno.ELOOP:
        return OSError(errno.ELOOP, "it is a link", str(file))
    if error.errno in (errno.ENXIO, errno.EISDIR):
        return OSError(errno.EINVAL, "it is no plain file", str(file))
    return error


def _refuse(_constant: str) -> float:
    raise ValueError("a number is not finite")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number


def _bounded(text: str) -> int:
    # Python turns digits into numbers in quadratic time.
    if len(text) > len(str(LARGEST_NUMBER)) + 1:
        raise ValueError("a number is out of bounds")
    return whole_number(int(text), -LARGEST_NUMBER)
