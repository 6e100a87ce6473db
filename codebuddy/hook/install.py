"""Installs and uninstalls the hooks, without harm to hooks of others.

An existing hook is moved aside, called by ours and restored by `uninstall`. Where hooks belong
to another tool (`core.hooksPath`, husky, a folder of the work tree) nothing is written: the error
says what to add where.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from codebuddy.errors import RepositoryError
from codebuddy.hook import own_lines, stub
from codebuddy.settings import HookSettings
from codebuddy.user_file import ReadOnlyFileError, write_user_file
from codebuddy.vcs import plumbing
from codebuddy.vcs.repository import Repository

_MAX_SCRIPT_BYTES = 1 << 20
_MIN_LIMIT_S = 2

Condition = Literal["none", "ours", "outdated", "foreign", "broken"]


@dataclass(frozen=True, slots=True)
class HookStatus:
    """What stands in the place of a hook.

    `condition`: nothing, our script, an older one of ours, somebody else's, or ours with its
    interpreter gone. `has_legacy` says whether ours calls one that was there before.
    """

    name: str
    file: Path
    condition: Condition
    has_legacy: bool
    python: Path | None = None


def status(repository: Repository) -> list[HookStatus]:
    """What stands in the place of each hook.

    Raises:
        RepositoryError: The hooks of this repository are kept elsewhere; the message says where.
    """
    folder = hooks_folder(repository)
    return [_status(folder, name) for name in stub.HOOKS]


def install(repository: Repository, name: str, settings: HookSettings) -> HookStatus:
    """Write the hook `name`, moving one that is there aside.

    Raises:
        RepositoryError: The folder belongs to another tool or cannot be written.
    """
    folder = hooks_folder(repository)
    before = _status(folder, name)
    legacy = _legacy(before.file)
    # A second above what the process itself keeps to: for an interpreter that hangs.
    limit_s = max(_MIN_LIMIT_S, settings.budget_s, math.ceil(settings.limit_ms / 1000) + 1)
    text = stub.script(name, Path(sys.executable), limit_s)
    if before.condition not in ("none", "foreign"):
        text = own_lines.merged(text, _read(before.file))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if before.condition == "foreign":
            if os.path.lexists(legacy):
                raise RepositoryError(
                    f"both {before.file} and {legacy} exist, so the hook cannot be moved aside",
                    hint="remove the one that is not needed",
                )
            before.file.rename(legacy)
        try:
            _write(before.file, text)
        except BaseException:
            if before.condition == "foreign":
                legacy.rename(before.file)
            raise
    except OSError as error:
        raise _unwritable(folder, error) from error
    return _status(folder, name)


def uninstall(repository: Repository, name: str) -> str | None:
    """Take our hook `name` away and put back what was there before.

    Lines that a user added stay in the script; where another hook comes back to that place,
    they are kept beside it.

    Returns:
        Where the user's own lines are, empty if there were none; `None` if there was no hook
        of ours.

    Raises:
        RepositoryError: The folder cannot be written.
    """
    try:
        folder = hooks_folder(repository)
    except RepositoryError:
        # Hooks may have been sent elsewhere since, and ours still lie in the usual place.
        folder = _common_folder(repository) / "hooks"
        if folder.is_symlink():
            return None
    found = _status(folder, name)
    if found.condition in ("none", "foreign"):
        return None
    left = own_lines.without_ours(stub.script(name, Path(sys.executable), 0), _read(found.file))
    kept = found.file if left else None
    try:
        if found.has_legacy:
            kept = _free_place(found.file) if left else None
            if kept is not None:
                write_user_file(kept, left.encode("utf-8", "surrogateescape"))
            _legacy(found.file).replace(found.file)
        elif left:
            write_user_file(found.file, left.encode("utf-8", "surrogateescape"))
        else:
            found.file.unlink()
    except OSError as error:
        raise _unwritable(found.file.parent, error) from error
    return "" if kept is None else str(kept)


def _free_place(file: Path) -> Path:
    """Where lines can be kept that stood in `file`: git runs nothing of such a name."""
    names = (f"{file.name}.own-lines", *(f"{file.name}.own-lines.{n}" for n in range(2, 100)))
    places = [file.with_name(name) for name in names]
    return next((each for each in places if not os.path.lexists(each)), places[-1])


def hooks_folder(repository: Repository) -> Path:
    """The folder that git runs this repository's hooks from: all its worktrees share it.

    Raises:
        RepositoryError: It is not the repository's own; the message says whose.
    """
    root = repository.root
    common = _common_folder(repository)
    configured = configured_hooks_path(repository)
    if not configured:
        folder = common / "hooks"
        if Path(os.path.realpath(folder)) != folder:
            raise _elsewhere(f"{folder} is a link to {os.path.realpath(folder)}")
        return folder
    folder = Path(os.path.realpath(root / Path(configured).expanduser()))
    if folder.is_relative_to(common):
        return folder
    if ".husky" in folder.parts:
        place = Path(*folder.parts[: folder.parts.index(".husky") + 1]) / "pre-commit"
        raise RepositoryError(
            f"husky keeps the hooks of {root} in {place.parent}",
            hint=f"add this line to {place}: {_MANUAL_LINE}",
        )
    raise _elsewhere(f"core.hooksPath sends git to {folder} for hooks")


def _common_folder(repository: Repository) -> Path:
    """The git folder that all worktrees of the repository share."""
    out = plumbing.run(repository.root, "rev-parse", "--git-common-dir")
    return Path(os.path.realpath(repository.root / _line(out)))


def configured_hooks_path(repository: Repository) -> str:
    """The user's or the repository's own `core.hooksPath`, or an empty text."""
    try:
        out = plumbing.run(
            repository.root, "config", "--null", "--show-origin", "--get-all", "core.hooksPath"
        )
    except RepositoryError:
        return ""
    fields = out.split(b"\0")[:-1]
    # Ours, given on the command line to disarm git, is the last one.
    values = [
        value
        for origin, value in zip(fields[::2], fields[1::2], strict=False)
        if not origin.startswith(b"command line")
    ]
    return os.fsdecode(values[-1]) if values else ""


_MANUAL_LINE = "codebuddy hook run --staged || true"


def _elsewhere(what: str) -> RepositoryError:
    return RepositoryError(
        f"{what}, which may serve other repositories too; nothing was written",
        hint=f"add this line to the pre-commit hook there: {_MANUAL_LINE}",
    )


def _unwritable(folder: Path, error: OSError) -> RepositoryError:
    what = "script" if isinstance(error, ReadOnlyFileError) else "folder"
    return RepositoryError(
        f"the hook cannot be written in {folder}: {error.strerror or error}",
        hint=f"make the {what} writable; nothing was changed",
    )


def _status(folder: Path, name: str) -> HookStatus:
    file = folder / name
    has_legacy = os.path.lexists(_legacy(file))
    if not os.path.lexists(file):
        return HookStatus(name, file, "none", has_legacy)
    text = _read(file)
    version = stub.version_of(text)
    if version is None:
        return HookStatus(name, file, "foreign", has_legacy)
    python = stub.python_of(text)
    if python is None or not os.access(python, os.X_OK):
        return HookStatus(name, file, "broken", has_legacy, python)
    is_current = version == stub.VERSION and python == Path(sys.executable)
    return HookStatus(name, file, "ours" if is_current else "outdated", has_legacy, python)


def _legacy(file: Path) -> Path:
    return file.with_name(file.name + stub.LEGACY_SUFFIX)


def _read(file: Path) -> str:
    """The script's text; empty for whatever is no small file, and so none of ours."""
    try:
        status_ = file.stat()
        if not stat.S_ISREG(status_.st_mode) or status_.st_size > _MAX_SCRIPT_BYTES:
            return ""
        return file.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _write(file: Path, text: str) -> None:
    """All of the script or none: git never runs half of it. One that is there can be run after."""
    mask = os.umask(0)
    os.umask(mask)
    write_user_file(file, text.encode("utf-8", "surrogateescape"), mode=0o777 & ~mask)
    mode = file.stat().st_mode
    if not mode & stat.S_IXUSR:
        file.chmod(stat.S_IMODE(mode) | (mode & 0o444) >> 2)


def _line(out: bytes) -> str:
    return os.fsdecode(out.removesuffix(b"\n"))
