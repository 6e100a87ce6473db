"""The card beside an adapter's file: JSON that says whose weights it changes, and how it was made.

It knows nothing of which adapter is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codebuddy.inference.adapter import refused
from codebuddy.private_files import read_json

# Words of `model.adapter`, which no adapter may be called.
AUTO, NONE, SHIPPED = "auto", "none", "shipped"
CARD_FORMAT = "codebuddy-adapter"
# In the card of an adapter that no training of here made.
IMPORTED = "imported"
CARD_VERSION = 1
# A card names up to 600 files and functions, whose names may be long.
_MAX_CARD_BYTES = 4 << 20
_SHA256_DIGITS = 64
_NUMBERS = (int, float)
_OF_PRIVACY = {"epsilon": _NUMBERS, "delta": _NUMBERS, "unit": (str,), "units": (int,)}


def read_card(file: Path) -> dict[str, Any]:
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
    if not is_sha256(sha256) or not isinstance(bases, list) or not all(map(is_sha256, bases)):
        raise refused(file, "it does not name the digests of adapter and base")
    if type(card.get("rank")) is not int or type(card.get("alpha")) not in _NUMBERS:
        raise refused(file, "it does not name rank and alpha")
    if card.get("activated") is not True:
        raise refused(file, "its adapter was not trained to act from the middle on")
    _check_facts(file, card)
    return card


def _check_facts(file: Path, card: dict[str, Any]) -> None:
    """Refuse facts and figures, where there are any, of other types than are computed with."""
    made_by, figures = (card.get(key, {}) for key in ("made_by", "figures"))
    for key, facts in (("made_by", made_by), ("figures", figures)):
        if not isinstance(facts, dict):
            raise refused(file, f"its {key} is no table")
    gain, privacy = figures.get("gain"), made_by.get("privacy")
    if gain is not None and type(gain) not in _NUMBERS:
        raise refused(file, "its gain is no number")
    if privacy is None:
        return
    if not isinstance(privacy, dict) or any(
        type(privacy.get(key)) not in kinds for key, kinds in _OF_PRIVACY.items()
    ):
        raise refused(file, "its privacy does not name epsilon, delta, unit and units")


def is_sha256(value: object) -> bool:
    """Whether `value` is a SHA-256 in small hexadecimal digits."""
    if not isinstance(value, str) or len(value) != _SHA256_DIGITS:
        return False
    return all(digit in "0123456789abcdef" for digit in value)
