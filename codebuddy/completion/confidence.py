"""What the model's own probabilities say of a text that it wrote without a lookup.

Statistics of the tokens' log-probabilities, after CARD (arXiv 2406.10263): a text whose
tokens were sure things is seldom made better by a lookup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from codebuddy.datatypes import GenerationStats

# The first tokens decide where a line goes; the tail is mostly its consequence.
_FIRST = 4
# Used where a runtime reports no probabilities: maximal uncertainty.
_UNKNOWN_LOGPROB = -0.7
_UNKNOWN_ENTROPY = 1.0
_DOUBTFUL = math.log(0.5)

# In words, for receipts, as clauses behind "because": what speaks for a lookup, and what against.
WORDS: dict[str, tuple[str, str]] = {
    "first_logprob": (
        "the model is unsure of its first token",
        "the model is sure of its first token",
    ),
    "first_entropy": ("the model considers many beginnings", "the model considers few beginnings"),
    "first_mean_logprob": (
        "the model is unsure of its first tokens",
        "the model is sure of its first tokens",
    ),
    "mean_logprob": ("the model is unsure on average", "the model is sure on average"),
    "min_logprob": ("one token is a guess", "no token is a guess"),
    "low_quartile_logprob": (
        "the model is unsure of many tokens",
        "the model is sure of nearly all tokens",
    ),
    "median_logprob": ("the model is unsure of most tokens", "the model is sure of most tokens"),
    "spread_logprob": (
        "the model is surer of some tokens than of others",
        "the model is about as sure of one token as of another",
    ),
    "sum_logprob": ("the whole text is unlikely", "the whole text is likely"),
    "doubtful_share": ("the model doubts many tokens", "the model doubts few tokens"),
    "written": (
        "a text of this length often gains by a lookup",
        "a text of this length seldom gains by a lookup",
    ),
    "is_cut": (
        "a text that ends like this one often gains by a lookup",
        "a text that ends like this one seldom gains by a lookup",
    ),
}
# Which of these grow with the model's doubt, and of which nothing is said but what a head finds.
_GROW_WITH_DOUBT = frozenset({"first_entropy", "spread_logprob", "doubtful_share"})
_NEUTRAL = frozenset({"written", "is_cut"})
NAMES = tuple(WORDS)


def confidence_features(stats: GenerationStats) -> dict[str, float]:
    """The statistics of a generation, by name; every name of `NAMES` has a finite number."""
    logprobs = stats.token_logprobs or [_UNKNOWN_LOGPROB]
    entropy = stats.first_token_entropy
    mean = _mean(logprobs)
    ordered = sorted(logprobs)
    return {
        "first_logprob": logprobs[0],
        "first_entropy": _UNKNOWN_ENTROPY if entropy is None else entropy,
        "first_mean_logprob": _mean(logprobs[:_FIRST]),
        "mean_logprob": mean,
        "min_logprob": ordered[0],
        "low_quartile_logprob": ordered[len(ordered) // 4],
        "median_logprob": ordered[len(ordered) // 2],
        "spread_logprob": math.sqrt(_mean([(each - mean) ** 2 for each in logprobs])),
        "sum_logprob": sum(logprobs),
        "doubtful_share": _mean([float(each < _DOUBTFUL) for each in logprobs]),
        "written": math.log1p(stats.generated_tokens),
        "is_cut": float(stats.finish_reason != "stop"),
    }


def is_phrase_true(name: str, distance: float, contribution: float) -> bool:
    """Whether the words for a statistic are true of a text.

    Args:
        name: Of the statistic.
        distance: How far its value lies above the mean.
        contribution: How far it moved the score towards a lookup.
    """
    if name in _NEUTRAL:
        return True
    is_doubtful = (distance > 0) is (name in _GROW_WITH_DOUBT)
    return is_doubtful is (contribution > 0)


def mean_probability(stats: GenerationStats) -> float | None:
    """How likely the model took its tokens to be, as their geometric mean; None if untold."""
    return math.exp(_mean(stats.token_logprobs)) if stats.token_logprobs else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
