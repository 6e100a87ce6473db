"""A slip of the keyboard in a question: one letter of one word."""

from __future__ import annotations

import random
import re

from codebuddy.robustness.prose import neighbours

_WORD = re.compile(r"[A-Za-z]{4,}")


def with_slip(query: str, seed: int) -> str:
    """`query` with one slip in one word of four letters or more; the same where there is none.

    A neighbouring key, two letters swapped, one lost, or one twice; the first letter is right,
    as it nearly always is.
    """
    rng = random.Random(f"{seed}:{query}")
    words = list(_WORD.finditer(query))
    if not words:
        return query
    word = rng.choice(words)
    text = word[0]
    at = rng.randrange(1, len(text))
    kind = rng.choice(("neighbour", "swap", "lose", "double"))
    if kind == "swap" and at + 1 < len(text) and text[at] != text[at + 1]:
        made = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    elif kind == "lose":
        made = text[:at] + text[at + 1 :]
    elif kind == "double":
        made = text[:at] + text[at] * 2 + text[at + 1 :]
    else:
        made = text[:at] + rng.choice(neighbours(text[at])) + text[at + 1 :]
    return query[: word.start()] + made + query[word.end() :]
