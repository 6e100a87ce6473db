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
# Given where a runtime tells nothing: as unsure as a coin.
_UNKNOWN_LOGPROB = -0.7
_UNKNOWN_ENTROPY = 1.0
_DOUBTFUL = math.log(0.5)

# In words, for receipts: what speaks for a lookup, and what against one. `it` is the model.
WORDS: dict[str, tuple[str, str]] = {
    "first_logprob": ("it is unsure of its first token", "it is sure of its first token"),
    "first_entropy": ("it considers many beginnings", "it considers few beginnings"),
    "first_mean_logprob": ("it is unsure of its first tokens", "it is sure of its first tokens"),
    "mean_logprob": ("it is unsure on average", "it is sure on average"),
    "min_logprob": ("one token is a guess", "no token is a guess"),
    "low_quartile_logprob": ("it is unsure of many tokens", "it is sure of nearly all tokens"),
    "median_logprob": ("it is unsure of most tokens", "it is sure of most tokens"),
    "spread_logprob": ("its sureness varies", "its sureness hardly varies"),
    "sum_logprob": ("the text is unlikely", "the text is likely"),
    "doubtful_share": ("it doubts many tokens", "it doubts few tokens"),
    "written": ("how much it wrote", "how much it wrote"),
    "is_cut": ("whether it came to an end", "whether it came to an end"),
}
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


def mean_probability(stats: GenerationStats) -> float | None:
    """How likely the model took its tokens to be, as their geometric mean; None if untold."""
    return math.exp(_mean(stats.token_logprobs)) if stats.token_logprobs else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
