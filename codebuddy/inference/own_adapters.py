"""The adapters of a repository on disk: which there are, which one is used, which are trusted.

They lie in one folder for all work trees of a repository, each a GGUF file beside its card. A
file counts as the user's own only where its digest stands in the user's list of adapters that
were trained or imported here: what came along with somebody's copy of a repository does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codebuddy import paths
from codebuddy.errors import ModelError
from codebuddy.inference.adapter_card import NONE, SHIPPED, is_sha256, read_card
from codebuddy.inference.gguf import GgufHeader, read_header
from codebuddy.inference.stamps import digest_of
from codebuddy.private_files import read_json, write_file

if TYPE_CHECKING:
    from codebuddy.inference.installed import InstalledModel

# Says which adapter is used with which weights.
USE_NAME = "use.state"
_MAX_STATE_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_REPOSITORY_CHARACTERS = 40
# Digests that are remembered, the newest last.
_MAX_TRUSTED = 1000


@dataclass(frozen=True, slots=True)
class StoredAdapter:
    """An adapter of a repository with its card; `problem` says why there is none to read."""

    name: str
    file: Path
    card: Mapping[str, Any]
    problem: str = ""

    @property
    def bases(self) -> tuple[str, ...]:
        """The SHA-256 of each model's file that it belongs to."""
        return tuple(self.card.get("bases", ()))

    @property
    def sha256(self) -> str:
        """Of its file, as its card says."""
        return str(self.card.get("sha256", ""))


@dataclass(frozen=True, slots=True)
class Base:
    """The weights that get an adapter."""

    name: str
    file: Path
    header: GgufHeader
    digest: str


def base_of(model: InstalledModel) -> Base:
    """The weights of a model that was found.

    Raises:
        ModelError: They are not in a file whose digest is known.
    """
    if model.path is None:
        raise ModelError(
            f"{model.name} has no weights to adapt", hint="--model NAME of 'codebuddy models list'"
        )
    digest = digest_of(model.path)
    if not is_sha256(digest):
        raise ModelError(
            f"the digest of {model.path} is not known, and an adapter belongs to one",
            hint=f"codebuddy models add {model.path}",
        )
    return Base(model.name, model.path, read_header(model.path), digest)


def name_for(repository: str, commit: str) -> str:
    """What a repository's adapter is called: the repository, and the commit that it knows."""
    word = _UNSAFE.sub("-", repository).strip(".-_")[:_MAX_REPOSITORY_CHARACTERS] or "repository"
    return f"{word}-{commit[:10] or 'uncommitted'}"


def check_name(name: str) -> str:
    """`name`, if an adapter may be called so.

    Raises:
        ModelError: It may not.
    """
    if not _NAME.fullmatch(name) or name in (NONE, SHIPPED):
        raise ModelError(
            f"an adapter cannot be called {name!r:.90}",
            hint="letters, digits, dots, dashes and underscores, 80 of them at most",
        )
    return name


def is_file_name(name: str) -> bool:
    """Whether a file of that name in an adapters' folder is an adapter or a card."""
    stem, dot, ending = name.rpartition(".")
    return bool(dot) and ending in ("gguf", "json") and bool(_NAME.fullmatch(stem))


def stored(folder: Path) -> list[StoredAdapter]:
    """Every adapter of the repository, by name; one whose card is damaged says so."""
    found = []
    for file in sorted(folder.glob("*.gguf")):
        if not _NAME.fullmatch(file.stem):
            continue
        try:
            found.append(StoredAdapter(file.stem, file, read_card(file.with_suffix(".json"))))
        except ModelError as error:
            found.append(StoredAdapter(file.stem, file, {}, error.message))
    return found


def find(folder: Path, name: str) -> StoredAdapter:
    """The adapter of that name.

    Raises:
        ModelError: There is none.
    """
    known = stored(folder)
    for each in known:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in known)
    raise ModelError(
        f"this repository has no adapter {name!r:.90}",
        hint=f"it has {names}" if names else "'codebuddy train adapter' makes one",
    )


def used(folder: Path, base: str) -> str:
    """The adapter that is used with the weights `base`: a name, `shipped`, `none`, or empty."""
    return uses_in(folder).get(base, "")


def use(folder: Path, base: str, word: str) -> None:
    """Use the adapter `word` with the weights `base` from now on; empty forgets the choice."""
    uses = uses_in(folder) | {base: word}
    content = {key: value for key, value in uses.items() if value}
    write_file(folder / USE_NAME, json.dumps(content, indent=1).encode("ascii"))


def remove(folder: Path, name: str) -> list[Path]:
    """Delete an adapter with its card, and any choice of it; the files that are gone."""
    found = find(folder, name)
    for base, word in uses_in(folder).items():
        if word == name:
            use(folder, base, "")
    gone = []
    for file in (found.file, found.file.with_suffix(".json")):
        if file.exists():
            file.unlink()
            gone.append(file)
    return gone


def files_of(folder: Path | None) -> list[Path]:
    """The files that the choice of a repository's adapter depends on; some need not exist."""
    if folder is None:
        return []
    found = [file for end in ("*.json", "*.gguf") for file in sorted(folder.glob(end))]
    return [folder / USE_NAME, paths.trusted_adapters_file(), *found]


def is_trusted(sha256: str) -> bool:
    """Whether an adapter's file was trained or imported by this user here."""
    return sha256 in _trusted()


def trust(sha256: str) -> None:
    """Remember that the user trained or imported the file of this digest.

    Raises:
        OSError: It cannot be written down.
    """
    file = paths.trusted_adapters_file()
    paths.ensure_folder(file.parent)
    kept = [each for each in _trusted() if each != sha256][-_MAX_TRUSTED + 1 :]
    write_file(file, json.dumps([*kept, sha256], indent=0).encode("ascii"))


def _trusted() -> list[str]:
    try:
        found: Any = read_json(paths.trusted_adapters_file(), _MAX_STATE_BYTES)
    except (OSError, ValueError):
        return []
    return [each for each in found if is_sha256(each)] if isinstance(found, list) else []


def uses_in(folder: Path) -> dict[str, str]:
    """The adapter that is used, by the digest of the weights; nothing where that is damaged."""
    try:
        found: Any = read_json(folder / USE_NAME, _MAX_STATE_BYTES)
    except (OSError, ValueError):
        return {}
    return checked_uses(found)


def checked_uses(found: Any) -> dict[str, str]:
    """What of the content of a `USE_NAME` is a choice."""
    if not isinstance(found, dict):
        return {}
    return {
        base: word
        for base, word in found.items()
        if is_sha256(base) and isinstance(word, str) and _NAME.fullmatch(word)
    }
