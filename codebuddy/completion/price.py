"""What a lookup would cost here and now: the tokens that it adds, and those it makes stale.

An estimate from the text's length and from what the file's last prompt held; no tokenizer is
asked, because the decision must cost nothing itself. Pure.
"""

from __future__ import annotations

from codebuddy.completion.decision import POINTS_PER_SECOND, LookupPrice
from codebuddy.completion.pace import Pace
from codebuddy.completion.prompt_memory import PromptMemory
from codebuddy.datatypes import Context
from codebuddy.settings import CompletionSettings

# Code in the tokenizers of code models; measured on this project: 3.1 to 3.6.
_CHARACTERS_PER_TOKEN = 3.3
# Of the budget for chunks, what lookups fill on average.
_FILLED = 0.8
# Of a prompt whose beginning the KV cache holds, what typing makes new.
_STALE_WHEN_WARM = 0.15


def lookup_price(
    context: Context, settings: CompletionSettings, pace: Pace, memory: PromptMemory | None
) -> LookupPrice:
    """The price of a lookup at this place.

    Where the file's last prompt had chunks and is still held, a lookup costs little and going
    without one makes all of it stale; where it had none, it is the other way round.

    Args:
        context: What is around the cursor.
        settings: Budgets, and what the user prefers.
        pace: How fast this machine is with this model.
        memory: What the last prompts held; None where no cache is kept.
    """
    own = _tokens(context.prefix, settings.prefix_tokens)
    own += _tokens(context.suffix, settings.suffix_tokens)
    without = own
    with_lookup = own + _FILLED * settings.context_tokens
    last = memory.last_form(context.document.path) if memory is not None else None
    if last == "chunks":
        with_lookup = _STALE_WHEN_WARM * with_lookup
    elif last == "file":
        without = _STALE_WHEN_WARM * without
    return LookupPrice(
        expected_ms=pace.price_ms(round(without), round(with_lookup)),
        points_per_second=POINTS_PER_SECOND[settings.prefer],
    )


def _tokens(text: str, budget: int) -> float:
    return min(float(budget), len(text) / _CHARACTERS_PER_TOKEN)
