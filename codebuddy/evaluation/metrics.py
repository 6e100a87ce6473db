"""How close a completion is to what stood there: text, identifiers, calls, and one index.

Pure functions of two texts. Definitions follow RepoCoder, Repoformer and CrossCodeEval;
`codebleu` has the metric that needs a syntax tree.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from codebuddy.syntax import identifiers

_CALL = re.compile(r"(?<![\w$])([A-Za-z_$][\w$]*+)\s*+(?:(?:!|(?:::)?<[^()<>]{0,200}>)\s*+)?\(")
# A gain of this much in quality is as good as lookups get (docs/evaluation.md).
_FULL_GAIN = 0.10
_LEVEL_WEIGHT, _GAIN_WEIGHT = 0.6, 0.4


def exact_match(text: str, reference: str) -> bool:
    """Whether the texts are the same but for white space."""
    return text.split() == reference.split()


def edit_similarity(text: str, reference: str) -> float:
    """`100 * (1 - Levenshtein distance / longer length)` of the texts without outer space.

    100 for equal texts, two empty ones included; Repoformer's definition (arXiv 2403.10059).
    """
    text, reference = text.strip(), reference.strip()
    longer = max(len(text), len(reference))
    return 100.0 * (1 - levenshtein(text, reference) / longer) if longer else 100.0


def levenshtein(first: str, second: str) -> int:
    """Insertions, deletions and substitutions that turn one text into the other.

    Myers' bit-parallel algorithm (1999) in Hyyro's form, over integers of any length: one
    step for each character of the shorter text.
    """
    if len(first) < len(second):
        first, second = second, first
    if not second:
        return len(first)
    places: dict[str, int] = {}
    for index, character in enumerate(first):
        places[character] = places.get(character, 0) | (1 << index)
    width = len(first)
    full = (1 << width) - 1
    last = 1 << (width - 1)
    plus, minus, distance = full, 0, width
    for character in second:
        match = places.get(character, 0)
        diagonal = (((match & plus) + plus) ^ plus) | match | minus
        rise = minus | (full & ~(diagonal | plus))
        fall = plus & diagonal
        if rise & last:
            distance += 1
        elif fall & last:
            distance -= 1
        rise = ((rise << 1) | 1) & full
        fall = (fall << 1) & full
        plus = fall | (full & ~(diagonal | rise))
        minus = rise & diagonal
    return distance


def identifier_f1(text: str, reference: str, reserved: frozenset[str] = frozenset()) -> float:
    """Harmonic mean of precision and recall over identifiers, repetitions counting, 0 to 1.

    Words of `reserved` do not count. 1 where neither text has any.
    """
    found = Counter(name for name in identifiers(text) if name not in reserved)
    wanted = Counter(name for name in identifiers(reference) if name not in reserved)
    if not found and not wanted:
        return 1.0
    shared = (found & wanted).total()
    return 2 * shared / (found.total() + wanted.total())


def call_recall(text: str, calls: Sequence[str]) -> float | None:
    """The share of `calls`, names of this repository's functions, that `text` calls too.

    `None` where there are none to be called.
    """
    if not calls:
        return None
    found = set(_CALL.findall(text))
    return sum(name in found for name in calls) / len(calls)


def quality(scores: Iterable[Mapping[str, float | None]]) -> float:
    """The mean of exact match, edit similarity, identifier F1 and calls over tasks, 0 to 1."""
    totals: dict[str, list[float]] = {}
    for score in scores:
        for name in ("exact_match", "edit_similarity", "identifier_f1", "call_recall"):
            value = score.get(name)
            if value is not None:
                totals.setdefault(name, []).append(float(value))
    means = {name: sum(values) / len(values) for name, values in totals.items()}
    if "edit_similarity" in means:
        means["edit_similarity"] /= 100
    return sum(means.values()) / len(means) if means else 0.0


def customization_quality_index(auto: float, never: float) -> float:
    """1 to 10: how well completion does here with lookups, and how much they add.

    `1 + 9 * (0.6 * auto + 0.4 * gain)`, where the gain `(auto - never) / 0.10` is held
    between 0 and 1; both arguments are `quality`.
    """
    gain = min(1.0, max(0.0, (auto - never) / _FULL_GAIN))
    return 1 + 9 * (_LEVEL_WEIGHT * auto + _GAIN_WEIGHT * gain)
