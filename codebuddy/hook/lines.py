"""Which lines of a text are new, worked out by us: no program of the repository's choice runs.

Equal beginnings and endings are taken away first; what is left is compared line by line where
it is small, and as sets of lines where it is not.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence

# difflib is quadratic at its worst: this many lines on each side took 0.1 s.
_MAX_COMPARED = 1500


def added_lines(old: Sequence[str], new: Sequence[str]) -> frozenset[int]:
    """1-based numbers of the lines of `new` that `old` does not have at that place."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    old, new = old[start : len(old) - end], new[start : len(new) - end]
    if not old or not new:
        return frozenset(range(start + 1, start + 1 + len(new)))
    if len(old) > _MAX_COMPARED or len(new) > _MAX_COMPARED:
        left = Counter(old)
        found = set()
        for number, line in enumerate(new, start + 1):
            if left[line] > 0:
                left[line] -= 1
            else:
                found.add(number)
        return frozenset(found)
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return frozenset(
        start + 1 + number
        for tag, _, _, first, last in matcher.get_opcodes()
        if tag in ("insert", "replace")
        for number in range(first, last)
    )
