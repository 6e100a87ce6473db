"""Which adapter is used with a model: the repository's own, the shipped one, a named one, none.

A card lies beside an adapter's file: JSON of the same name that says whose weights it changes.
A shipped adapter or a repository's that cannot be used costs a warning, and the model works
without; one that the user named is an error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codebuddy import paths
from codebuddy.datatypes import Adapter
from codebuddy.errors import ModelError
from codebuddy.inference import own_adapters
from codebuddy.inference.adapter import identity_of, read_adapter, refused
from codebuddy.inference.adapter_card import AUTO, NONE, SHIPPED, is_sha256, read_card
from codebuddy.inference.gguf import GgufHeader

_UNUSABLE = "the shipped adapter cannot be used"
# Repositories whose choice is kept.
_MAX_CHOSEN = 16

_Asked = tuple[str, Path | None]


@dataclass(frozen=True, slots=True)
class ChosenAdapter:
    """The adapter to use; where it is None, `reason` says why, and `warnings` what is wrong."""

    adapter: Adapter | None
    reason: str = ""
    warnings: tuple[str, ...] = ()


class AdapterChooser:
    """The adapters of one model, read again only when their files change."""

    def __init__(self, base: GgufHeader, base_digest: str) -> None:
        """Begin without having looked.

        Args:
            base: The header of the model's file.
            base_digest: The file's SHA-256; anything else where it is not known.
        """
        self._base = base
        self._digest = base_digest
        self._chosen: dict[_Asked, tuple[tuple[object, ...], ChosenAdapter]] = {}

    def choose(self, setting: str, own: Path | None = None) -> ChosenAdapter:
        """The adapter that `model.adapter` means.

        Args:
            setting: Its value.
            own: The folder of the repository's adapters; none outside of any.

        Raises:
            ModelError: The file that the setting names cannot be used.
        """
        if setting == NONE:
            return ChosenAdapter(None, "model.adapter is none")
        asked = setting, own
        marks = tuple(_mark(file) for file in files_behind(setting, own))
        known = self._chosen.pop(asked, None)
        if known is None or known[0] != marks:
            known = (marks, self._read(setting, own))
            if len(self._chosen) >= _MAX_CHOSEN:
                del self._chosen[next(iter(self._chosen))]
        self._chosen[asked] = known
        return known[1]

    def _read(self, setting: str, own: Path | None) -> ChosenAdapter:
        if setting not in (AUTO, SHIPPED):
            return ChosenAdapter(self._named(Path(setting).expanduser()))
        if setting == SHIPPED or own is None:
            return self._shipped([])
        word = own_adapters.used(own, self._digest)
        if word == NONE:
            return ChosenAdapter(None, "'codebuddy adapters use none' switched it off here")
        if word in ("", SHIPPED):
            return self._shipped([])
        try:
            return ChosenAdapter(self._own(own, word))
        except ModelError as error:
            why = f"{error.message}; this repository's adapter is not used"
            return self._shipped([f"{why} ('codebuddy adapters list' shows what there is)"])

    def _own(self, folder: Path, name: str) -> Adapter:
        """The repository's adapter of that name, if it was trained or imported here."""
        file = folder / f"{name}.gguf"
        card = read_card(_card_of(file))
        if not own_adapters.is_trusted(card["sha256"]):
            raise refused(
                file, "it was neither trained nor imported here ('codebuddy adapters import')"
            )
        if self._digest not in card["bases"]:
            raise refused(file, "its card names another base than the model in use")
        return self._checked(file, card)

    def _shipped(self, warnings: list[str]) -> ChosenAdapter:
        for card_file in _shipped_cards():
            try:
                card = read_card(card_file)
                if self._digest not in card["bases"]:
                    continue
                found = self._checked(_file_of(card_file), card)
                return ChosenAdapter(found, warnings=tuple(warnings))
            except ModelError as error:
                warnings += without_shipped(error).warnings
        if warnings:
            return ChosenAdapter(None, _UNUSABLE, tuple(warnings))
        if not is_sha256(self._digest):
            return ChosenAdapter(None, "the digest of the model's file is not known")
        return ChosenAdapter(None, "none is shipped for this model")

    def _named(self, file: Path) -> Adapter:
        card_file = _card_of(file)
        if not os.path.lexists(card_file):
            return read_adapter(file, self._base)
        card = read_card(card_file)
        if is_sha256(self._digest) and self._digest not in card["bases"]:
            raise refused(file, f"{card_file.name} names another base than the model in use")
        return self._checked(file, card)

    def _checked(self, file: Path, card: Mapping[str, Any]) -> Adapter:
        """The file's adapter, if it is the one that the card describes."""
        adapter = read_adapter(file, self._base)
        if adapter.sha256 != card["sha256"]:
            raise refused(file, "its SHA-256 is not that of its card")
        if (adapter.rank, adapter.alpha) != (card["rank"], card["alpha"]):
            raise refused(file, "its rank or alpha is not that of its card")
        return adapter


def without_shipped(error: ModelError) -> ChosenAdapter:
    """No adapter, where the shipped one failed: that is no error of the user's."""
    return ChosenAdapter(None, _UNUSABLE, (f"{error.message}; the model works without it",))


def files_behind(setting: str, own: Path | None = None) -> list[Path]:
    """The files that the choice depends on; some need not exist. Arguments as for `choose`."""
    if setting == NONE:
        return []
    if setting in (AUTO, SHIPPED):
        cards = _shipped_cards()
        of_repository = own_adapters.files_of(own) if setting == AUTO else []
        return [*of_repository, shipped_folder(), *cards, *map(_file_of, cards)]
    file = Path(setting).expanduser()
    return [file, _card_of(file)]


def shipped_folder() -> Path:
    """Where shipped adapters lie, each beside its card."""
    return paths.shipped_models_folder() / "adapter"


def shipped_for(base_digest: str) -> str | None:
    """The name of the adapter that is shipped for the weights of that SHA-256, unread."""
    for card_file in _shipped_cards():
        try:
            if base_digest in read_card(card_file)["bases"] and _file_of(card_file).is_file():
                return card_file.stem
        except ModelError:
            continue
    return None


def _shipped_cards() -> list[Path]:
    return sorted(shipped_folder().glob("*.json"))


def _card_of(file: Path) -> Path:
    # Not `with_suffix`, which raises for the root folder, which somebody may name.
    return file.parent / f"{file.stem}.json"


def _file_of(card_file: Path) -> Path:
    return card_file.with_suffix(".gguf")


def _mark(file: Path) -> tuple[int, ...]:
    try:
        return identity_of(file)
    except OSError:
        return ()
