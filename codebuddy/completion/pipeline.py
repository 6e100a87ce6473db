"""The path of a suggestion, top to bottom: the only place that knows the order of the steps.

Where the cursor is, whether a lookup is worth it, the lookup, the prompt, the generation,
the clean-up, the receipt. Every front door calls `complete`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from codebuddy.completion.context import build_context
from codebuddy.completion.decision import decide
from codebuddy.completion.document import line_ending
from codebuddy.completion.extent import take_extent
from codebuddy.completion.postprocess import clean
from codebuddy.completion.prompt import build_prompt
from codebuddy.completion.retrieval import retrieve
from codebuddy.config import CompletionSettings
from codebuddy.datatypes import (
    CodeIndex,
    Context,
    Document,
    Generation,
    GenerationSettings,
    GenerationStats,
    Generator,
    Position,
    Prompt,
    Receipt,
    RetrieveMode,
    SearchResult,
    Suggestion,
)

_TOP_K = 8
_ALTERNATIVE_TEMPERATURE = 0.6
# Tries for each further alternative, since samples often agree.
_TRIES_PER_ALTERNATIVE = 3

OnText = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the path works with; `index` is `None` where there is none to ask."""

    generator: Generator
    index: CodeIndex | None
    settings: CompletionSettings
    repository_name: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: where, whether to look up, and how many alternatives."""

    document: Document
    position: Position
    language: str
    retrieve: RetrieveMode
    alternatives: int = 0


def complete(request: Request, workshop: Workshop, on_text: OnText | None = None) -> Suggestion:
    """Suggest what goes in at the request's position.

    Args:
        request: The place and the wishes.
        workshop: Model, index and budgets.
        on_text: Called with the text so far while it grows, then with the final one, of
            which the others are beginnings unless a later filter cut further back.

    Raises:
        UsageError: The position is outside the document.
        GenerationError: The model failed.
    """
    timings: dict[str, float] = {}
    started = time.perf_counter()
    settings, index = workshop.settings, workshop.index
    with _timed(timings, "context"):
        context = build_context(request.document, request.position, request.language)
    with _timed(timings, "decision"):
        elsewhere = (
            None
            if index is None
            else index.definition_counts(context.unresolved, request.document.path)
        )
        decision = decide(context, request.retrieve, elsewhere)
    results: list[SearchResult] = []
    with _timed(timings, "retrieval"):
        if decision.retrieve and index is not None:
            results = retrieve(context, index, _TOP_K)
    with _timed(timings, "prompt"):
        prompt = build_prompt(
            context, results, workshop.generator, settings, workshop.repository_name
        )
    generation = _generate(prompt, context, workshop, on_text)
    timings["prefill"] = generation.stats.prefill_ms
    timings["generate"] = generation.stats.generate_ms
    with _timed(timings, "postprocess"):
        text, filters = _finish(generation.text, context, settings)
    if on_text is not None:
        on_text(text)
    alternatives = _sample_alternatives(request, prompt, context, workshop, text)
    timings["total"] = (time.perf_counter() - started) * 1000
    receipt = Receipt(
        model=workshop.generator.name,
        finish_reason=generation.stats.finish_reason,
        decision=decision,
        chunks=prompt.chunks,
        stats=generation.stats,
        timings_ms=timings,
        filters=filters,
        runtime=workshop.generator.runtime,
    )
    ending = line_ending(request.document.text)
    return Suggestion(
        document=request.document,
        position=request.position,
        text=text.replace("\n", ending),
        receipt=receipt,
        alternatives=tuple(a.replace("\n", ending) for a in alternatives),
    )


def _generate(
    prompt: Prompt,
    context: Context,
    workshop: Workshop,
    on_text: OnText | None = None,
    sampling: GenerationSettings | None = None,
) -> Generation:
    """Run the model until what was asked for is complete; not a token more."""
    settings = workshop.settings
    stats = GenerationStats()
    how = sampling or GenerationSettings(settings.max_tokens)
    pieces = workshop.generator.generate(prompt.tokens, how, stats)
    raw = ""
    try:
        for piece in pieces:
            raw += piece
            _, is_certain = take_extent(raw, context, settings.max_lines)
            if is_certain:
                stats.finish_reason = "stop"
                break
            if on_text is not None and piece.endswith("\n"):
                on_text(_settled_part(raw, context, settings))
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
    return Generation(raw, stats)


def _finish(
    raw: str, context: Context, settings: CompletionSettings
) -> tuple[str, tuple[str, ...]]:
    raw = raw.replace("\r\n", "\n")
    taken, _ = take_extent(raw, context, settings.max_lines)
    return clean(taken, context)


def _settled_part(raw: str, context: Context, settings: CompletionSettings) -> str:
    """The part of a growing text that later filters will hardly take back: all but two lines."""
    text, _ = _finish(raw, context, settings)
    return "\n".join(text.split("\n")[:-2])


def _sample_alternatives(
    request: Request, prompt: Prompt, context: Context, workshop: Workshop, first: str
) -> list[str]:
    """Other texts for the same prompt, sampled with fixed seeds; fewer if samples agree."""
    found: list[str] = []
    for seed in range(1, request.alternatives * _TRIES_PER_ALTERNATIVE + 1):
        if len(found) == request.alternatives:
            break
        sampling = GenerationSettings(
            workshop.settings.max_tokens, temperature=_ALTERNATIVE_TEMPERATURE, seed=seed
        )
        generation = _generate(prompt, context, workshop, sampling=sampling)
        text, _ = _finish(generation.text, context, workshop.settings)
        if text and text != first and text not in found:
            found.append(text)
    return found


@contextmanager
def _timed(timings: dict[str, float], step: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        timings[step] = (time.perf_counter() - started) * 1000
