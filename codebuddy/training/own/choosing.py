"""Which of a repository's files an adapter learns from, and which it is judged by.

Code that people wrote, that git tracks, that lives, and whose history does not consist of bug
fixes; nothing with a key in it, nothing that says `codebuddy: no-train`. Settings of `[train]`
decide (docs/adapters.md). It reads the index, and git's history.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codebuddy.errors import RepositoryError
from codebuddy.evaluation.holes import Hole
from codebuddy.hook.credentials import find_credentials
from codebuddy.index.analysis import analyze
from codebuddy.index.deprecation import WORD, deprecation_mark
from codebuddy.index.file_role import role_of
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import TrainSettings
from codebuddy.syntax import language_for, traits_of
from codebuddy.training.own.screening import LICENCE_FILES, foreign_licences, personal_data
from codebuddy.vcs import plumbing
from codebuddy.vcs.repository import Repository, authors_by_commit, subjects_by_commit

NO_TRAIN = "codebuddy: no-train"
_HEAD_LINES = 20
_HISTORY_COMMITS = 5000
# Files that are looked into, however large the repository; those that changed last come first.
_MAX_FILES = 3000
_MIN_BYTES, _MAX_BYTES = 300, 300_000
# Of fewer commits nothing can be said.
_MIN_COMMITS = 4
_FIX = re.compile(
    r"(?i)(?<![\w-])(?:fix(?:e[sd])?|hot-?fix|bug(?:s|fix(?:es)?)?|regressions?|revert(?:s|ed)?)\b"
)
_NO_FIX = re.compile(r"(?i)\b(?:typos?|lint\w*|format\w*|style|docs?|comments?|spelling|ci)\b")
# Of all files this share is for judging, but so many at least.
_HELD_OUT_SHARE, _LEAST_HELD_OUT = 0.2, 2
_LEAST_LEARNED = 3
# A file that has more than this share of its lines in common with another is a copy of it.
_COPY_SHARE = 0.6
_MIN_LINE = 12
_MAX_SHARED_BY = 20


@dataclass(frozen=True, slots=True)
class Deprecated:
    """Names that are marked as deprecated, and byte ranges of what is marked, by file."""

    names: frozenset[str] = frozenset()
    extents: Mapping[str, tuple[tuple[int, int], ...]] | None = None

    def is_in(self, hole: Hole) -> bool:
        """Whether a hole lies in what is deprecated, or calls it."""
        return self.holds(hole) or self.count(hole.text) > 0

    def holds(self, hole: Hole) -> bool:
        """Whether a hole lies in what its own file marks as deprecated."""
        ranges = (self.extents or {}).get(hole.path, ())
        return any(start < hole.end_byte and hole.start_byte < end for start, end in ranges)

    def count(self, text: str) -> int:
        """How many of the names a text holds."""
        return len(self.names & set(re.findall(r"\w+", text))) if self.names else 0


@dataclass(frozen=True, slots=True)
class Choice:
    """Files to learn from and files to judge by; `left_out` counts the others by reason.

    `recent` are those to learn from more; `renewed` those that changed after the commit of an
    earlier training.
    """

    learned: tuple[str, ...]
    held_out: tuple[str, ...]
    recent: frozenset[str]
    left_out: Mapping[str, int]
    deprecated: Deprecated
    renewed: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """The training that is gone on from: its commit, and the files that it did not learn from."""

    commit: str
    held_out: frozenset[str]


def earlier_training(card: Mapping[str, Any]) -> Earlier | None:
    """What the card of a repository's adapter says of its training, if it says anything."""
    made_by = card.get("made_by")
    if not isinstance(made_by, dict) or not made_by.get("commit"):
        return None
    parts = [made_by.get(part) for part in ("watched", "judged")]
    named = [path for part in parts if isinstance(part, list) for path in part]
    held_out = frozenset(path for path in named if isinstance(path, str))
    return Earlier(str(made_by["commit"]), held_out)


def choose_files(
    repository: Repository,
    index: RepositoryIndex,
    settings: TrainSettings,
    earlier: Earlier | None = None,
    *,
    each_alone: bool = False,
) -> Choice:
    """Choose among the repository's code files.

    Args:
        repository: Whose files.
        index: Its index, up to date.
        settings: What is left out.
        earlier: The training that is gone on from, if there was one.
        each_alone: Whether a file's path alone says that it judges. Files of one half may be copies
            of others then; those that would judge are left out.
    """
    history = repository.recent_changes(_HISTORY_COMMITS)
    ages = _last_changes(history)
    tracked = {os.fsdecode(path) for path in repository.list_tracked_files()}
    listed = [os.fsdecode(path) for path in repository.list_files()]
    code = [p for p in listed if traits_of(language_for(p, b"")).category == "code"]
    code.sort(key=lambda path: (ages.get(path, len(history)), path))
    fixed = _often_fixed(history, subjects_by_commit(repository, _HISTORY_COMMITS), settings)
    left_out: Counter[str] = Counter()
    texts: dict[str, str] = {}
    for path in code[:_MAX_FILES]:
        text = _text_of(path, index)
        reason = _reason_by_path(path, settings, tracked, fixed) or _reason_by_text(path, text)
        if reason or (role_of(path) == "test" and not settings.tests):
            left_out[reason or "test"] += 1
        else:
            texts[path] = text
    licence = "".join(_text_of(name, index) for name in LICENCE_FILES if name in tracked)
    for path in foreign_licences(texts, licence):
        del texts[path]
        left_out["licence"] += 1
    if len(code) > _MAX_FILES:
        left_out[f"beyond the first {_MAX_FILES}"] = len(code) - _MAX_FILES
    if each_alone:
        learned, held_out = _split_by_path(texts)
        if copied := len(texts) - len(learned) - len(held_out):
            left_out["copy"] = copied
    else:
        learned, held_out = _split(texts, earlier)
    return Choice(
        learned=learned,
        held_out=held_out,
        recent=frozenset(p for p in texts if ages.get(p, len(history)) < settings.recent_commits),
        left_out=dict(sorted(left_out.items())),
        deprecated=Deprecated() if settings.deprecated else find_deprecated(texts, index),
        renewed=_renewed(repository, earlier, texts) if earlier else None,
    )


def _text_of(path: str, index: RepositoryIndex) -> str:
    return "".join(chunk.text for chunk in index.chunks_of(path))


def authors_of(repository: Repository) -> dict[str, str]:
    """By path, the address of who made most of its commits; of equals, who made the latest."""
    authors = authors_by_commit(repository, _HISTORY_COMMITS)
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for commit, paths in repository.recent_changes(_HISTORY_COMMITS):
        for path in paths:
            counts[os.fsdecode(path)][authors.get(commit, "")] += 1
    return {path: count.most_common(1)[0][0] for path, count in counts.items()}


def find_deprecated(texts: Mapping[str, str], index: RepositoryIndex) -> Deprecated:
    """What files mark as deprecated; of names those alone that mean one thing in the index."""
    extents: dict[str, tuple[tuple[int, int], ...]] = {}
    names: set[str] = set()
    for path, text in texts.items():
        if WORD not in text.lower() and "[Obsolete" not in text:
            continue
        found = analyze(path, text.encode("utf-8", "replace"))
        lines = text.replace("\r\n", "\n").split("\n")
        marked = [d for d in found.definitions if deprecation_mark(lines, d, found.language)]
        if marked:
            extents[path] = tuple(each.extent for each in marked)
            names.update(each.name for each in marked if not each.name.startswith("_"))
    known = index.definitions(sorted(names), 2) if names else {}
    alone = frozenset(name for name in names if len(known.get(name, ())) == 1)
    return Deprecated(alone, extents)


def _reason_by_path(
    path: str, settings: TrainSettings, tracked: set[str], fixed: frozenset[str]
) -> str:
    if path not in tracked and not settings.untracked:
        return "untracked"
    if any(fnmatch.fnmatchcase(path, pattern) for pattern in settings.exclude):
        return "excluded"
    return "often fixed" if path in fixed else ""


def _reason_by_text(path: str, text: str) -> str:
    """Why nothing is learned from a file, by its content; empty if something is."""
    source = text.encode("utf-8", "replace")
    if not text:
        return "not indexed"
    if not _MIN_BYTES <= len(source) <= _MAX_BYTES:
        return "short" if len(source) < _MIN_BYTES else "long"
    role = role_of(path, source)
    if role in ("generated", "vendored"):
        return role
    lines = text.split("\n")
    if any(NO_TRAIN in line for line in lines[:_HEAD_LINES]):
        return "no-train"
    if any(next(find_credentials(line), None) for line in lines):
        return "secret"
    return "personal data" if personal_data(text) else ""


def may_be_learned(paths: Collection[str], index: RepositoryIndex) -> bool:
    """Whether all these files are still there, and say nothing for which a file is left out."""
    return not any(_reason_by_text(path, _text_of(path, index)) for path in sorted(paths))


def _last_changes(history: Sequence[tuple[str, list[bytes]]]) -> dict[str, int]:
    """By path, how many commits ago it changed last."""
    found: dict[str, int] = {}
    for age, (_, paths) in enumerate(history):
        for path in paths:
            found.setdefault(os.fsdecode(path), age)
    return found


def _often_fixed(
    history: Sequence[tuple[str, list[bytes]]], subjects: Mapping[str, str], settings: TrainSettings
) -> frozenset[str]:
    """Files of whose commits more than the settings allow are fixes or reverts."""
    if settings.max_fixes >= 100:
        return frozenset()
    changes: Counter[str] = Counter()
    fixes: Counter[str] = Counter()
    for commit, paths in history:
        is_fix = is_fix_subject(subjects.get(commit, ""))
        for path in paths:
            changes[os.fsdecode(path)] += 1
            fixes[os.fsdecode(path)] += is_fix
    return frozenset(
        path
        for path, count in changes.items()
        if count >= _MIN_COMMITS and fixes[path] * 100 > settings.max_fixes * count
    )


def is_fix_subject(subject: str) -> bool:
    """Whether a commit mends a mistake of the code, by the first line of its message."""
    return bool(_FIX.search(subject)) and not _NO_FIX.search(subject)


def _renewed(
    repository: Repository, earlier: Earlier, texts: Mapping[str, str]
) -> frozenset[str] | None:
    """The files that changed after a commit; `None` where the repository does not hold it."""
    try:
        # What a card names may be anything.
        old = plumbing.commit_named(repository, earlier.commit)
        new = plumbing.Revision(commit=repository.head_commit())
        changes = plumbing.changes_between(repository, old, new)
    except RepositoryError:
        return None
    return frozenset({os.fsdecode(each.path) for each in changes} & set(texts))


def _split(
    texts: Mapping[str, str], earlier: Earlier | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Files to learn from, and files to judge by, of which none is a copy of another's.

    By the digest of its path, so that a file stays where it is from training to training; where
    there are too few such files, those that come next. An adapter that goes on is judged by
    nothing that it may have learned from.
    """
    places = {path: _place(path) for path in texts}
    ordered = sorted(texts, key=lambda path: places[path])
    copied = set(copies(texts))
    fit = [path for path in ordered if path not in copied]
    if earlier is not None:
        fit = [path for path in fit if path in earlier.held_out]
    wanted = sum(places[path] < _HELD_OUT_SHARE for path in fit)
    wanted = max(wanted, min(_LEAST_HELD_OUT, len(ordered) - _LEAST_LEARNED))
    held_out = fit[: max(0, wanted)]
    learned = sorted(set(texts) - set(held_out))
    return tuple(learned), tuple(held_out)


def _split_by_path(texts: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """As `_split`, but whether a file is learned from depends on no other file."""
    learned = [path for path in sorted(texts) if _place(path) >= _HELD_OUT_SHARE]
    copied = set(copies(texts))
    others = sorted(set(texts) - set(learned) - copied, key=_place)
    return tuple(learned), tuple(others)


def _place(path: str) -> float:
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:4], "big") / (1 << 32)


def copies(texts: Mapping[str, str]) -> Iterator[str]:
    """Files most of whose lines stand in one other file, too."""
    lines = {
        path: {each for line in text.split("\n") if len(each := line.strip()) >= _MIN_LINE}
        for path, text in texts.items()
    }
    holders: defaultdict[str, list[str]] = defaultdict(list)
    for path, own in lines.items():
        for line in own:
            holders[line].append(path)
    for path, own in lines.items():
        shared: Counter[str] = Counter()
        for line in own:
            # What stands in many files (licences, imports) makes none of them a copy.
            if len(holders[line]) <= _MAX_SHARED_BY:
                shared.update(other for other in holders[line] if other != path)
        if shared and max(shared.values()) > _COPY_SHARE * len(own):
            yield path
