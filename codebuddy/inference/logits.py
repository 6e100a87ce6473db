"""From a row of logits to a token and how sure the model was of it. numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from codebuddy.errors import GenerationError


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
    """How likely `token` was among all of `row`; float32 throughout, since that is enough.

    Raises:
        GenerationError: There are numbers in the row that are none, as weights that are too large
            make them: any token would seem certain.
    """
    import numpy

    shifted = row - row.max()
    weights = numpy.exp(shifted)
    total = float(weights.sum())
    if not math.isfinite(total):
        raise GenerationError(
            "the model's answer is no number",
            hint="set model.adapter to none, if there is one; codebuddy models verify",
        )
    log_total = float(numpy.log(total))
    entropy = None
    if has_entropy:
        # H = log sum(w) - sum(w * log w) / sum(w), with w = exp(shifted).
        entropy = max(0.0, log_total - float(numpy.dot(weights, shifted)) / total)
    return TokenChoice(token, min(0.0, float(shifted[token]) - log_total), entropy)
