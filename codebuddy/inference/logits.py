"""From a row of logits to a token and how sure the model was of it. numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """A chosen token, the natural logarithm of its probability, and the row's entropy.

    `entropy` is in nats, and None where it was not asked for.
    """

    token: int
    logprob: float
    entropy: float | None = None


def choose_greedily(row: Any, *, has_entropy: bool = False) -> TokenChoice:
    """The likeliest token of `row`, float32 of the vocabulary's size."""
    import numpy

    return describe_choice(row, int(numpy.argmax(row)), has_entropy=has_entropy)


def describe_choice(row: Any, token: int, *, has_entropy: bool = False) -> TokenChoice:
    """How likely `token` was among all of `row`; float32 throughout, since that is enough."""
    import numpy

    shifted = row - row.max()
    weights = numpy.exp(shifted)
    total = float(weights.sum())
    log_total = float(numpy.log(total))
    entropy = None
    if has_entropy:
        # H = log sum(w) - sum(w * log w) / sum(w), with w = exp(shifted).
        entropy = max(0.0, log_total - float(numpy.dot(weights, shifted)) / total)
    return TokenChoice(token, min(0.0, float(shifted[token]) - log_total), entropy)
