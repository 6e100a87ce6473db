"""The list of repositories that a person keeps: a plain text file, one absolute path a line.

Lines that begin with `#` and empty ones mean nothing and stay. The list is the user's own: no
repository can add itself. It knows paths, not what lies there.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codebuddy import paths
from codebuddy.errors import UsageError
from codebuddy.private_files import read_file, write_file

FLEET_NAME = "fleet.txt"
MAX_REPOSITORIES = 10_000
_MAX_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A repository of the fleet: its root, and a name that no other of the list has."""

    name: str
    root: Path


def default_list() -> Path:
    """The user's own list."""
    return paths.user_config_file().with_name(FLEET_NAME)


def read_members(file: Path, *, may_miss: bool = False, needs_some: bool = False) -> list[Member]:
    """The repositories of a list, in its order, each once.

    Args:
        file: The list.
        may_miss: Whether a list that is not there is an empty one.
        needs_some: Whether an empty list is an error.

    Raises:
        UsageError: The list cannot be read, a line is no absolute path, or there are too many or
            none.
    """
    roots: dict[Path, None] = {}
    for number, line in enumerate(_lines(file, may_miss=may_miss), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        root = Path(text).expanduser()
        if not root.is_absolute() or "\0" in text:
            raise UsageError(
                f"{file}, line {number}: {text[:200]!r} is not an absolute path",
                hint="write the whole path of a repository's folder",
            )
        roots[Path(os.path.normpath(root))] = None
    if len(roots) > MAX_REPOSITORIES:
        raise UsageError(
            f"{file} names {len(roots)} repositories; {MAX_REPOSITORIES} are the most",
            hint="split it into several lists",
        )
    if needs_some and not roots:
        raise UsageError(
            f"the list {file} names no repository", hint="'codebuddy fleet add PATH...'"
        )
    return named(roots)


def named(roots: Iterable[Path]) -> list[Member]:
    """The roots with names: the folder's, with as many of the folders above as tell them apart.

    A name holds no slash, so that what stands before the first one of a result's path is it.
    """
    left = list(roots)
    names = {root: _tail(root, 1) for root in left}
    for depth in range(2, 64):
        counts = Counter(names.values())
        again = [root for root in left if counts[names[root]] > 1]
        if not again:
            break
        for root in again:
            names[root] = _tail(root, depth)
    members, taken = [], set()
    for root in left:
        name, number = names[root], 1
        while name in taken:
            number += 1
            name = f"{names[root]}~{number}"
        taken.add(name)
        members.append(Member(name, root))
    return members


def add(file: Path, roots: Sequence[Path]) -> list[Path]:
    """Put repositories at the end of the list, if they are not on it; those that were put there.

    Raises:
        UsageError: The list cannot be read or written.
    """
    known = {each.root for each in read_members(file, may_miss=True)}
    new = [root for root in dict.fromkeys(roots) if root not in known]
    for root in new:
        if "\n" in str(root) or str(root) != str(root).strip():
            raise UsageError(f"{str(root)!r} cannot stand on a line", hint="rename the folder")
    if new:
        lines = _lines(file, may_miss=True)
        _write(file, [*lines, *map(str, new)])
    return new


def remove(file: Path, wanted: Sequence[str]) -> list[Member]:
    """Take repositories off the list, by name or path; nothing of theirs is deleted.

    Raises:
        UsageError: One is not on it, or the list cannot be read or written.
    """
    members = read_members(file)
    gone: list[Member] = []
    for text in wanted:
        path = Path(os.path.normpath(Path(text).expanduser().absolute()))
        found = [each for each in members if each.name == text or each.root == path]
        if not found:
            raise UsageError(
                f"{text} is not on the list {file}", hint="'codebuddy fleet list' shows what is"
            )
        gone += found
    roots = {each.root for each in gone}
    kept = [line for line in _lines(file) if _root_of(line) not in roots]
    _write(file, kept)
    return list(dict.fromkeys(gone))


def _tail(root: Path, depth: int) -> str:
    parts = [part for part in root.parts if part != root.anchor][-depth:]
    return "~".join(parts) or "root"


def _root_of(line: str) -> Path | None:
    text = line.strip()
    if not text or text.startswith("#"):
        return None
    return Path(os.path.normpath(Path(text).expanduser()))


def _lines(file: Path, *, may_miss: bool = False) -> list[str]:
    try:
        content = read_file(file, _MAX_BYTES, follows_links=True)
    except FileNotFoundError as error:
        if may_miss:
            return []
        raise UsageError(
            f"there is no list of repositories at {file}",
            hint="'codebuddy fleet add PATH...' begins one",
        ) from error
    except OSError as error:
        raise UsageError(f"the list {file} cannot be read: {error.strerror}") from error
    # Paths need not be UTF-8.
    return os.fsdecode(content).splitlines()


def _write(file: Path, lines: Sequence[str]) -> None:
    paths.ensure_folder(file.parent)
    try:
        write_file(file, os.fsencode("".join(f"{line}\n" for line in lines)), is_durable=True)
    except OSError as error:
        raise UsageError(f"the list {file} cannot be written: {error.strerror}") from error
