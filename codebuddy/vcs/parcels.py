"""A repository's committed code as bytes that travel: a git bundle, unpacked elsewhere.

Of a shallow clone the edge of its history goes along, or what lies behind it would be missing.
Files that are not committed, settings and hooks do not travel.
"""

from __future__ import annotations

import time
from pathlib import Path

from codebuddy.errors import RepositoryError
from codebuddy.private_files import read_file, write_file
from codebuddy.vcs.bounded import NO_TRANSPORT, StoppedError, run_bounded
from codebuddy.vcs.clones import COPY, Limits, prepare, write_out
from codebuddy.vcs.repository import open_repository
from codebuddy.vcs.worktrees import common_folder

MAX_BYTES = 256 << 20
_MAX_SHALLOW_BYTES = 4 << 20
_SHALLOW, _BUNDLE = "shallow", "parcel.bundle"


def pack(root: Path, max_bytes: int = MAX_BYTES) -> tuple[bytes, bytes]:
    """The bundle of the commit that is checked out, and the edge of a shallow history.

    Raises:
        RepositoryError: There is no commit, or it is larger than `max_bytes`.
        UsageError: It is no repository.
    """
    repository = open_repository(root)
    if not repository.head_commit():
        raise RepositoryError(f"{root} has no commit that could be sent", hint="commit something")
    deadline = time.monotonic() + Limits().seconds
    edge = b""
    if repository.is_shallow:
        file = common_folder(repository.git_folder) / _SHALLOW
        try:
            edge = read_file(file, _MAX_SHALLOW_BYTES)
        except OSError as error:
            raise RepositoryError(f"{file} cannot be read: {error.strerror}") from error
    command = ["bundle", "create", "--quiet", "-", "HEAD"]
    try:
        bundle = run_bounded(root, command, NO_TRANSPORT, deadline, most=max_bytes + 1)
    except StoppedError as error:
        raise RepositoryError(f"{root} cannot be packed: {error}") from error
    if len(bundle) > max_bytes:
        raise RepositoryError(
            f"{root} is larger than the {max_bytes:,} bytes that are sent to a worker",
            hint="give its path to the worker's machine, as by a shared file system",
        )
    return bundle, edge


def unpack(parcel: tuple[bytes, bytes], folder: Path) -> None:
    """Write the code of `pack` into an empty private folder; nothing of it runs.

    Raises:
        RepositoryError: It is no bundle, or it has too many files or too large ones.
        OSError: It cannot be written.
    """
    limits = Limits()
    deadline = time.monotonic() + limits.seconds
    bundle, edge = parcel
    prepare(folder, deadline)
    git_folder = folder / ".git"
    if edge:
        write_file(git_folder / _SHALLOW, bytes(edge))
    file = git_folder / _BUNDLE
    write_file(file, bytes(bundle))
    try:
        fetch = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--", str(file)]
        run_bounded(folder, [*fetch, f"+HEAD:{COPY}"], "file", deadline)
        write_out(folder, folder.name, limits, deadline)
    except StoppedError as error:
        raise RepositoryError(f"{folder.name} cannot be unpacked: {error}") from error
    finally:
        file.unlink(missing_ok=True)
