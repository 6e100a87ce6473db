"""Paths that an agent names, as the index writes them."""

from __future__ import annotations

import contextlib
import os
import posixpath
from pathlib import Path

from codebuddy.errors import UsageError


def path_in(root: Path, given: str) -> str:
    """A path of the repository as the index writes it; empty for the root.

    Links inside the repository are not followed: a path that leads through one is not in the index.
    An absolute path may lead to the repository through one.

    Raises:
        UsageError: It lies outside of the repository.
    """
    outside = UsageError(
        f"{given:.200} is outside the repository", hint="give a path relative to its root"
    )
    text = given.strip()
    try:
        if b"\0" in os.fsencode(text):
            raise outside
    except UnicodeEncodeError:
        raise outside from None
    if text.startswith("/"):
        relative = _beneath(root, Path(text))
        if relative is None:
            raise outside
        text = relative
    normal = posixpath.normpath(text) if text else "."
    if normal == ".." or normal.startswith("../"):
        raise outside
    return "" if normal == "." else normal


def _beneath(root: Path, path: Path) -> str | None:
    """The path from the root; None where it does not lead there.

    The part of it that is the root is told by being the same folder, so that the rest stays as it
    is written.
    """
    if path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    for folder in (path, *path.parents):
        with contextlib.suppress(OSError, ValueError):
            if folder.samefile(root):
                return path.relative_to(folder).as_posix()
    return None
