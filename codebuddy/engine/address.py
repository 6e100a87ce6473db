"""The engine's address: folder, socket, owner of both. Standard library only.

The folder belongs to this user alone (0700), the socket lies in it (0600); both are looked
at before they are used, links are refused, and the user at the other end is asked of the
system. It knows nothing of HTTP.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from codebuddy import paths, platforms
from codebuddy.errors import CodebuddyError, EngineError

SOCKET_NAME = "engine.sock"
# Held for as long as an engine lives.
LIFETIME_LOCK_NAME = "engine.lock"
# Held by a client while it starts one.
START_LOCK_NAME = "start.lock"

_OPEN_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
BACKLOG = 128


def prepare_folder() -> Path:
    """Make the engine's folder if it is missing, and make sure that it is ours alone.

    Raises:
        EngineError: It cannot be made, is a link, or belongs to another user.
    """
    folder = paths.runtime_folder()
    try:
        paths.ensure_folder(folder)
    except CodebuddyError as error:
        raise EngineError(error.message, hint=error.hint) from error
    with opened_folder(folder) as descriptor:
        os.fchmod(descriptor, 0o700)
    return folder


@contextlib.contextmanager
def opened_folder(folder: Path) -> Iterator[int]:
    """A descriptor of the engine's folder.

    Raises:
        EngineError: It is missing, a link, or another user's.
    """
    try:
        descriptor = os.open(folder, _OPEN_FOLDER)
    except OSError as error:
        raise EngineError(
            f"the engine's folder {folder} cannot be used: {error.strerror}"
        ) from error
    try:
        owner = os.fstat(descriptor).st_uid
        if owner != os.geteuid():
            raise EngineError(
                f"the engine's folder {folder} belongs to user {owner}",
                hint="remove it, or set XDG_RUNTIME_DIR to a folder of your own",
            )
        yield descriptor
    finally:
        os.close(descriptor)


def connect(timeout_s: float) -> socket.socket | None:
    """A connection to this user's engine, or `None` where none listens.

    Raises:
        EngineError: What lies there is not a socket of ours, or nothing accepts in time.
    """
    folder = paths.runtime_folder()
    if not os.path.lexists(folder / SOCKET_NAME):
        return None
    with opened_folder(folder) as descriptor:
        if not is_own_socket(descriptor):
            return None
        connection = _socket()
        connection.settimeout(timeout_s)
        try:
            connection.connect(platforms.socket_path(folder, descriptor, SOCKET_NAME))
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        except OSError as error:
            connection.close()
            raise EngineError(f"the engine does not accept a connection: {error}") from error
    peer = platforms.peer_of(connection)
    if peer is not None and peer[1] != os.geteuid():
        connection.close()
        raise EngineError(f"the engine's socket is served by user {peer[1]}")
    return connection


def is_own_socket(folder_descriptor: int) -> bool:
    """Whether a socket of ours lies in the folder; False if nothing does.

    Raises:
        EngineError: Something else lies there: a link, a file, or another user's socket.
    """
    try:
        status = os.lstat(SOCKET_NAME, dir_fd=folder_descriptor)
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid():
        raise EngineError(
            f"{paths.runtime_folder() / SOCKET_NAME} is not a socket of this user",
            hint="look at what it is, then remove it",
        )
    return True


def listen(folder: Path) -> socket.socket:
    """The engine's listening socket. The caller holds the lifetime lock, so an old one is stale.

    Raises:
        EngineError: Something other than a socket of ours lies in its place.
    """
    with opened_folder(folder) as descriptor:
        if is_own_socket(descriptor):
            os.unlink(SOCKET_NAME, dir_fd=descriptor)
        listener = _socket()
        before = os.umask(0o177)
        try:
            listener.bind(platforms.socket_path(folder, descriptor, SOCKET_NAME))
        except OSError as error:
            listener.close()
            raise EngineError(f"cannot make a socket in {folder}: {error.strerror}") from error
        finally:
            os.umask(before)
        listener.listen(BACKLOG)
        return listener


def identity_of(folder: Path) -> tuple[int, int] | None:
    """Device and inode of the socket's file, to notice that it was taken away."""
    try:
        status = (folder / SOCKET_NAME).lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def withdraw(folder: Path, identity: tuple[int, int] | None) -> None:
    """Take the socket's file away if it is still the one of `identity`."""
    if identity is not None and identity_of(folder) == identity:
        with contextlib.suppress(OSError):
            (folder / SOCKET_NAME).unlink()


def _socket() -> socket.socket:
    try:
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise EngineError(f"no socket can be opened: {error.strerror}") from error
    except AttributeError as error:
        raise EngineError("this system has no Unix sockets") from error
