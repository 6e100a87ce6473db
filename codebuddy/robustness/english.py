"""Forms of English words: inflections, tenses, synonyms, from the tables of `words`.

A word that the tables do not know has no other form: nothing is guessed, so that no comment
gets a word that is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from codebuddy.robustness.words import ADJECTIVES, NOUNS, PHRASES, SYNONYMS, VERBS

Form = Literal["base", "third", "past", "participle", "gerund", "plural", "comparative", "most"]
_VOWELS = "aeiou"
# A last consonant that is doubled: "stopped", "getting".
_DOUBLED = frozenset(
    "stop drop get set put cut run swap trim strip skip split shut begin let pop wrap ship plan log"
    " pad submit omit emit map refer unwrap chop scan".split()
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word as the tables know it: its base, what it is, and which form stands there."""

    base: str
    kind: Literal["verb", "noun", "adjective"]
    form: Form


@cache
def forms_of_verb(base: str) -> dict[Form, str]:
    """The forms of a verb of the table."""
    past, participle = _irregular().get(base, ("", ""))
    stem = base + base[-1] if base in _DOUBLED else base
    if not past:
        past = participle = _with_ed(stem)
    third = base[:-1] + "ies" if _ends_in_y(base) else base + _s_after(base)
    third = {"have": "has", "go": "goes", "do": "does"}.get(base, third)
    is_silent = base.endswith("e") and not base.endswith(("ee", "be"))
    gerund = base[:-1] + "ing" if is_silent else stem + "ing"
    forms: dict[Form, str] = {
        "base": base,
        "third": third,
        "past": past,
        "participle": participle,
        "gerund": gerund,
    }
    if base == "be":
        forms |= {"third": "is", "gerund": "being"}
    return forms


@cache
def known(word: str) -> tuple[Word, ...]:
    """What a word in lower case may be; nothing where the tables do not have it."""
    return tuple(_forms().get(word, ()))


def form(word: Word, wanted: Form) -> str | None:
    """Another form of a word; `None` where it has none such."""
    return _table(word).get(wanted, None)


def other_forms(word: Word) -> list[str]:
    """All forms of a word but the one that stands there."""
    table = _table(word)
    now = table[word.form]
    return sorted({each for each in table.values() if each != now})


@cache
def synonyms(word: str) -> tuple[str, ...]:
    """Words in the same form that may stand for `word`, which is in lower case."""
    found: dict[str, None] = {}
    for other in _synonym_table().get(word, ()):
        found[other] = None
    for each in known(word):
        for other in _synonym_table().get(each.base, ()):
            for meant in known(other):
                made = form(meant, each.form) if meant.kind == each.kind else None
                if made is not None and meant.form == "base" and made != word:
                    found[made] = None
    return tuple(found)


@cache
def paraphrases() -> dict[str, str]:
    """Phrases in lower case, and other ways to say the same."""
    return dict(PHRASES)


def in_case_of(made: str, model: str) -> str:
    """`made` with the capitals of `model`."""
    if len(model) > 1 and model.isupper():
        return made.upper()
    return made[:1].upper() + made[1:] if model[:1].isupper() else made


def _table(word: Word) -> dict[Form, str]:
    if word.kind == "verb":
        return forms_of_verb(word.base)
    if word.kind == "noun":
        return {"base": word.base, "plural": _plurals()[word.base]}
    comparative, most = _compared()[word.base]
    return {"base": word.base, "comparative": comparative, "most": most}


@cache
def _forms() -> dict[str, list[Word]]:
    found: dict[str, list[Word]] = {}
    for base in _bases(VERBS):
        for name, text in forms_of_verb(base).items():
            found.setdefault(text, []).append(Word(base, "verb", name))
    for base, plural in _plurals().items():
        found.setdefault(base, []).append(Word(base, "noun", "base"))
        found.setdefault(plural, []).append(Word(base, "noun", "plural"))
    for base, (comparative, most) in _compared().items():
        found.setdefault(base, []).append(Word(base, "adjective", "base"))
        found.setdefault(comparative, []).append(Word(base, "adjective", "comparative"))
        found.setdefault(most, []).append(Word(base, "adjective", "most"))
    return found


def _bases(table: str) -> list[str]:
    return [each.partition("/")[0] for each in table.split()]


@cache
def _irregular() -> dict[str, tuple[str, str]]:
    rows = [each.split("/") for each in VERBS.split() if "/" in each]
    return {base: (past, participle) for base, past, participle in rows}


@cache
def _plurals() -> dict[str, str]:
    table = {}
    for each in NOUNS.split():
        base, _, irregular = each.partition("/")
        regular = base[:-1] + "ies" if _ends_in_y(base) else base + _s_after(base)
        table[base] = irregular or regular
    return table


@cache
def _compared() -> dict[str, tuple[str, str]]:
    rows = [each.split("/") for each in ADJECTIVES.split()]
    return {base: (comparative, most) for base, comparative, most in rows}


@cache
def _synonym_table() -> dict[str, tuple[str, ...]]:
    table: dict[str, dict[str, None]] = {}
    for line in SYNONYMS.strip().replace("\n", "|").split("|"):
        group = line.split()
        for word in group:
            table.setdefault(word, {}).update(dict.fromkeys(w for w in group if w != word))
    return {word: tuple(others) for word, others in table.items()}


def _ends_in_y(word: str) -> bool:
    return word.endswith("y") and word[-2:-1] not in _VOWELS


def _s_after(word: str) -> str:
    return "es" if word.endswith(("s", "sh", "ch", "x", "z", "o")) else "s"


def _with_ed(stem: str) -> str:
    if stem.endswith("e"):
        return stem + "d"
    return stem[:-1] + "ied" if _ends_in_y(stem) else stem + "ed"
