"""Which lines of a text are new, worked out by us: no program of the repository's choice runs.

Equal beginnings and endings are taken away first; what is left is compared line by line as long
as that is cheap, and as bags of lines where it is not.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate

# Comparisons of two lines; difflib takes about 0.1 s for so many. Where many lines are alike it
# would need the cube of their number.
_MAX_COMPARED = 400_000


def added_lines(old: Sequence[str], new: Sequence[str]) -> frozenset[int]:
    """1-based numbers of the lines of `new` that `old` does not have at that place."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return frozenset(
        start + number + 1
        for number in _unmatched(old[start : len(old) - end], new[start : len(new) - end])
    )


def _unmatched(old: Sequence[str], new: Sequence[str]) -> Iterator[int]:
    """0-based lines of `new` that no line of `old` matches, by difflib.

    Between places that match, the longest equal run is looked for again and again, as long as
    that costs no more than the bound; what is left then is compared as a bag of lines.
    """
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    alike = Counter(new)
    costs = [0, *accumulate(1 + alike[line] for line in old)]
    left = _MAX_COMPARED
    gaps = [(0, len(old), 0, len(new))]
    while gaps:
        first, last, begin, end = gaps.pop()
        left -= costs[last] - costs[first]
        if first == last or begin == end:
            yield from range(begin, end)
        elif left < 0:
            yield from _not_in_bag(old[first:last], new[begin:end], begin)
        else:
            match = matcher.find_longest_match(first, last, begin, end)
            if not match.size:
                yield from range(begin, end)
                continue
            gaps.append((first, match.a, begin, match.b))
            gaps.append((match.a + match.size, last, match.b + match.size, end))


def _not_in_bag(old: Sequence[str], new: Sequence[str], begin: int) -> Iterator[int]:
    unused = Counter(old)
    for place, line in enumerate(new, begin):
        if unused[line] > 0:
            unused[line] -= 1
        else:
            yield place
