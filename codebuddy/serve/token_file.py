"""The secret that programs show to the HTTP interface, in a file of the user's alone."""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path

from codebuddy import paths
from codebuddy.errors import CodebuddyError, ConfigError

# 256 bits.
_TOKEN_BYTES = 32
_MAX_FILE_BYTES = 4096
_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]{32,512}")
_OPEN_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def read_or_make_token(file: Path) -> str:
    """The token in `file`, which is made (0600, in a 0700 folder) if it does not exist.

    Raises:
        ConfigError: It is a link, somebody else's, readable for others, or holds no token.
        CodebuddyError: It cannot be made or read.
    """
    paths.ensure_folder(file.parent)
    try:
        return _make(file)
    except FileExistsError:
        return _read(file)
    except OSError as error:
        raise CodebuddyError(
            f"cannot make the token file {file}: {error.strerror}",
            hint="give another place with --token-file",
        ) from error


def _make(file: Path) -> str:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN_SAFELY, 0o600)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(token + "\n")
    return token


def _read(file: Path) -> str:
    try:
        # Without O_NONBLOCK a FIFO in its place would be waited for.
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _OPEN_SAFELY)
    except OSError as error:
        raise ConfigError(
            f"the token file {file} cannot be opened: {error.strerror}",
            hint="it must be a regular file of yours; remove it, and a new one is made",
        ) from error
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
