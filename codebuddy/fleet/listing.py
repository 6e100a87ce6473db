"""The list of repositories that a person keeps: a plain text file, one path or address a line.

Lines that begin with `#` and empty ones mean nothing and stay. The list is the user's own: no
repository can add itself. It knows names of places, not what lies there.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codebuddy import paths
from codebuddy.errors import UsageError
from codebuddy.fleet.manifest import places_of
from codebuddy.fleet.places import Place, place_named
from codebuddy.private_files import read_file, write_file
from codebuddy.vcs.clones import Origin, remove_clone

FLEET_NAME = "fleet.txt"
MANIFEST_SUFFIX = ".toml"
MAX_REPOSITORIES = 10_000
_MAX_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A repository of the fleet: its root, and a name that no other of the list has.

    One that the list names by its address has it as `origin`; its root is a clone of ours.
    """

    name: str
    root: Path
    origin: Origin | None = None

    @property
    def task(self) -> str:
        """What stands for it in work over the fleet: its path, or its address."""
        return str(self.root) if self.origin is None else self.origin.text


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
        UsageError: The list cannot be read, a line is neither path nor address, or there are too
            many or none.
    """
    if file.suffix == MANIFEST_SUFFIX:
        places = dict.fromkeys(places_of(file, _content(file, may_miss=may_miss)))
    else:
        places = {}
        for number, line in enumerate(_lines(file, may_miss=may_miss), 1):
            place = _place_of(line, f"{file}, line {number}")
            if place is not None:
                places[place] = None
    if len(places) > MAX_REPOSITORIES:
        raise UsageError(
            f"{file} names {len(places)} repositories; {MAX_REPOSITORIES} are the most",
            hint="split it into several lists",
        )
    if needs_some and not places:
        raise UsageError(
            f"the list {file} names no repository", hint="'codebuddy fleet add PATH...'"
        )
    return named(places)


def named(places: Iterable[Place]) -> list[Member]:
    """The places with names: the folder's, with as many of the folders above as tell them apart.

    A name holds no slash, so that what stands before the first one of a result's path is it. Of an
    address the words of its path are the folders.
    """
    left = list(places)
    names = {place: _tail(place, 1) for place in left}
    for depth in range(2, 64):
        counts = Counter(names.values())
        again = [place for place in left if counts[names[place]] > 1]
        if not again:
            break
        for place in again:
            names[place] = _tail(place, depth)
    members, taken = [], set()
    for place in left:
        name, number = names[place], 1
        while name in taken:
            number += 1
            name = f"{names[place]}~{number}"
        taken.add(name)
        members.append(
            Member(name, place.folder_in(paths.fleet_clones_folder()), place)
            if isinstance(place, Origin)
            else Member(name, place)
        )
    return members


def add(file: Path, places: Sequence[Place]) -> list[Place]:
    """Put repositories at the end of the list, if they are not on it; those that were put there.

    Raises:
        UsageError: The list cannot be read or written, or is a manifest.
    """
    _check_editable(file)
    known = {each.origin or each.root for each in read_members(file, may_miss=True)}
    new = [place for place in dict.fromkeys(places) if place not in known]
    for place in new:
        text = _text(place)
        if "\n" in text or text != text.strip():
            raise UsageError(f"{text!r} cannot stand on a line", hint="rename the folder")
    if new:
        lines = _lines(file, may_miss=True)
        _write(file, [*lines, *map(_text, new)])
    return new


def remove(file: Path, wanted: Sequence[str]) -> list[Member]:
    """Take repositories off the list, by name, path or address.

    Nothing of theirs is deleted but clones of ours.

    Raises:
        UsageError: One is not on it, or the list cannot be read or written, or is a manifest.
    """
    _check_editable(file)
    members = read_members(file)
    gone: list[Member] = []
    for text in wanted:
        path = Path(os.path.normpath(Path(text).expanduser().absolute()))
        found = [each for each in members if text in (each.name, each.task) or each.root == path]
        if not found:
            raise UsageError(
                f"{text} is not on the list {file}", hint="'codebuddy fleet list' shows what is"
            )
        gone += found
    tasks = {each.task for each in gone}
    kept = []
    for line in _lines(file):
        place = _place_of(line, str(file))
        if place is None or _text(place) not in tasks:
            kept.append(line)
    _write(file, kept)
    for each in gone:
        if each.origin is not None:
            remove_clone(each.origin, paths.fleet_clones_folder())
    return list(dict.fromkeys(gone))


def _check_editable(file: Path) -> None:
    if file.suffix == MANIFEST_SUFFIX:
        raise UsageError(f"{file} is a manifest", hint="change it with an editor")


def _text(place: Place) -> str:
    return place.text if isinstance(place, Origin) else str(place)


def _tail(place: Place, depth: int) -> str:
    if isinstance(place, Origin):
        parts = [*place.parts]
    else:
        parts = [part for part in place.parts if part != place.anchor]
    return "~".join(parts[-depth:]) or "root"


def _place_of(line: str, where: str) -> Place | None:
    """What a line names; None of a comment and an empty one."""
    text = line.strip()
    return None if not text or text.startswith("#") else place_named(text, where)


def _lines(file: Path, *, may_miss: bool = False) -> list[str]:
    # Paths need not be UTF-8, and may hold what `str.splitlines` takes for the end of a line.
    lines = os.fsdecode(_content(file, may_miss=may_miss)).split("\n")
    if not lines[-1]:
        del lines[-1]
    return [line.removesuffix("\r") for line in lines]


def _content(file: Path, *, may_miss: bool = False) -> bytes:
    try:
        return read_file(file, _MAX_BYTES, follows_links=True)
    except FileNotFoundError as error:
        if may_miss:
            return b""
        raise UsageError(
            f"there is no list of repositories at {file}",
            hint="'codebuddy fleet add PATH...' begins one",
        ) from error
    except OSError as error:
        raise UsageError(f"the list {file} cannot be read: {error.strerror}") from error


def _write(file: Path, lines: Sequence[str]) -> None:
    paths.ensure_folder(file.parent)
    try:
        write_file(file, os.fsencode("".join(f"{line}\n" for line in lines)), is_durable=True)
    except OSError as error:
        raise UsageError(f"the list {file} cannot be written: {error.strerror}") from error
