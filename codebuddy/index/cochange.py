"""Which files change together, by git's history: a prior, kept with the index by head commit.

Two files are as close as the commits that touch both are telling: a commit of many files
says little, and files that change all the time are close to none by that alone. Nothing of
a file's content is read.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from math import log2, sqrt

from codebuddy.errors import RepositoryError
from codebuddy.index.packing import is_list_of, pack_json, unpack_json
from codebuddy.index.row_checks import is_path
from codebuddy.index.schema import DamagedIndexError
from codebuddy.index.writer import IndexWriter
from codebuddy.vcs.repository import Repository

META_KEY = "history"

MAX_COMMITS = 5_000
# Renames of folders, new licence headers, releases: such commits join what is not related.
_MAX_FILES_PER_COMMIT = 30
_MAX_PATHS = MAX_COMMITS * _MAX_FILES_PER_COMMIT
_MAX_PACKED_BYTES = 16 << 20
# Weighs down pairs that have met once or twice.
_SMOOTHING = 1.0
_MIN_SCORE = 0.02
_MAX_FILES = 50


def read_history(repository: Repository) -> list[list[str]]:
    """The files of each of the last commits that touched several, the latest commit first.

    Empty where there is no history, or git cannot read it (shallow, damaged, too slow).
    """
    try:
        commits = repository.recent_changes(MAX_COMMITS)
    except RepositoryError:
        return []
    return [
        [os.fsdecode(path) for path in paths]
        for _, paths in commits
        if 2 <= len(paths) <= _MAX_FILES_PER_COMMIT
    ]


def pack_history(head: str, commits: Sequence[Sequence[str]]) -> bytes:
    """The history of `head`, small."""
    numbers: dict[str, int] = {}
    rows = [[numbers.setdefault(path, len(numbers)) for path in paths] for paths in commits]
    # Paths may hold bytes that are no UTF-8; JSON's escapes carry them through.
    packed = pack_json([head, list(numbers), rows], _MAX_PACKED_BYTES)
    return packed if packed is not None else pack_history(head, commits[: len(commits) // 2])


def _unpacked(data: bytes) -> tuple[str, list[str], list[list[int]]]:
    """Head, paths, and commits as places in the paths.

    Raises:
        DamagedIndexError: `data` is not of `pack_history`.
    """
    content = unpack_json(data, _MAX_PACKED_BYTES)
    if not isinstance(content, list) or len(content) != len(("head", "names", "commits")):
        raise _damaged()
    head, names, commits = content
    if not isinstance(head, str) or not is_list_of(names, str, _MAX_PATHS):
        raise _damaged()
    if not all(map(_is_path, names)) or not is_list_of(commits, list, MAX_COMMITS):
        raise _damaged()
    for commit in commits:
        if not is_list_of(commit, int, _MAX_FILES_PER_COMMIT):
            raise _damaged()
        if not all(0 <= place < len(names) for place in commit):
            raise _damaged()
    return head, names, commits


def _is_path(name: str) -> bool:
    try:
        return is_path(os.fsencode(name))
    except UnicodeEncodeError:
        return False


def _damaged() -> DamagedIndexError:
    return DamagedIndexError("the index is damaged: its history is none")


def refresh_history(writer: IndexWriter, repository: Repository) -> None:
    """Keep the history of the commit that is checked out, unless it is kept already."""
    head = repository.head_commit()
    if head != _head_of(writer.meta(META_KEY)):
        packed = pack_history(head, read_history(repository))
        with writer.transaction():
            writer.put_meta(META_KEY, packed)


def _head_of(data: bytes | None) -> str | None:
    """The commit whose history `data` is."""
    return None if data is None else _unpacked(data)[0]


class CoChange:
    """Answers from one packed history."""

    def __init__(self, data: bytes | None) -> None:
        self._paths: list[str] = []
        self._commits: list[list[int]] = []
        if data is not None:
            _, self._paths, self._commits = _unpacked(data)
        self._numbers = {path: number for number, path in enumerate(self._paths)}
        self._commits_of: dict[int, list[int]] = defaultdict(list)
        self._weights: dict[int, float] = defaultdict(float)
        for place, commit in enumerate(self._commits):
            for number in commit:
                self._commits_of[number].append(place)
                self._weights[number] += _weight(commit)

    def changed_with(self, path: str) -> dict[str, float]:
        """The files that changed with `path`, the closest first, each scored in (0, 1).

        The score is the cosine of the files' commits, each commit of n files weighing
        1 / log2(n), with one such weight added to either side so that few commits prove little.
        """
        number = self._numbers.get(path)
        if number is None:
            return {}
        together: dict[int, float] = defaultdict(float)
        for place in self._commits_of[number]:
            commit = self._commits[place]
            for other in commit:
                together[other] += _weight(commit)
        together.pop(number, None)
        own = self._weights[number] + _SMOOTHING
        scored = [
            (weight / sqrt(own * (self._weights[other] + _SMOOTHING)), self._paths[other])
            for other, weight in together.items()
        ]
        best = sorted(((s, p) for s, p in scored if s >= _MIN_SCORE), key=lambda e: (-e[0], e[1]))
        return {other: score for score, other in best[:_MAX_FILES]}


def _weight(commit: Sequence[int]) -> float:
    return 1 / log2(max(2, len(commit)))
