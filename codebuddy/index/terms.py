"""Identifier-aware terms: a word whole and lower-cased, then its parts.

It knows nothing of languages: comments, strings and code give terms alike. The terms are
stored through their counts, so any change here must raise `TERMS_VERSION`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

TERMS_VERSION = 1

# Longer words are keys, hashes and packed data, never search terms.
MAX_WORD_LENGTH = 64
MAX_PARTS = 16
_MAX_CACHED = 200_000

_WORD = re.compile(r"\w+")
# `HTTPResponse` -> HTTP, Response: a capital that a small letter follows begins a part.
_ASCII_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]|[0-9]+")
# From here on, scripts that put no space between words (CJK and its neighbours).
_FIRST_UNSPACED = "\u2e80"

_cache: dict[str, tuple[str, ...]] = {}


def terms(text: str) -> list[str]:
    """The terms of `text` in order: each word whole and lower-cased, then its parts if several.

    `getHTTPResponse2` gives gethttpresponse2, get, http, response, 2.
    """
    found: list[str] = []
    for word in _WORD.findall(text):
        found.extend(_cache.get(word) or _split(word))
    return found


def count_terms(text: str) -> dict[str, int]:
    """As `Counter(terms(text))`, several times as fast: each distinct word is split once."""
    counts: dict[str, int] = {}
    for word, times in Counter(_WORD.findall(text)).items():
        for term in _cache.get(word) or _split(word):
            counts[term] = counts.get(term, 0) + times
    return counts


def words(text: str) -> list[str]:
    """The words of `text` as they stand."""
    return _WORD.findall(text)


def normalized_name(name: str) -> str:
    """`name` without case and underscores: `parseHTTP` and `parse_http` are the same to it."""
    return name.replace("_", "").lower()


def _split(word: str) -> tuple[str, ...]:
    if len(word) > MAX_WORD_LENGTH:
        return ()
    lowered = word.lower()
    parts = _ASCII_PART.findall(word) if word.isascii() else list(_unicode_parts(word))
    if len(parts) > 1 or (parts and len(parts[0]) < len(word)):
        result = (lowered, *[part.lower() for part in parts[:MAX_PARTS]])
    else:
        result = (lowered,)
    if len(_cache) >= _MAX_CACHED:
        _cache.clear()
    _cache[word] = result
    return result


def _unicode_parts(word: str) -> Iterable[str]:
    """Parts by underscore, case and digits; scripts without spaces give overlapping pairs."""
    for piece in word.split("_"):
        start = 0
        for index in range(1, len(piece) + 1):
            if index == len(piece) or _is_border(piece, index):
                yield from _pairs(piece[start:index])
                start = index


def _is_border(piece: str, index: int) -> bool:
    before, after = piece[index - 1], piece[index]
    if before.isdigit() != after.isdigit() or (before.islower() and after.isupper()):
        return True
    if before.isupper() and after.isupper():
        return index + 1 < len(piece) and piece[index + 1].islower()
    return (before >= _FIRST_UNSPACED) != (after >= _FIRST_UNSPACED)


def _pairs(part: str) -> Iterable[str]:
    if part and part[0] >= _FIRST_UNSPACED and len(part) > 1:
        return (part[i : i + 2] for i in range(len(part) - 1))
    return (part,) if part else ()
