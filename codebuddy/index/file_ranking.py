"""What the files of the candidates say about a ranking: their names, how many chunks each has.

It knows paths and scores alone, and reads nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence

from codebuddy.index.forms import other_forms
from codebuddy.index.question_words import is_function_word
from codebuddy.index.terms import terms

_MIN_LETTERS = 2
_MAX_TERMS = 1_000


class NameWords:
    """How much of a query's words stand in a file's name; words of many names count less.

    Args:
        query: Its words are looked for in all their forms, without function words.
        paths: Of the files that are compared.
    """

    def __init__(self, query: str, paths: Collection[str]) -> None:
        asked = {
            each
            for each in terms(query)[:_MAX_TERMS]
            if len(each) >= _MIN_LETTERS and not is_function_word(each)
        }
        forms = {form for each in asked for form in (each, *other_forms(each))}
        length = math.sqrt(max(1, len(asked)))
        of_files = {path: forms.intersection(terms(_stem(path))) for path in set(paths)}
        times = Counter(word for words in of_files.values() for word in words)
        most = math.log(1 + len(of_files))
        weights = {
            word: math.log((1 + len(of_files)) / count) / most for word, count in times.items()
        }
        self._shares = {
            path: sum(weights[word] for word in words) / length for path, words in of_files.items()
        }

    def share(self, path: str) -> float:
        """0 where the name of the file has no word of the query; 1 and more where it has many."""
        return self._shares[path]


def coherence_factors(entries: Sequence[tuple[str, float]], weight: float) -> list[float]:
    """What multiplies each score, so that the best chunk of a file gains by its other chunks.

    The file whose scores have the largest sum adds `weight` times the best score of all to its
    best chunk, any other file its share of that.

    Args:
        entries: Path and score of each chunk.
        weight: 0 for nothing.
    """
    totals: dict[str, float] = {}
    first: dict[str, int] = {}
    for place, (path, score) in enumerate(entries):
        totals[path] = totals.get(path, 0.0) + score
        if path not in first or score > entries[first[path]][1]:
            first[path] = place
    factors = [1.0] * len(entries)
    largest = max(totals.values(), default=0.0)
    if largest <= 0:
        return factors
    added = weight * max(score for _, score in entries) / largest
    for path, place in first.items():
        if entries[place][1] > 0:
            factors[place] += added * totals[path] / entries[place][1]
    return factors


def spread_factors(paths: Sequence[str], factor: float) -> list[float]:
    """What multiplies the scores of chunks, best first: `factor` for each one of its file before.

    Args:
        paths: Of the chunks' files.
        factor: 1 for nothing.
    """
    seen: Counter[str] = Counter()
    found = []
    for path in paths:
        found.append(factor ** seen[path])
        seen[path] += 1
    return found


def _stem(path: str) -> str:
    """The name of the file up to its first dot."""
    name = path.rpartition("/")[2]
    return name.lstrip(".").partition(".")[0]
