"""Writing files of the user: whole or not at all, and nothing else of the file is lost.

The one home for that. A file is written beside its place and renamed over it, which keeps mode,
owner, group, access control list and extended attributes. Where renaming would lose something
(further hard links, an owner that may not be given away, a file mounted by itself), its bytes
are overwritten in place, and a copy of the old ones lies beside it meanwhile. Symbolic links are
followed, read-only files refused. It knows nothing of text.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

# A rename over these fails, although the file may be written.
_CANNOT_RENAME = frozenset({errno.EBUSY, errno.EXDEV})
_OVERWRITE = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_NEW_SUFFIX, _OLD_SUFFIX = ".tmp", ".before"
_MAX_NAME = 40


class ReadOnlyFileError(PermissionError):
    """The file is marked as read-only, or may not be written; `strerror` says which."""


class FileChangedError(OSError):
    """The file holds other bytes than the caller knows; nothing was written."""


class NotRestoredError(OSError):
    """A write failed and the old bytes could not be put back; `copy` is the file with them."""

    def __init__(self, number: int, reason: str, copy: Path) -> None:
        super().__init__(number, f"{reason}; what it held before is in {copy}")
        self.copy = copy


@dataclass(frozen=True, slots=True)
class FileChange:
    """New bytes for one file.

    `expected` is what the file must still hold (`None`: whatever it holds), `mode` what a new
    file gets (`None`: as the umask says).
    """

    file: Path
    content: bytes
    expected: bytes | None = None
    mode: int | None = None


def write_user_file(
    file: Path, content: bytes, *, expected: bytes | None = None, mode: int | None = None
) -> None:
    """Give `file` other bytes; a new file is made where there is none.

    Args:
        file: A link is followed to what it leads to.
        content: All of the bytes.
        expected: What the file must still hold, if given.
        mode: Of a new file.

    Raises:
        ReadOnlyFileError: It is read-only.
        FileChangedError: It does not hold `expected`.
        OSError: It cannot be written. In every case `file` is unchanged, except for
            `NotRestoredError`.
    """
    write_user_files([FileChange(file, content, expected, mode)])


def write_user_files(changes: Sequence[FileChange]) -> None:
    """Give several files other bytes: all of them, or none.

    Everything that can fail is done before the first file changes; where the rest fails,
    those that were changed get back what they had.

    Raises:
        OSError: As `write_user_file`; `filename` is the file that could not be written.
    """
    staged: list[_Staged] = []
    try:
        for change in changes:
            with _named(change.file):
                staged.append(_stage(change, has_others=len(changes) > 1))
        with _signals_held():
            for each in staged:
                with _named(each.change.file):
                    _commit(each)
    except BaseException as error:
        failures = [failure for each in reversed(staged) for failure in _roll_back(each)]
        if failures:
            raise failures[0] from error
        raise
    finally:
        for each in staged:
            _clean_up(each)


def is_read_only(file: Path) -> bool:
    """Whether `file` exists and is marked as read-only or may not be written by this process.

    Root may write everything; a file without any write permission counts as read-only for root too.
    """
    try:
        status = file.stat()
    except OSError:
        return False
    return _reason_read_only(file, status) != ""


@dataclass(slots=True)
class _Staged:
    """One change, prepared: `new` holds the new bytes, `old` the old ones or the old file."""

    change: FileChange
    target: Path
    status: os.stat_result | None
    is_in_place: bool = False
    new: Path | None = None
    old: Path | None = None
    is_begun: bool = field(default=False)


def _stage(change: FileChange, *, has_others: bool) -> _Staged:
    """Check the file and write what is needed beside it; the file itself is not touched."""
    target = Path(os.path.realpath(change.file))
    try:
        status = target.stat()
    except FileNotFoundError:
        status = None
    each = _Staged(change, target, status)
    try:
        if status is not None:
            _check_writable(target, status)
        _check_expected(each)
        each.new = _written_beside(target, _NEW_SUFFIX, change.content)
        if status is None:
            each.new.chmod(_new_mode() if change.mode is None else change.mode)
        else:
            each.is_in_place = not _takes_over(each.new, target, status)
            if each.is_in_place:
                each.old = _written_beside(target, _OLD_SUFFIX, target.read_bytes())
            elif has_others:
                each.old = _linked_beside(target)
    except BaseException:
        _clean_up(each)
        raise
    return each


def _check_writable(file: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    reason = _reason_read_only(file, status)
    if reason:
        raise ReadOnlyFileError(errno.EACCES, reason)


def _reason_read_only(file: Path, status: os.stat_result) -> str:
    if not status.st_mode & 0o222:
        return f"it is read-only (mode {stat.S_IMODE(status.st_mode):04o})"
    effective = os.access in os.supports_effective_ids
    if not os.access(file, os.W_OK, effective_ids=effective):
        return os.strerror(errno.EACCES)
    return ""


def _check_expected(each: _Staged) -> None:
    expected = each.change.expected
    if expected is None:
        return
    try:
        is_same = each.target.read_bytes() == expected
    except FileNotFoundError:
        is_same = False
    if not is_same:
        raise FileChangedError(errno.ESTALE, "it was changed meanwhile")


def _written_beside(target: Path, suffix: str, content: bytes) -> Path:
    """A new file of the same folder with `content`, on the disk when this returns."""
    handle, name = tempfile.mkstemp(
        prefix=f".{target.name[:_MAX_NAME]}.", suffix=suffix, dir=target.parent
    )
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _linked_beside(target: Path) -> Path:
    """The file under a second name of its folder; a copy where it cannot have one."""
    place = _written_beside(target, _OLD_SUFFIX, b"")
    try:
        place.unlink()
        os.link(target, place)
    except OSError:
        return _written_beside(target, _OLD_SUFFIX, target.read_bytes())
    return place


def _takes_over(new: Path, target: Path, status: os.stat_result) -> bool:
    """Give `new` what `target` has beside its bytes; whether it could take over all of it."""
    if status.st_nlink > 1 or bool(getattr(status, "st_flags", False)):
        return False
    try:
        own = new.stat()
        if hasattr(os, "chown") and (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
            os.chown(new, status.st_uid, status.st_gid)
        if hasattr(os, "listxattr"):
            _copy_attributes(target, new)
        new.chmod(stat.S_IMODE(status.st_mode))
        taken = new.stat()
    except OSError:
        return False
    return (taken.st_uid, taken.st_gid, taken.st_mode) == (
        status.st_uid,
        status.st_gid,
        status.st_mode,
    )


def _copy_attributes(target: Path, new: Path) -> None:
    """Extended attributes, access control lists among them; those of a new file go away."""
    wanted = {name: os.getxattr(target, name) for name in _attributes_of(target)}
    had = {name: os.getxattr(new, name) for name in _attributes_of(new)}
    for name, value in wanted.items():
        if had.get(name) != value:
            os.setxattr(new, name, value)
    for name in had.keys() - wanted.keys():
        os.removexattr(new, name)


def _attributes_of(file: Path) -> list[str]:
    try:
        return os.listxattr(file)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def _new_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _commit(each: _Staged) -> None:
    """Change the file."""
    assert each.new is not None
    _check_expected(each)
    if each.status is None and os.path.lexists(each.target):
        raise FileChangedError(errno.EEXIST, "another program made it meanwhile")
    each.is_begun = True
    if not each.is_in_place:
        try:
            _rename(each.new, each.target)
        except OSError as error:
            if error.errno not in _CANNOT_RENAME or each.status is None:
                each.is_begun = False
                raise
            if each.old is not None:
                each.old.unlink(missing_ok=True)
            each.old = _written_beside(each.target, _OLD_SUFFIX, each.target.read_bytes())
            each.is_in_place = True
        else:
            each.new = None
            return
    assert each.status is not None
    _overwrite(each.target, each.change.content, each.status)


def _rename(new: Path, target: Path) -> None:
    """Put `new`, which is on the disk, in the place of `target`."""
    new.replace(target)
    # The rename is done; where it cannot be hurried to the disk, either file is whole.
    with suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _overwrite(file: Path, content: bytes, known: os.stat_result) -> None:
    """Write over the bytes of the very file that `known` describes."""
    with os.fdopen(os.open(file, _OVERWRITE), "rb+") as stream:
        status = os.fstat(stream.fileno())
        if (status.st_dev, status.st_ino) != (known.st_dev, known.st_ino):
            raise FileChangedError(errno.ESTALE, "another program replaced it meanwhile")
        # Cut at the end only: where the disk is full, the old bytes still have their room.
        stream.write(content)
        stream.truncate()
        stream.flush()
        os.fsync(stream.fileno())
        if stat.S_IMODE(os.fstat(stream.fileno()).st_mode) != stat.S_IMODE(known.st_mode):
            # A write takes away the bits that let others run it as its owner.
            with suppress(OSError):
                file.chmod(stat.S_IMODE(known.st_mode))


def _roll_back(each: _Staged) -> Iterator[OSError]:
    """Undo what was begun of a change; yields the error where that fails, and keeps the copy."""
    if not each.is_begun:
        return
    each.is_begun = False
    try:
        if each.status is None:
            each.target.unlink(missing_ok=True)
        elif each.old is None:
            # The only file, and it was renamed: what failed came after the write.
            return
        elif each.is_in_place:
            _overwrite(each.target, each.old.read_bytes(), each.status)
        else:
            _rename(each.old, each.target)
            each.old = None
    except OSError as error:
        assert each.old is not None
        copy, each.old = each.old, None
        yield NotRestoredError(error.errno or errno.EIO, error.strerror or str(error), copy)


def _clean_up(each: _Staged) -> None:
    for file in (each.new, each.old):
        if file is not None:
            with suppress(OSError):
                file.unlink(missing_ok=True)
    each.new = each.old = None


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Let a system error name the file."""
    try:
        yield
    except OSError as error:
        error.filename = str(file)
        raise


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let requests to end wait until every file is written."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    ending = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
