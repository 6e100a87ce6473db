"""The text that a model server streams, within the budget and the number of tokens asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from codebuddy.datatypes import GenerationSettings, GenerationStats
from codebuddy.errors import GenerationError, TimeLimitError
from codebuddy.inference.http_stream import ModelServer

# Events beyond the tokens asked for: the last one, and progress events.
_SPARE_EVENTS = 64
_MAX_NUMBER = 2.0**62

TakeEvent = Callable[[dict[str, Any], GenerationStats], tuple[str, bool]]


def stream_pieces(
    server: ModelServer,
    events: Iterator[Any],
    settings: GenerationSettings,
    stats: GenerationStats,
    take_event: TakeEvent,
) -> Iterator[str]:
    """Yield the texts of a streamed answer until its last event, or until it is enough.

    With `max_tokens` 0 the first event says that the prompt was evaluated, and nothing is
    yielded. The end of `budget_ms` is no error, but the `finish_reason`.

    Args:
        server: Is asked.
        events: Its `stream`, which nothing was read of.
        settings: Budget and number of tokens.
        stats: Filled in.
        take_event: Notes an event's counts; returns its text, and whether it is the last one.

    Raises:
        SupersededError: The call was cancelled.
        GenerationError: The server failed.
        ModelError: The server cannot be reached, refuses, or sends nonsense.
    """
    stats.finish_reason = "length"
    started = time.perf_counter()
    ends_at = started + settings.budget_ms / 1000 if settings.budget_ms > 0 else float("inf")
    try:
        for count, event in enumerate(events, 1):
            stats.prefill_ms = stats.prefill_ms or (time.perf_counter() - started) * 1000
            if not isinstance(event, dict):
                raise GenerationError(
                    f"the model server {server.url} failed: it sent no JSON object",
                    hint="look at the server's own log",
                )
            text, is_last = take_event(event, stats)
            if not settings.max_tokens:
                stats.generated_tokens = 0
                return
            if text:
                yield text
            if is_last or count >= settings.max_tokens + _SPARE_EVENTS:
                return
            if time.perf_counter() > ends_at:
                stats.finish_reason = "budget"
                return
    except TimeLimitError:
        stats.finish_reason = "budget"
        stats.prefill_ms = stats.prefill_ms or (time.perf_counter() - started) * 1000
        return
    finally:
        events.close()  # type: ignore[attr-defined]
    raise server.broken_off()


def text_of(value: object) -> str:
    """A text that a server sent; empty for what is none. Lone surrogates read as `?`."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def number_of(value: object, otherwise: float = 0.0) -> float:
    """A count or a time that a server reports; `otherwise` for anything implausible."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= _MAX_NUMBER else otherwise  # type: ignore[operator,arg-type]
