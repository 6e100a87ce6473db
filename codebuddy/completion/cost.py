"""Estimated latency of retrieval: added prompt tokens plus invalidated KV-cache tokens.

Estimated from the text's length and the file's last prompt; no tokenizer is called, because the
decision itself must cost nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from codebuddy.completion.decision import POINTS_PER_SECOND, RetrievalCost
from codebuddy.completion.latency import LatencyModel
from codebuddy.completion.prompt_history import PromptHistory, PromptKind
from codebuddy.datatypes import Context
from codebuddy.settings import CompletionSettings

# Code in the tokenizers of code models; measured on this project: 3.1 to 3.6.
_CHARACTERS_PER_TOKEN = 3.3
# Of the budget for chunks, what lookups fill on average.
_FILLED = 0.8
# Of a prompt that the KV cache holds for a place nearby, what is evaluated all the same: lookups
# find other chunks there, while a file's own text stays (docs/log.md).
_STALE_SHARE: dict[PromptKind, float] = {"chunks": 0.35, "file": 0.02}


def retrieval_cost(
    context: Context,
    settings: CompletionSettings,
    latency: LatencyModel,
    history: PromptHistory | None,
) -> RetrievalCost:
    """The estimated cost of retrieval at the cursor.

    A file's prompt with chunks and the one without are different prompts: where the cache
    still holds one of them, that one costs little.

    Args:
        context: What is around the cursor.
        settings: Budgets, and what the user prefers.
        latency: Measured latencies of this model on this machine.
        history: The last prompts; None where no KV cache is kept.
    """
    own = _tokens(context.prefix, settings.prefix_tokens)
    own += _tokens(context.suffix, settings.suffix_tokens)
    if history is None:
        return cost_of_tokens(own, settings, latency)
    shares = {kind: _evaluated_share(context, history, kind) for kind in _STALE_SHARE}
    return cost_of_tokens(own, settings, latency, shares)


def cost_of_tokens(
    own: float,
    settings: CompletionSettings,
    latency: LatencyModel,
    evaluated: Mapping[PromptKind, float] | None = None,
) -> RetrievalCost:
    """The cost of retrieval for a prompt of `own` tokens without it.

    Args:
        own: Tokens of the file around the cursor.
        settings: Budgets, and what the user prefers.
        latency: Measured latencies of this model on this machine.
        evaluated: The shares of both prompts that the KV cache does not hold; all by default.
    """
    shares = evaluated or {"chunks": 1.0, "file": 1.0}
    without = own * shares["file"]
    with_lookup = (own + _FILLED * settings.context_tokens) * shares["chunks"]
    return RetrievalCost(
        expected_ms=latency.retrieval_ms(round(without), round(with_lookup)),
        points_per_second=POINTS_PER_SECOND[settings.prefer],
        prompt_ms=latency.retrieval_ms(0, round(with_lookup)),
    )


def _evaluated_share(context: Context, history: PromptHistory, kind: PromptKind) -> float:
    is_warm = history.is_warm(context.document.path, kind, context.position.line)
    return _STALE_SHARE[kind] if is_warm else 1.0


def _tokens(text: str, budget: int) -> float:
    return min(float(budget), len(text) / _CHARACTERS_PER_TOKEN)
