"""Which words of a question say what it is about. It reads the question alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from codebuddy.index.terms import words

# Words of the language, and of asking; none of them says what is asked about.
_FUNCTION_WORDS = frozenset(
    """a about above actually after again all also always am an and another any anything are aren as
    at be because been before behind being below between both but by can cannot could couldn
    did didn do does doesn doing don done down during each either else ever every everything
    explain few find for from get gets getting give given go goes had has hasn have haven
    having he her here him his how however i if in inside instead into is isn it its itself
    just know let like ll look made make makes making many may me mean means might more most
    much must my need needs neither no nor not now of off often on once one ones only onto or
    other our out over own per please rather re really same shall she should shouldn show since
    so some something somewhere still such take taken tell than that the their them then there
    these they thing things this those through thus to too under until up upon us use used uses
    using ve very via want was wasn way ways we well were what whatever when where whether
    which while who whole whom whose why will with within without won would wouldn yes yet you
    your""".split()
)
# Of those, words that tell an English question from one in another language.
_ENGLISH = frozenset(
    "and are by can does for from how is of should the to what when where which who why"
    " with".split()
)
MIN_LETTERS = 3
_MAX_WORDS = 40
# Of the questions of tests/bench/search_questions.txt, all of which are answered, none reaches it.
_DECISIVE_SHARE = 0.4
_MIN_CHUNKS = 100
_CODE = re.compile(r"_|[a-z][A-Z]")


def informative_words(question: str) -> list[str]:
    """The words that another question would not have, each once, as they are written.

    Words in other scripts, of two letters or with digits are left out: too little is known of them.
    """
    return [each for each in dict.fromkeys(_given(question)) if _is_informative(each)]


def is_function_word(word: str) -> bool:
    """Whether every question has such words, so that it tells none from another."""
    return word.lower() in _FUNCTION_WORDS


def is_name(word: str, question: str) -> bool:
    """Whether the question writes it as a name: with a capital, and not as its first word."""
    return word[0].isupper() and word != _given(question)[0]


def is_about(question: str, missing: Sequence[str], n_chunks: int) -> bool:
    """Whether the question is about words that stand nowhere, so that no answer can be right.

    One of them is written as a name, or they are many of its words. The first word does not count:
    it is as often a verb that the code has another one for. Many of its words say nothing where
    there are few chunks, which lack common words too, or where the question names something of
    the code. Never for a question that is not in English, whose words would all be missing.
    """
    given = _given(question)
    if not _is_english(given):
        return False
    lacking = [each for each in missing if each != given[0]]
    if any(is_name(each, question) for each in lacking):
        return True
    asked = informative_words(question)
    if n_chunks < _MIN_CHUNKS or any(_CODE.search(each) for each in asked if each not in missing):
        return False
    return bool(lacking) and len(lacking) / len(asked) >= _DECISIVE_SHARE


def is_in_words(question: str) -> bool:
    """Whether it is a question in English without a name as code writes it."""
    given = _given(question)
    return _is_english(given) and not any(_CODE.search(each) for each in given)


def _is_english(given: Sequence[str]) -> bool:
    return any(each.lower() in _ENGLISH for each in given)


def _given(question: str) -> list[str]:
    return words(question)[:_MAX_WORDS]


def _is_informative(word: str) -> bool:
    return (
        word.isascii()
        and len(word) >= MIN_LETTERS
        and not re.search(r"\d", word)
        and not is_function_word(word)
    )
