"""What names a repository in a list: a folder, or an address that git may be given."""

from __future__ import annotations

import os
from pathlib import Path

from codebuddy.errors import UsageError
from codebuddy.vcs.clones import Origin, looks_like_url, origin_of

Place = Path | Origin


def place_named(text: str, where: str) -> Place:
    """The folder or the address that a list names.

    Raises:
        UsageError: It is neither; `where` says which line it is.
    """
    if looks_like_url(text):
        try:
            return origin_of(text)
        except UsageError as error:
            raise UsageError(f"{where}: {error.message}", hint=error.hint) from error
    root = Path(text).expanduser()
    if not root.is_absolute() or "\0" in text:
        raise UsageError(
            f"{where}: {text[:200]!r} is not an absolute path",
            hint="write the whole path of a repository's folder, or its address",
        )
    return Path(os.path.normpath(root))
