"""What of a chunk a static model reads, and how much each word counts.

A mean of tokens gives every word the same say, so that a loop's variable drowns the name and the
line that says what a function is for. Here a word counts as the root of how often it stands
there, words of the symbol and of the documentation's first lines once more and again. It knows
no model and no tokens.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

# Runs of letters and digits: what a word-wise vocabulary takes by itself.
RUN = re.compile(r"[A-Za-z0-9\x80-\U0010ffff]+")

# What a word of the symbol and of the documentation's first lines counts besides; chosen on the
# tuning half of the search's benchmark (docs/log.md).
SYMBOL_WEIGHT = 3.0
DOCUMENTATION_WEIGHT = 2.0
# Distinguishing text stands early.
MAX_CHARACTERS = 2_000

_MAX_FIRST_LINES = 8
_STRING = re.compile(r"^[ \t]*[rRuU]?(\"\"\"|''')(.*?)(?:\1|\Z)", re.MULTILINE | re.DOTALL)
_COMMENTS = re.compile(r"(?:^[ \t]*(?://|/\*|\*|#)[^\n]*\n)+", re.MULTILINE)
_MARK = re.compile(r"^[ \t]*(?://+!?|/\*+|\*+/?|#+!?)[ \t]?")
_LETTERS = re.compile(r"[A-Za-z]{3}")


def bag_of(path: str, symbol: str, text: str) -> dict[str, float]:
    """Each run of letters and digits of a chunk with what it counts.

    Args:
        path: Of the chunk's file.
        symbol: The qualified name of the definition; empty for none.
        text: The chunk's source, of which the first 2,000 characters are read.
    """
    text = text[:MAX_CHARACTERS]
    counts = Counter(RUN.findall(text))
    counts.update(RUN.findall(path))
    bag = {run: float(count) ** 0.5 for run, count in counts.items()}
    _add(bag, Counter(RUN.findall(symbol)), SYMBOL_WEIGHT)
    _add(bag, Counter(RUN.findall(first_lines(text))), DOCUMENTATION_WEIGHT)
    return bag


def _add(bag: dict[str, float], counts: Mapping[str, int], weight: float) -> None:
    for run, count in counts.items():
        bag[run] = bag.get(run, 0.0) + weight * count


def first_lines(text: str) -> str:
    """The first line of each documentation in a piece of source, whatever its language.

    Those are strings that begin a line with three quotes, and blocks of comments that stand no
    deeper than the piece itself.
    """
    found = [_first(match[2].split("\n")) for match in _STRING.finditer(text)][:_MAX_FIRST_LINES]
    depth = len(text) - len(text.lstrip())
    depth -= text.rfind("\n", 0, depth) + 1
    for block in _COMMENTS.finditer(text):
        lines = block[0].splitlines()
        if len(lines[0]) - len(lines[0].lstrip()) > depth or len(found) >= _MAX_FIRST_LINES:
            continue
        found.append(_first([_MARK.sub("", line) for line in lines]))
    return "\n".join(found)


def _first(lines: Sequence[str]) -> str:
    return next((line.strip() for line in lines if _LETTERS.search(line)), "")
