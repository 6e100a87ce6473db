"""A list's repositories as shards of one search: where the index of each lies.

It asks git only where a repository's git folder is not in its usual place, since a hundred
questions take seconds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from codebuddy.errors import CodebuddyError
from codebuddy.fleet.listing import Member
from codebuddy.index.schema import DATABASE_NAME
from codebuddy.index.shards import Shard
from codebuddy.vcs.repository import index_folder_of, open_repository

_OWN_PLACE = "codebuddy"


def shards_of(members: Sequence[Member]) -> list[Shard]:
    """A shard for each member; one whose repository is gone says so as its problem."""
    return [_shard(each) for each in members]


def _shard(member: Member) -> Shard:
    git_folder = member.root / ".git"
    try:
        if git_folder.is_dir() and not git_folder.is_symlink():
            folder = index_folder_of(git_folder / _OWN_PLACE)
        else:
            folder = open_repository(member.root).index_folder
    except CodebuddyError as error:
        return Shard(member.name, member.root, None, error.message)
    except OSError as error:
        return Shard(member.name, member.root, None, f"it cannot be read: {error.strerror}")
    return Shard(member.name, member.root, folder)


def state_of(member: Member) -> str:
    """In words: `indexed`, or why the repository cannot be searched; its index is not opened."""
    shard = _shard(member)
    if shard.folder is None:
        return shard.problem
    if not member.root.is_dir():
        return "its folder is gone"
    return "indexed" if os.path.lexists(shard.folder / DATABASE_NAME) else "not indexed"
