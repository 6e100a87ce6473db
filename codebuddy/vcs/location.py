"""Finds the repository of a file: the one around its real folder.

Links are followed first, so that a file belongs to one repository whatever path leads to it:
a submodule's to the submodule, a nested repository's to that one, a linked worktree's to the
worktree. It opens no file.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from codebuddy.errors import NotInRepositoryError, UsageError
from codebuddy.vcs.repository import Repository, open_repository


def real_folder(file: str, shown: str = "") -> Path:
    """The folder where `file` really lies; the nearest one that exists, since it may be new.

    Args:
        file: Absolute, or relative to the current folder; it need not exist.
        shown: What errors call it; `file` by default.

    Raises:
        UsageError: The path cannot be one, or belongs to git itself.
    """
    shown = shown or file
    try:
        real = Path(os.path.realpath(file))
    except (OSError, ValueError) as error:
        raise UsageError(f"{shown} cannot be resolved: {error}") from error
    if _belongs_to_git(real):
        raise UsageError(f"{shown} belongs to git itself", hint="give a file of the work tree")
    return existing_folder(real.parent)


def _belongs_to_git(real: Path) -> bool:
    """Whether a path lies in git's own folder, and not in a worktree that was put there."""
    for each in (real, *real.parents):
        if each.name == ".git":
            return True
        if each != real and os.path.lexists(each / ".git"):
            return False
    return False


def existing_folder(folder: Path) -> Path:
    """`folder`, or the nearest of its parents that exists.

    Raises:
        UsageError: None of them is a folder.
    """
    for each in (folder, *folder.parents):
        with contextlib.suppress(OSError, ValueError):
            if each.is_dir():
                return each
    raise UsageError(f"{folder} is not a folder")


def folder_to_search(folder: Path, near: str) -> Path:
    """The folder whose repository a query means: that of the file `near`, if it lies in one.

    Args:
        folder: Where the caller stands; absolute.
        near: Absolute, or relative to `folder`; it need not exist. Empty means none.

    Raises:
        UsageError: `near` cannot be a path, or belongs to git itself.
        RepositoryError: git refuses or is missing.
    """
    if not near:
        return folder
    own = real_folder(os.path.join(folder, near), near)  # noqa: PTH118 (keeps `..` behind links)
    return folder if repository_around(own) is None else own


def repository_around(folder: Path) -> Repository | None:
    """The repository whose work tree holds `folder`, or `None` outside of any.

    Raises:
        UsageError: It lies in a bare repository.
        RepositoryError: git refuses or is missing.
    """
    try:
        return open_repository(folder)
    except NotInRepositoryError:
        return None
