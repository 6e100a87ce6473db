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
CARD_VERSION = 1
_MAX_CARD_BYTES = 1 << 16
_SHA256_DIGITS = 64


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
    if type(card.get("rank")) is not int or type(card.get("alpha")) not in (int, float):
        raise refused(file, "it does not name rank and alpha")
    if card.get("activated") is not True:
        raise refused(file, "its adapter was not trained to act from the middle on")
    return card


def is_sha256(value: object) -> bool:
    """Whether `value` is a SHA-256 in small hexadecimal digits."""
    if not isinstance(value, str) or len(value) != _SHA256_DIGITS:
        return False
    return all(digit in "0123456789abcdef" for digit in value)
