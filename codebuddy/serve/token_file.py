"""The secret that programs show to the HTTP interface, in a file of the user's alone.

While no server runs, any program of this machine may take its port, and gets the token from the
editors that go on asking. So the token of the usual file is a new one at each start; servers
that run at the same time share it. A file that the user names keeps what it holds.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from codebuddy import paths, platforms, shared_lock
from codebuddy.errors import CodebuddyError, ConfigError

# 256 bits.
_TOKEN_BYTES = 32
_MAX_FILE_BYTES = 4096
_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]{32,512}")
_LOCK_TIMEOUT_S = 5.0
_OPEN_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


@contextlib.contextmanager
def token_of(file: Path | None, *, is_usual: bool) -> Iterator[tuple[str, bool]]:
    """The token, empty without a file, and whether it is another one than before.

    Args:
        file: Where it is kept.
        is_usual: Whether it is the usual file, whose token is a new one at each start.

    Raises:
        ConfigError: The file is a link, another user's, readable for others, or holds no token.
        CodebuddyError: It cannot be made or read.
    """
    if file is None:
        yield "", False
    elif is_usual:
        with renewed_token(file) as found:
            yield found
    else:
        yield read_or_make_token(file), False


def read_or_make_token(file: Path) -> str:
    """The token in `file`, which is made (0600, in a 0700 folder) if it does not exist.

    Raises:
        ConfigError: It is a link, another user's, readable for others, or holds no token.
        CodebuddyError: It cannot be made or read.
    """
    try:
        _ensure_folder(file.parent)
        return _make(file)
    except FileExistsError:
        return _read(file)
    except OSError as error:
        raise _unwritable(file, error) from error


@contextlib.contextmanager
def renewed_token(file: Path) -> Iterator[tuple[str, bool]]:
    """The token in `file`, and whether it was made now: as long as no other server is inside.

    Raises:
        ConfigError: The file is a link, another user's, or readable for others.
        CodebuddyError: It cannot be made or read.
    """
    with contextlib.ExitStack() as held:
        try:
            _ensure_folder(file.parent)
            with _alone(file.with_name(f"{file.name}.lock")):
                users = file.with_name(f"{file.name}.users")
                is_first = held.enter_context(shared_lock.joined(users))
                is_there = os.path.lexists(file)
                token = _renew(file) if is_first or not is_there else _read(file)
        except OSError as error:
            raise _unwritable(file, error) from error
        yield token, is_first or not is_there


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """No two servers decide at once whether they are the first, where files can be locked."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(platforms.LocksUnsupportedError):
            held.enter_context(platforms.exclusive_lock(lock, _LOCK_TIMEOUT_S))
        yield


def _renew(file: Path) -> str:
    """Put a new token in the place of the old one, which may be damaged but must be ours."""
    with contextlib.suppress(FileNotFoundError):
        _close_checked(file)
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    token = _make(fresh)
    fresh.replace(file)
    return token


def _close_checked(file: Path) -> None:
    descriptor = _open(file)
    try:
        _check(file, os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _ensure_folder(folder: Path) -> None:
    try:
        paths.ensure_folder(folder)
    except CodebuddyError as error:
        hint = f"{error.hint}, or give a token's file with --token-file"
        raise CodebuddyError(error.message, hint=hint) from error


def _unwritable(file: Path, error: OSError) -> CodebuddyError:
    return CodebuddyError(
        f"cannot make the token file {file}: {error.strerror}",
        hint="give another place with --token-file",
    )


def _make(file: Path) -> str:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN_SAFELY, 0o600)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(token + "\n")
    return token


def _open(file: Path) -> int:
    try:
        # Without O_NONBLOCK a FIFO in its place would be waited for.
        return os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _OPEN_SAFELY)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(
            f"the token file {file} cannot be opened: {error.strerror}",
            hint="it must be a regular file of yours; remove it, and a new one is made",
        ) from error


def _read(file: Path) -> str:
    descriptor = _open(file)
    try:
        _check(file, os.fstat(descriptor))
        content = os.read(descriptor, _MAX_FILE_BYTES)
    finally:
        os.close(descriptor)
    token = content.decode("latin-1").strip()
    if not _TOKEN.fullmatch(token):
        raise ConfigError(
            f"the token file {file} does not hold 32 or more letters and digits",
            hint="remove it, and a new one is made",
        )
    return token


def _check(file: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"the token file {file} is not a regular file", hint="remove it")
    is_foreign = hasattr(os, "geteuid") and status.st_uid != os.geteuid()
    if is_foreign or (os.name == "posix" and status.st_mode & 0o077):
        raise ConfigError(
            f"other users may read or own the token file {file}",
            hint="remove it, and a new one is made",
        )
