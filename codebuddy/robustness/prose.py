"""The ten changes of comments and docstrings: typing slips, other words, other tenses.

Words that name code are left alone: those in backquotes, with a sign or a capital inside, and
those that the code around uses as names. A comment that speaks to a tool is no prose.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from codebuddy.robustness import english
from codebuddy.robustness.place import Change, Edit, NothingToChangeError, View

_T = TypeVar("_T")
# Comments that tools read, and headers of licences.
_PRAGMA = re.compile(
    r"noqa|type:|pylint|pragma|mypy:|ruff:|fmt:|isort|eslint|prettier|@ts-|nolint|go:|\+build"
    r"|coding[:=]|^#!|clang-|cspell|SPDX|[Cc]opyright|[Ll]icen[sc]e|istanbul|webpack|@flow|swiftlint"
)
_WORD = re.compile(r"(?<![\w.@`\\/:<{$%&#'\-])[A-Za-z]{2,}(?![\w`/({\[=<>@:'\-]|\.\w)")
_QUOTED = re.compile(
    r"`[^`\n]{0,300}`|\{[^}\n]{0,300}\}|<[^>\n]{0,300}>|>>> .*|\.\.\. .*|https?://\S+"
)
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
# Words after which no verb stands in its sentence's place of a verb.
_BEFORE_NOUNS = frozenset(
    "the a an of to in for with its this that these those each no any every some all by on at from"
    " into as their his her our your one two not will would can may must should".split()
)
_SLIP_SHARE = 0.05
_CASE_SHARE = 0.35
_SYNONYM_SHARE = 0.5
_DROPPED_SPACES, _ADDED_SPACES = 0.10, 0.05


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a comment or docstring, and the words in it that may be changed."""

    text: str
    words: tuple[tuple[int, int], ...]

    def word(self, at: tuple[int, int]) -> str:
        """The word at a place."""
        return self.text[at[0] : at[1]]


# What a rule makes of a text: replacements of its parts, in no order.
Replacements = list[tuple[int, int, str]]
Rule = Callable[[Text, random.Random], Replacements]


def change_prose(rule: Rule) -> Callable[[View, random.Random], Change]:
    """A transformation that applies `rule` to each comment and docstring near the hole."""

    def transform(view: View, rng: random.Random) -> Change:
        edits = []
        texts = _texts(view)
        if not texts:
            raise NothingToChangeError("there is no comment or docstring near the hole")
        for start, text in texts:
            edits += _edits(start, text, rule(text, rng))
        if not edits:
            raise NothingToChangeError("no word of the comments near the hole has another form")
        return Change(tuple(edits))

    return transform


def butter_fingers(text: Text, rng: random.Random) -> Replacements:
    """A neighbouring key, for one letter of twenty and at least one."""
    letters = [at for start, end in text.words for at in range(start, end)]
    return [
        (at, at + 1, english.in_case_of(rng.choice(neighbours(text.text[at])), text.text[at]))
        for at in _some(letters, _SLIP_SHARE, rng)
    ]


def change_case(text: Text, rng: random.Random) -> Replacements:
    """The other case, for a third of the letters."""
    letters = [at for start, end in text.words for at in range(start, end)]
    chosen = _some(letters, _CASE_SHARE, rng)
    return [(at, at + 1, text.text[at].swapcase()) for at in chosen]


def swap_characters(text: Text, rng: random.Random) -> Replacements:
    """Two neighbouring letters in the other order, for one pair of twenty and at least one."""
    pairs = [
        at
        for start, end in text.words
        for at in range(start, end - 1)
        if text.text[at] != text.text[at + 1]
    ]
    found: Replacements = []
    last = -2
    for at in sorted(_some(pairs, _SLIP_SHARE, rng)):
        if at > last + 1:
            found.append((at, at + 2, text.text[at + 1] + text.text[at]))
            last = at
    return found


def inflect(text: Text, rng: random.Random) -> Replacements:
    """Another form of every noun, verb and adjective that is known."""
    found: Replacements = []
    for at in text.words:
        word = text.word(at)
        options = [
            form for each in english.known(word.lower()) for form in english.other_forms(each)
        ]
        options = sorted({each for each in options if each != word.lower()})
        if options:
            found.append((*at, english.in_case_of(rng.choice(options), word)))
    return found


def insert_synonyms(text: Text, rng: random.Random) -> Replacements:
    """A synonym behind every second word that has one."""
    chosen = _some([at for at in text.words if _synonyms(text, at)], _SYNONYM_SHARE, rng)
    return [(at[1], at[1], " " + rng.choice(_synonyms(text, at))) for at in chosen]


def substitute_synonyms(text: Text, rng: random.Random) -> Replacements:
    """A synonym in the place of every second word that has one."""
    chosen = _some([at for at in text.words if _synonyms(text, at)], _SYNONYM_SHARE, rng)
    return [
        (*at, english.in_case_of(rng.choice(_synonyms(text, at)), text.word(at))) for at in chosen
    ]


def past_tense(text: Text, _rng: random.Random) -> Replacements:
    """The first verb of each sentence in the past."""
    found: Replacements = []
    for at, verb in _verbs(text):
        past = english.form(verb, "past")
        if past and past != text.word(at).lower():
            found.append((*at, english.in_case_of(past, text.word(at))))
    return found


def future_tense(text: Text, _rng: random.Random) -> Replacements:
    """The first verb of each sentence in the future."""
    return [
        (*at, english.in_case_of(f"will {verb.base}", text.word(at)))
        for at, verb in _verbs(text)
        if verb.form in ("base", "third")
    ]


def paraphrase(text: Text, _rng: random.Random) -> Replacements:
    """Phrases said in another way, and imperatives in the third person, or back.

    What a translation there and back does, by rules, since no such model is at hand.
    """
    found: Replacements = []
    table = english.paraphrases()
    taken: set[int] = set()
    words = text.words
    for first in range(len(words)):
        for n_words in (3, 2, 1):
            last = first + n_words - 1
            if last >= len(words) or taken & set(range(first, last + 1)):
                continue
            start, end = words[first][0], words[last][1]
            phrase = text.text[start:end]
            said = table.get(phrase.lower())
            if said is not None:
                found.append((start, end, english.in_case_of(said, phrase)))
                taken |= set(range(first, last + 1))
                break
    for at, verb in _verbs(text):
        if words.index(at) not in taken and verb.form in ("base", "third"):
            other = english.form(verb, "third" if verb.form == "base" else "base")
            if other is not None and other != text.word(at).lower():
                found.append((*at, english.in_case_of(other, text.word(at))))
    return found


def change_spaces(text: Text, rng: random.Random) -> Replacements:
    """One space of ten between words gone, and one letter of twenty with a space before it."""
    gaps = [
        (end, start)
        for (_, end), (start, _) in zip(text.words, text.words[1:], strict=False)
        if text.text[end:start] == " "
    ]
    inner = [at for start, end in text.words for at in range(start + 1, end)]
    found: Replacements = [(*at, "") for at in _some(gaps, _DROPPED_SPACES, rng)] if gaps else []
    return found + [(at, at, " ") for at in _some(inner, _ADDED_SPACES, rng)]


def neighbours(letter: str) -> list[str]:
    """The letters beside a letter on an English keyboard, in lower case."""
    lower = letter.lower()
    for row_number, row in enumerate(_KEYS):
        at = row.find(lower)
        if at < 0:
            continue
        others = [each for each in (row_number - 1, row_number + 1) if 0 <= each < len(_KEYS)]
        return [
            *(row[each] for each in (at - 1, at + 1) if 0 <= each < len(row)),
            *(_KEYS[other][at] for other in others if at < len(_KEYS[other])),
        ]
    return [lower]


# Of the view at hand: ten changes ask in turn.
@lru_cache(maxsize=1)
def _texts(view: View) -> list[tuple[int, Text]]:
    """The prose near the hole with the byte where it begins."""
    spans = [(node.start_byte, node.end_byte) for node in view.comments]
    for node in view.docstrings:
        inner = [each for each in node.children if each.type == "string_content"]
        spans += [(each.start_byte, each.end_byte) for each in inner]
    found = []
    for start, end in sorted(spans):
        text = view.source[start:end].decode("utf-8", "replace")
        if "\ufffd" in text or _PRAGMA.search(text):
            continue
        found.append((start, Text(text, _words(text, view.names))))
    return [(start, text) for start, text in found if text.words]


def _words(text: str, names: frozenset[str]) -> tuple[tuple[int, int], ...]:
    quoted = [match.span() for match in _QUOTED.finditer(text)]
    return tuple(
        match.span()
        for match in _WORD.finditer(text)
        if match[0] not in names
        and (match[0].islower() or match[0].istitle())
        and not any(start <= match.start() < end for start, end in quoted)
    )


def _edits(start: int, text: Text, replacements: Replacements) -> list[Edit]:
    if not replacements:
        return []
    parts, at = [], 0
    for first, last, new in sorted(replacements):
        parts += [text.text[at:first], new]
        at = last
    made = "".join([*parts, text.text[at:]])
    if made == text.text:
        return []
    return [Edit(start, start + len(text.text.encode()), made.encode())]


def _some(places: list[_T], share: float, rng: random.Random) -> list[_T]:
    """Each of the places by chance, but at least one."""
    chosen = [at for at in places if rng.random() < share]
    return chosen or ([rng.choice(places)] if places else [])


def _synonyms(text: Text, at: tuple[int, int]) -> tuple[str, ...]:
    return english.synonyms(text.word(at).lower())


def _verbs(text: Text) -> list[tuple[tuple[int, int], english.Word]]:
    """The first verb of each sentence that can be told."""
    found: list[tuple[tuple[int, int], english.Word]] = []
    before, is_open, last = "", True, 0
    for at in text.words:
        if re.search(r"[.!?](?:\s|$)|\n\s*\n|\n\W*(?=[A-Z])", text.text[last : at[0]]):
            is_open, before = True, ""
        last = at[1]
        word = text.word(at).lower()
        verbs = [each for each in english.known(word) if each.kind == "verb"]
        is_first = not before
        # Inside a sentence a word that may be a noun is taken for one.
        is_noun = any(each.kind == "noun" for each in english.known(word)) and not is_first
        if is_open and verbs and not is_noun and before not in _BEFORE_NOUNS:
            found.append((at, verbs[0]))
            is_open = False
        before = word
    return found
