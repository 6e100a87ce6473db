"""Packages -> samples: each archive becomes a git repository for a moment, and is cut.

Archives are only read, as for the embedder; licences that are not permissive are left out.
What is kept are token ids and places, a file of arrays for each package.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

from codebuddy import platforms
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.inference.vocabulary import Vocabulary
from codebuddy.settings import Settings
from codebuddy.training.adapter.packing import SampleGroup
from codebuddy.training.adapter.sample_file import write_groups
from codebuddy.training.adapter.samples import cut_group
from codebuddy.training.packages import Package, identify, is_permissive
from codebuddy.training.sources import LANGUAGES, written_by_hand
from codebuddy.vcs.repository import Repository, git_executable, open_repository

# What is taken of a package: enough for its samples, in neighbouring files.
MAX_BYTES = 500_000
MAX_FILES = 200
# Files that are tried for a group that is wanted.
_TRIES = 4


def cut_archive(archive: Path, folder: Path, vocabulary: Vocabulary, count: int, seed: int) -> str:
    """Cut up to `count` groups of samples of one archive into `folder`; the outcome, in words."""
    package, files = identify(archive, LANGUAGES)
    target = folder / f"{package.key}.npz"
    if target.exists():
        return "kept"
    if not is_permissive(package.licence):
        return f"licence {package.licence!r}"
    chosen = _neighbours(written_by_hand(files), seed, package)
    if not chosen:
        return "no sources"
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / PurePosixPath(package.name).name
        for path, content in chosen:
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        groups = cut_folder(root, vocabulary, count, f"{seed}:{package.key}")
    if not groups:
        return "no samples"
    write_groups(target, package, groups)
    return f"{sum(len(each.branches) for each in groups)} samples"


def cut_folder(root: Path, vocabulary: Vocabulary, count: int, seed: str) -> list[SampleGroup]:
    """Up to `count` groups of the files in a folder of ours, which becomes a git repository."""
    repository, settings = _as_repository(root), Settings()
    settings = replace(settings, index=replace(settings.index, embedder="none", jobs=1))
    update_index(repository, settings)
    rng = random.Random(seed)
    paths = [path.decode("utf-8", "replace") for path in repository.list_files()]
    rng.shuffle(paths)
    groups: list[SampleGroup] = []
    with RepositoryIndex.open(repository, settings) as index:
        for path in itertools.islice(itertools.cycle(paths), _TRIES * count):
            group = cut_group(repository, index, vocabulary, path, rng)
            groups += [] if group is None else [group]
            if len(groups) == count:
                break
    return groups


def _neighbours(
    files: list[tuple[str, bytes]], seed: int, package: Package
) -> list[tuple[str, bytes]]:
    """Up to `MAX_BYTES` of files that lie beside each other, from a random place on."""
    files = sorted(files)
    if not files:
        return []
    start = random.Random(f"{seed}:{package.key}").randrange(len(files))
    if sum(len(content) for _, content in files) <= MAX_BYTES:
        start = 0
    chosen: list[tuple[str, bytes]] = []
    total = 0
    for path, content in files[start:] + files[:start]:
        if total + len(content) > MAX_BYTES or len(chosen) == MAX_FILES:
            break
        chosen.append((path.removeprefix("package/"), content))
        total += len(content)
    return chosen


def _as_repository(root: Path) -> Repository:
    # Neither signed, nor held up by hooks, nor made of templates that a user's git has.
    plain = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    options = ["user.name=x", "user.email=x@x", "commit.gpgSign=false"]
    options += [f"core.hooksPath={os.devnull}", "core.autocrlf=false"]
    git = [git_executable(), "-C", str(root), *(part for each in options for part in ("-c", each))]
    for command in (
        ["init", "--quiet", "--initial-branch=main", "--template="],
        ["add", "--all", "--force"],
        ["commit", "--quiet", "-m", "x"],
    ):
        subprocess.run(
            [*git, *command],
            check=True,
            capture_output=True,
            env=platforms.child_environment(**plain),
        )
    return open_repository(root)
