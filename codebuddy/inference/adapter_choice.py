"""Which adapter is used with a model: the shipped one that belongs to it, one of the user's, none.

A card lies beside an adapter's file: JSON of the same name that says whose weights it changes.
A shipped adapter that cannot be used costs a warning, and the model works without; one that the
user named is an error.
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
from codebuddy.inference.adapter import identity_of, read_adapter, refused
from codebuddy.inference.gguf import GgufHeader
from codebuddy.private_files import read_json

AUTO, NONE = "auto", "none"
CARD_FORMAT = "codebuddy-adapter"
CARD_VERSION = 1
_MAX_CARD_BYTES = 1 << 16
_SHA256_DIGITS = 64
_UNUSABLE = "the shipped adapter cannot be used"


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
        self._chosen: dict[str, tuple[tuple[object, ...], ChosenAdapter]] = {}

    def choose(self, setting: str) -> ChosenAdapter:
        """The adapter that `model.adapter` means.

        Raises:
            ModelError: The file that the setting names cannot be used.
        """
        if setting == NONE:
            return ChosenAdapter(None, "model.adapter is none")
        marks = tuple(_mark(file) for file in files_behind(setting))
        known = self._chosen.get(setting)
        if known is None or known[0] != marks:
            known = (marks, self._read(setting))
            self._chosen = {setting: known}
        return known[1]

    def _read(self, setting: str) -> ChosenAdapter:
        if setting != AUTO:
            return ChosenAdapter(self._named(Path(setting).expanduser()))
        warnings: list[str] = []
        for card_file in _shipped_cards():
            try:
                card = _read_card(card_file)
                if self._digest not in card["bases"]:
                    continue
                found = self._checked(_file_of(card_file), card)
                return ChosenAdapter(found, warnings=tuple(warnings))
            except ModelError as error:
                warnings += without_shipped(error).warnings
        if warnings:
            return ChosenAdapter(None, _UNUSABLE, tuple(warnings))
        if not _is_sha256(self._digest):
            return ChosenAdapter(None, "the digest of the model's file is not known")
        return ChosenAdapter(None, "none is shipped for this model")

    def _named(self, file: Path) -> Adapter:
        card_file = _card_of(file)
        if not os.path.lexists(card_file):
            return read_adapter(file, self._base)
        card = _read_card(card_file)
        if _is_sha256(self._digest) and self._digest not in card["bases"]:
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


def files_behind(setting: str) -> list[Path]:
    """The files that the choice depends on; some need not exist."""
    if setting == NONE:
        return []
    if setting == AUTO:
        cards = _shipped_cards()
        return [shipped_folder(), *cards, *map(_file_of, cards)]
    file = Path(setting).expanduser()
    return [file, _card_of(file)]


def shipped_folder() -> Path:
    """Where shipped adapters lie, each beside its card."""
    return paths.shipped_models_folder() / "adapter"


def shipped_for(base_digest: str) -> str | None:
    """The name of the adapter that is shipped for the weights of that SHA-256, unread."""
    for card_file in _shipped_cards():
        try:
            if base_digest in _read_card(card_file)["bases"] and _file_of(card_file).is_file():
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


def _read_card(file: Path) -> dict[str, Any]:
    """The card, with the types of what is used of it checked.

    Raises:
        ModelError: It is missing, damaged, or of an adapter that acts on every token.
    """
    try:
        card: Any = read_json(file, _MAX_CARD_BYTES, follows_links=True)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no JSON"
        raise refused(file, why) from error
    if not isinstance(card, dict) or card.get("format") != CARD_FORMAT:
        raise refused(file, "it is no card of an adapter")
    if card.get("version") != CARD_VERSION:
        raise refused(file, f"it is no card of an adapter, version {CARD_VERSION}")
    bases, sha256 = card.get("bases"), card.get("sha256")
    if not _is_sha256(sha256) or not isinstance(bases, list) or not all(map(_is_sha256, bases)):
        raise refused(file, "it does not name the digests of adapter and base")
    if type(card.get("rank")) is not int or type(card.get("alpha")) not in (int, float):
        raise refused(file, "it does not name rank and alpha")
    if card.get("activated") is not True:
        raise refused(file, "its adapter was not trained to act from the middle on")
    return card


def _is_sha256(value: object) -> bool:
    if not isinstance(value, str) or len(value) != _SHA256_DIGITS:
        return False
    return all(digit in "0123456789abcdef" for digit in value)
