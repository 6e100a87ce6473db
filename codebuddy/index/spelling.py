"""Slips of the keyboard in a question: `serach` is read as `search`.

A word counts as slipped where it stands nowhere in the index in any form, and is no word that
the encoder knows. It is read as a word that the index has, else one that the encoder knows, at
one slip: two letters swapped, one lost, one too many, or another one. All words at one slip are
made and looked up, as in P. Norvig's "How to Write a Spelling Corrector"; no dictionary is kept.
The first letter stands, unless it is swapped with the second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from string import ascii_lowercase

from codebuddy.index.question_words import is_function_word

MIN_LETTERS = 4
# In a shorter word any letter for any other makes too many words: `plaid` is no slip for `plain`.
_LEAST_FOR_ANY_LETTER = 6
# Longer ones are names made of several words, whose slips are not looked for.
_MAX_LETTERS = 20
# Words of a question that are looked at, and those of them that are looked up at one slip.
_MAX_WORDS, _MAX_READ = 40, 4
# What stands in double quotes is meant as it is written.
_WORD = re.compile(r"\"[^\"\n]*\"|(?<![\w'])[A-Za-z]+(?![\w'])")
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
# How likely a slip is beside the others: what any letter is, against what fingers do.
_LIKELY, _ANY = 1.0, 0.1


@dataclass(frozen=True, slots=True)
class Reading:
    """A question as it is read, and by word as it was written what it was read as."""

    text: str
    read_as: Mapping[str, str] = field(default_factory=dict)


def read(
    text: str,
    is_known: Callable[[str], bool],
    frequencies: Callable[[Sequence[str]], Mapping[str, float]],
) -> Reading:
    """`text` with its slipped words as what they were meant to be, as far as that is found.

    Args:
        text: A question in words.
        is_known: Whether a word, as written, is one.
        frequencies: How common words in lower case are; 0 or left out for what is none.
    """
    found: dict[str, str] = {}
    n_read = 0
    words = list(dict.fromkeys(each[0] for each in islice(_WORD.finditer(text), _MAX_WORDS)))
    for word in words:
        # What is written as a name is one, even if it stands nowhere.
        is_name = word[0].isupper() and word[1:].islower() and word != words[0]
        if is_name or not _may_be_slipped(word) or is_known(word):
            continue
        n_read += 1
        if n_read > _MAX_READ:
            break
        slips = slips_of(word.lower())
        common = frequencies(list(slips))
        meant = max(slips, key=lambda each: (slips[each] * common.get(each, 0.0), each))
        if common.get(meant, 0.0) > 0:
            found[word] = _in_case_of(meant, word)
    if not found:
        return Reading(text)
    return Reading(_WORD.sub(lambda each: found.get(each[0], each[0]), text), found)


def slips_of(word: str) -> dict[str, float]:
    """The words of three letters or more that `word`, in lower case, may be a slip of.

    By word how likely it is beside the others, 0 to 1.
    """
    found: dict[str, float] = {}

    def add(made: str, weight: float) -> None:
        if weight < _LIKELY and len(word) < _LEAST_FOR_ANY_LETTER:
            return
        if made != word and len(made) >= MIN_LETTERS - 1:
            found[made] = max(weight, found.get(made, 0.0))

    for at in range(len(word)):
        before, letter, after = word[:at], word[at], word[at + 1 :]
        if after:
            add(before + after[0] + letter + after[1:], _LIKELY)
        if not at:
            continue
        is_double = letter in (word[at - 1], after[:1])
        add(before + after, _LIKELY if is_double else _ANY)
        for other in ascii_lowercase:
            add(before + other + after, _LIKELY if other in _BESIDE[letter] else _ANY)
            add(before + other + letter + after, _LIKELY)
    for other in ascii_lowercase:
        add(word + other, _LIKELY)
    return found


def _may_be_slipped(word: str) -> bool:
    """Whether it is long enough, written as prose writes words, and one that says something."""
    is_prose = word.isalpha() and (word[1:].islower() or word.isupper())
    return MIN_LETTERS <= len(word) <= _MAX_LETTERS and is_prose and not is_function_word(word)


def _beside() -> dict[str, str]:
    """By letter those whose keys touch its own on an English keyboard."""
    found = dict.fromkeys(ascii_lowercase, "")
    for row, keys in enumerate(_KEYS):
        for at, letter in enumerate(keys):
            near = {keys[each] for each in (at - 1, at + 1) if 0 <= each < len(keys)}
            for other, shifts in ((row - 1, (0, 1)), (row + 1, (-1, 0))):
                if 0 <= other < len(_KEYS):
                    line = _KEYS[other]
                    near |= {line[at + by] for by in shifts if 0 <= at + by < len(line)}
            found[letter] = "".join(sorted(near))
    return found


_BESIDE = _beside()


def _in_case_of(word: str, other: str) -> str:
    """`word` in capitals where `other` is."""
    if other.isupper():
        return word.upper()
    return word.capitalize() if other[0].isupper() else word
