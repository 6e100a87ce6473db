"""A list's repositories as shards of one search: where the index of each lies.

It asks git only where a repository's git folder is not in its usual place, since a hundred
questions take seconds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from codebuddy.errors import CodebuddyError
from codebuddy.fleet.listing import Member
from codebuddy.index.schema import DATABASE_NAME
from codebuddy.index.shards import Shard
from codebuddy.vcs.repository import index_folder_of, open_repository

_OWN_PLACE = "codebuddy"
_REMEDY = "'codebuddy fleet index'"


def shards_of(members: Sequence[Member]) -> list[Shard]:
    """A shard for each member; one whose repository is gone says so as its problem."""
    return [_shard(each) for each in members]


def look_again(shards: Sequence[Shard]) -> None:
    """Find the folders of those that had none: a repository may have come meanwhile."""
    for shard in shards:
        if shard.folder is None and (shard.root.exists() or not shard.problem):
            shard.folder, shard.problem = _place(shard.root)


def _shard(member: Member) -> Shard:
    if member.origin is not None and not member.root.is_dir():
        return Shard(member.name, member.root, None, f"not fetched yet ({_REMEDY})")
    return Shard(member.name, member.root, *_place(member.root))


def _place(root: Path) -> tuple[Path | None, str]:
    """The folder of a repository's index, or why there is none."""
    git_folder = root / ".git"
    try:
        if git_folder.is_dir() and not git_folder.is_symlink():
            own = git_folder / _OWN_PLACE
            folder = index_folder_of(own)
            if folder != own and _holds_index(own) and not _holds_index(folder):
                return None, f"others can write its index ({_REMEDY} makes one that they cannot)"
            return folder, ""
        return open_repository(root).index_folder, ""
    except CodebuddyError as error:
        return None, error.message
    except OSError as error:
        return None, f"it cannot be read: {error.strerror}"


def _holds_index(folder: Path) -> bool:
    return os.path.lexists(folder / DATABASE_NAME)


def state_of(member: Member) -> str:
    """In words: `indexed`, or why the repository cannot be searched; its index is not opened."""
    shard = _shard(member)
    if shard.folder is None:
        return shard.problem
    if not member.root.is_dir():
        return "its folder is gone"
    return "indexed" if _holds_index(shard.folder) else "not indexed"
