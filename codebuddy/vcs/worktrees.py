"""The work trees that share a repository, by git's own files: nothing is run.

`git worktree add` gives each further one a folder below the repository's `worktrees`, whose
`commondir` leads back and whose `gitdir` names the work tree.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from codebuddy.private_files import read_file
from codebuddy.vcs.repository import Repository, index_folder_of

_MAX_WORK_TREES = 200
_MAX_PATH_BYTES = 8192


@dataclass(frozen=True, slots=True)
class WorkTree:
    """A work tree of a repository: where its files lie, and where its index belongs."""

    root: Path
    index_folder: Path


def other_work_trees(repository: Repository) -> list[WorkTree]:
    """The other work trees that share the repository, the main one first; they may be gone."""
    common = common_folder(repository.git_folder)
    git_folders = [common]
    with suppress(OSError), os.scandir(common / "worktrees") as entries:
        linked = sorted(each.path for each in entries if each.is_dir(follow_symlinks=False))
        git_folders += [Path(each) for each in linked[:_MAX_WORK_TREES]]
    return [
        WorkTree(_root_of(each, common), index_folder_of(each / "codebuddy"))
        for each in git_folders
        if each != repository.git_folder
    ]


def common_folder(git_folder: Path) -> Path:
    """The git folder that all work trees of a repository share."""
    named = _path_in(git_folder / "commondir")
    return git_folder if not named else Path(os.path.normpath(git_folder / named))


def shared_folder(repository: Repository) -> Path:
    """Where derived data belongs that all work trees of a repository share."""
    return index_folder_of(common_folder(repository.git_folder) / "codebuddy")


def adapters_folder(repository: Repository | None) -> Path | None:
    """Where a repository's adapters lie; none outside of any."""
    return None if repository is None else shared_folder(repository) / "adapters"


def _root_of(git_folder: Path, common: Path) -> Path:
    if git_folder == common:
        return common.parent if common.name == ".git" else common
    named = _path_in(git_folder / "gitdir")
    return Path(named).parent if named else git_folder


def _path_in(file: Path) -> str:
    """The path that a file of git's holds; empty where there is none."""
    try:
        content = read_file(file, _MAX_PATH_BYTES, follows_links=True)
    except OSError:
        return ""
    return "" if b"\0" in content else os.fsdecode(content.removesuffix(b"\n"))
