"""Which words of a question stand nowhere in the index, or in none of its results.

A word is looked for in every form that it may have: as it is, inflected, abbreviated, derived,
as two words that a name joins, in paths. Words that every question has do not count.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from codebuddy.index.channels import Channels
from codebuddy.index.forms import derived_stems, is_derived_ending, other_forms
from codebuddy.index.lexical import LexicalRanker
from codebuddy.index.question_words import (
    MIN_LETTERS,
    informative_words,
    is_about,
    is_in_words,
    is_name,
)
from codebuddy.index.store import Store
from codebuddy.index.terms import normalized_name, terms

# Of 180 questions that seven repositories answer, the chunk nearest to each has a similarity of at
# least 0.40, and of 191 others 0.36 (docs/log.md).
_FAR = 0.35
# The smallest of those repositories has 1,180; the fewer chunks, the farther is the nearest one.
_MIN_CHUNKS = 1_000
# The encoder that the similarities are of.
_JUDGING_EMBEDDER = "default"


@dataclass(frozen=True, slots=True)
class AbsentWords:
    """Words of a question, as it writes them.

    `nowhere` stand nowhere in the index. `unseen` are names that stand there, and in no result.
    `is_decisive` says that the question is about what is not there: by those words, or since
    `is_far`, which says that no chunk's vector is near to that of the question.
    """

    nowhere: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    is_decisive: bool = False
    is_far: bool = False


def absent_words(
    question: str, channels: Channels, store: Store, results: Sequence[str], embedder: str
) -> AbsentWords:
    """What of the question is missing.

    Args:
        question: In words; names in it count by their parts.
        channels: Of the index.
        store: The same index.
        results: The texts of what was found, with paths and names.
        embedder: What a person calls that of the vectors; only those of `default` are judged.

    Raises:
        ModelError: The encoder cannot be opened.
    """
    lexical = channels.lexical
    asked = informative_words(question)
    vocabulary = _Vocabulary(lexical, store)
    nowhere = [each for each in asked if not _is_known(each, vocabulary)]
    held = {term for text in results for term in terms(text)}
    unseen = [
        each
        for each in asked
        if each not in nowhere and is_name(each, question) and not _is_held(each, held)
    ]
    is_far = embedder == _JUDGING_EMBEDDER and _is_far(question, channels)
    is_decisive = is_far or is_about(question, nowhere, lexical.n_documents)
    return AbsentWords(tuple(nowhere), tuple(unseen), is_decisive, is_far)


def _is_far(question: str, channels: Channels) -> bool:
    """Whether no chunk says anything like the question, which is in English and names no code."""
    if channels.lexical.n_documents < _MIN_CHUNKS or not is_in_words(question):
        return False
    nearest = channels.search_dense(question, 1)
    return bool(nearest) and nearest[0][1] < _FAR


class _Vocabulary:
    """The terms of an index, and those of its paths."""

    def __init__(self, lexical: LexicalRanker, store: Store) -> None:
        self._lexical = lexical
        self._store = store
        self._of_paths: frozenset[str] | None = None

    def has_any(self, wanted: Sequence[str]) -> bool:
        return any(self._lexical.frequencies(wanted).values())

    def has_path_with_any(self, wanted: Sequence[str]) -> bool:
        if self._of_paths is None:
            self._of_paths = frozenset(
                each for path in self._store.paths() for each in terms(os.fsdecode(path))
            )
        return not self._of_paths.isdisjoint(wanted)

    def beginning_with(self, beginning: str) -> list[str]:
        return self._lexical.terms_beginning(beginning)


def _is_known(word: str, vocabulary: _Vocabulary) -> bool:
    """Whether the word stands somewhere, or each part of a name does."""
    lowered = word.lower()
    joined = normalized_name(word)
    # `file_name` for a question's `filename`.
    split = [f"{joined[:at]}_{joined[at:]}" for at in range(2, len(joined) - 1)]
    if vocabulary.has_any([lowered, joined, *other_forms(lowered), *split]):
        return True
    parts = [each for each in terms(word)[1:] if len(each) >= MIN_LETTERS and each != lowered]
    if parts:
        return all(_is_known(each, vocabulary) for each in parts)
    return vocabulary.has_path_with_any([lowered, *other_forms(lowered)]) or any(
        is_derived_ending(each.removeprefix(stem))
        for stem in derived_stems(lowered)
        for each in vocabulary.beginning_with(stem)
    )


def _is_held(word: str, held: set[str]) -> bool:
    lowered = word.lower()
    if not held.isdisjoint((lowered, *other_forms(lowered), *terms(word)[1:])):
        return True
    return any(
        each.startswith(stem) and is_derived_ending(each.removeprefix(stem))
        for stem in derived_stems(lowered)
        for each in held
    )
