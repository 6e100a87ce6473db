"""The path of a suggestion, top to bottom: the only place that knows the order of the steps.

Where the cursor is, whether a lookup is worth it, the lookup, the prompt, the generation,
the clean-up, the receipt. Every front door calls `complete`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from codebuddy.code_index import CodeIndex
from codebuddy.completion.context import build_context
from codebuddy.completion.decision import decide, names_known
from codebuddy.completion.document import line_ending
from codebuddy.completion.extent import take_extent
from codebuddy.completion.head import Head
from codebuddy.completion.pace import Pace
from codebuddy.completion.postprocess import clean
from codebuddy.completion.price import lookup_price
from codebuddy.completion.prompt import build_prompt
from codebuddy.completion.prompt_memory import PromptMemory
from codebuddy.completion.retrieval import retrieve, with_editor_chunks
from codebuddy.datatypes import (
    Context,
    Decision,
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
from codebuddy.settings import CompletionSettings

_TOP_K = 8
_ALTERNATIVE_TEMPERATURE = 0.6
# Tries for each further alternative, since samples often agree.
_TRIES_PER_ALTERNATIVE = 3

OnText = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the path works with; `index` is `None` where there is none to ask.

    A `memory` that is kept from call to call lets a file's prompts begin alike. `head` judges
    whether a lookup is worth its price, which `pace` tells and learns; without both of them a
    plain rule decides.
    """

    generator: Generator
    index: CodeIndex | None
    settings: CompletionSettings
    repository_name: str
    memory: PromptMemory | None = None
    head: Head | None = None
    pace: Pace | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: where, whether to look up, and how many alternatives.

    After `budget_ms` the best suggestion so far is returned, 0 means no limit; `is_typing`
    is as in `GenerationSettings`. `extras` are paths and texts that the editor had at hand,
    the most useful first: where a lookup is worth it, they take what it leaves of its budget.
    """

    document: Document
    position: Position
    language: str
    retrieve: RetrieveMode
    alternatives: int = 0
    budget_ms: float = 0.0
    is_typing: bool = False
    extras: tuple[tuple[str, str], ...] = ()


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
        decision = _decide(request, context, workshop)
    results: list[SearchResult] = []
    with _timed(timings, "retrieval"):
        if decision.retrieve and index is not None:
            results = retrieve(context, index, _TOP_K)
            results = with_editor_chunks(results, context, request.extras)
    with _timed(timings, "prompt"):
        prompt = _prompt(context, results, workshop)
    how = GenerationSettings(
        settings.max_tokens,
        budget_ms=_time_left(request, started),
        is_typing=request.is_typing,
    )
    generation = _generate(prompt, context, workshop, how, on_text)
    _note_times(generation.stats, decision, timings, workshop)
    with _timed(timings, "postprocess"):
        text, filters = _finish(_whole_lines(generation), context, settings)
    if on_text is not None:
        on_text(text)
    alternatives = _sample_alternatives(request, prompt, context, workshop, text, started)
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


def _decide(request: Request, context: Context, workshop: Workshop) -> Decision:
    """Whether to look up, by what the index knows of the names here and what a lookup costs."""
    known = None if workshop.index is None else names_known(context, workshop.index)
    price = None
    if workshop.head is not None and workshop.pace is not None:
        price = lookup_price(context, workshop.settings, workshop.pace, workshop.memory)
    return decide(context, request.retrieve, known, workshop.head, price)


def _note_times(
    stats: GenerationStats, decision: Decision, timings: dict[str, float], workshop: Workshop
) -> None:
    """The model's times go into the receipt, and into what is known of this machine's pace."""
    timings["prefill"], timings["generate"] = stats.prefill_ms, stats.generate_ms
    if workshop.pace is not None:
        workshop.pace.note(stats, timings["retrieval"] if decision.retrieve else 0.0)


def _prompt(context: Context, results: list[SearchResult], workshop: Workshop) -> Prompt:
    """The prompt, with the chunks of the file's last one in their places where that is fair."""
    memory, path = workshop.memory, context.document.path
    if memory is not None:
        results = memory.settle(path, results)
    prompt = build_prompt(
        context, results, workshop.generator, workshop.settings, workshop.repository_name
    )
    if memory is not None:
        memory.remember(path, prompt.chunks)
    return prompt


def _time_left(request: Request, started: float) -> float:
    """Milliseconds of the budget that are left, at least one; 0 without a budget."""
    if request.budget_ms <= 0:
        return 0.0
    return max(1.0, request.budget_ms - (time.perf_counter() - started) * 1000)


def _generate(
    prompt: Prompt,
    context: Context,
    workshop: Workshop,
    how: GenerationSettings,
    on_text: OnText | None = None,
) -> Generation:
    """Run the model until what was asked for is complete; not a token more."""
    settings = workshop.settings
    stats = GenerationStats()
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


def _whole_lines(generation: Generation) -> str:
    """The text, without the line that the end of the budget cut, if there is a line before it."""
    if generation.stats.finish_reason != "budget":
        return generation.text
    lines, line_break, _ = generation.text.rpartition("\n")
    return lines + line_break if lines.strip() else generation.text


def _settled_part(raw: str, context: Context, settings: CompletionSettings) -> str:
    """The part of a growing text that later filters will hardly take back: all but two lines."""
    text, _ = _finish(raw, context, settings)
    return "\n".join(text.split("\n")[:-2])


def _sample_alternatives(
    request: Request,
    prompt: Prompt,
    context: Context,
    workshop: Workshop,
    first: str,
    started: float,
) -> list[str]:
    """Other texts for the same prompt, sampled with fixed seeds.

    Fewer if samples agree, or once the budget is spent: its last one is not shown cut off.
    """
    found: list[str] = []
    for seed in range(1, request.alternatives * _TRIES_PER_ALTERNATIVE + 1):
        if len(found) == request.alternatives:
            break
        how = GenerationSettings(
            workshop.settings.max_tokens,
            temperature=_ALTERNATIVE_TEMPERATURE,
            seed=seed,
            budget_ms=_time_left(request, started),
        )
        generation = _generate(prompt, context, workshop, how)
        if generation.stats.finish_reason == "budget":
            break
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
