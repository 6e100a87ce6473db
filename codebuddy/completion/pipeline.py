"""The path of a suggestion, top to bottom: the only place that knows the order of the steps.

Where the cursor is, whether a lookup is worth it, the lookup, the prompt, the generation,
the clean-up; where a text without a lookup came out poor, the same once more with one; the
receipt. Every front door calls `complete`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from codebuddy.code_index import CodeIndex
from codebuddy.completion.context import build_context
from codebuddy.completion.decision import (
    LookupPrice,
    decide,
    decide_again,
    is_likelier,
    names_known,
)
from codebuddy.completion.document import line_ending
from codebuddy.completion.extent import take_extent
from codebuddy.completion.features import NamesKnown
from codebuddy.completion.head import Head
from codebuddy.completion.pace import Pace
from codebuddy.completion.postprocess import clean
from codebuddy.completion.price import lookup_price
from codebuddy.completion.prompt import build_prompt
from codebuddy.completion.prompt_memory import PromptMemory
from codebuddy.completion.reasons import first_kept_reason, too_late_reason
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
from codebuddy.errors import TimeLimitError
from codebuddy.settings import CompletionSettings

_TOP_K = 8
_ALTERNATIVE_TEMPERATURE = 0.6
# Tries for each further alternative, since samples often agree.
_TRIES_PER_ALTERNATIVE = 3

OnText = Callable[[str], None]
# Context, index, how many results: the best results first.
Retriever = Callable[[Context, CodeIndex, int], list[SearchResult]]


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the path works with; `index` is `None` where there is none to ask.

    A `memory` that is kept from call to call lets a file's prompts begin alike. `head` judges
    whether a lookup is worth its price, which `pace` tells and learns; without both of them a
    plain rule decides. `why_no_index` is what a person is told where there is none. `retriever`
    is the lookup; an evaluation sets others.
    """

    generator: Generator
    index: CodeIndex | None
    settings: CompletionSettings
    repository_name: str
    memory: PromptMemory | None = None
    head: Head | None = None
    pace: Pace | None = None
    why_no_index: str = "there is no index to ask"
    retriever: Retriever = retrieve


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: where, whether to look up, and how many alternatives.

    After `budget_ms` the best suggestion so far is returned, 0 means no limit; `is_typing`
    is as in `GenerationSettings`. `extras` are paths and texts that the editor had at hand,
    the most useful first: where a lookup is worth it, they take what it leaves of its budget.
    Who `takes_back` text is told a first suggestion that a second one may replace.
    """

    document: Document
    position: Position
    language: str
    retrieve: RetrieveMode
    alternatives: int = 0
    budget_ms: float = 0.0
    is_typing: bool = False
    extras: tuple[tuple[str, str], ...] = ()
    takes_back: bool = False


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One pass through lookup, prompt, model and clean-up."""

    prompt: Prompt
    stats: GenerationStats
    text: str
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _SecondJudge:
    """What judges a first text: the head, and what the first look knew already."""

    head: Head
    known: NamesKnown
    price: LookupPrice


class _Course:
    """What the steps of one call share; `timings` add up over attempts."""

    def __init__(self, request: Request, workshop: Workshop) -> None:
        self.request, self.workshop = request, workshop
        self.timings: dict[str, float] = {}
        self._started = time.perf_counter()

    def passed_ms(self) -> float:
        """Milliseconds since the call."""
        return (time.perf_counter() - self._started) * 1000

    def left_ms(self) -> float:
        """Milliseconds of the budget that are left, at least one; 0 without a budget."""
        if self.request.budget_ms <= 0:
            return 0.0
        return max(1.0, self.request.budget_ms - self.passed_ms())

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the time of what is done inside to that of `step`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - started) * 1000
            self.timings[step] = self.timings.get(step, 0.0) + spent


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
    course = _Course(request, workshop)
    with course.timed("context"):
        context = build_context(request.document, request.position, request.language)
    with course.timed("decision"):
        known = None if workshop.index is None else names_known(context, workshop.index)
        price = _price(context, workshop)
        head = _usable_head(request, workshop)
        mode, is_shown = request.retrieve, request.takes_back
        why = workshop.why_no_index
        decision = decide(context, mode, known, head, price, is_shown=is_shown, why_no_index=why)
    is_open = decision.stage == "syntax" and not decision.retrieve and decision.mode == "auto"
    is_open = is_open and head is not None and head.confidence is not None
    is_told = request.takes_back or not is_open
    attempt = _attempt(course, context, decision, on_text if is_told else None)
    if is_open:
        assert head is not None
        assert known is not None
        assert price is not None
        judge = _SecondJudge(head, known, price)
        decision, attempt = _look_again(course, context, decision, attempt, judge, on_text)
    if on_text is not None:
        on_text(attempt.text)
    alternatives = []
    if request.alternatives:
        with course.timed("alternatives"):
            alternatives = _sample_alternatives(course, attempt, context)
    course.timings["total"] = course.passed_ms()
    receipt = Receipt(
        model=workshop.generator.name,
        finish_reason=attempt.stats.finish_reason,
        decision=decision,
        chunks=attempt.prompt.chunks,
        stats=attempt.stats,
        timings_ms=course.timings,
        filters=attempt.filters,
        runtime=workshop.generator.runtime,
    )
    ending = line_ending(request.document.text)
    return Suggestion(
        document=request.document,
        position=request.position,
        text=attempt.text.replace("\n", ending),
        receipt=receipt,
        alternatives=tuple(a.replace("\n", ending) for a in alternatives),
    )


def _usable_head(request: Request, workshop: Workshop) -> Head | None:
    """The head, without its second look where the model tells no probabilities.

    None, so that the rule decides, for who types and cannot take text back: a second text would
    be waited for at every pause.
    """
    head = workshop.head
    if request.is_typing and not request.takes_back:
        return None
    if head is not None and not workshop.generator.tells_probabilities:
        return replace(head, confidence=None)
    return head


def _price(context: Context, workshop: Workshop) -> LookupPrice | None:
    """What a lookup costs here; None without a head, which alone asks for it."""
    if workshop.head is None or workshop.pace is None:
        return None
    return lookup_price(context, workshop.settings, workshop.pace, workshop.memory)


def _attempt(
    course: _Course, context: Context, decision: Decision, on_text: OnText | None
) -> _Attempt:
    """Look up or not, prompt the model, clean up."""
    request, workshop = course.request, course.workshop
    results: list[SearchResult] = []
    lookup_started_ms = course.passed_ms()
    with course.timed("retrieval"):
        if decision.retrieve and workshop.index is not None:
            results = workshop.retriever(context, workshop.index, _TOP_K)
            results = with_editor_chunks(results, context, request.extras)
    lookup_ms = course.passed_ms() - lookup_started_ms if decision.retrieve else 0.0
    prompt, generation = Prompt(()), Generation("", GenerationStats(finish_reason="budget"))
    # Another program's tokens have to be waited for: the budget may be over before the prompt is.
    with suppress(TimeLimitError):
        with course.timed("prompt"):
            prompt = _prompt(context, results, course)
        how = GenerationSettings(
            workshop.settings.max_tokens,
            budget_ms=course.left_ms(),
            is_typing=request.is_typing,
        )
        generation = _generate(prompt, context, workshop, how, on_text)
    stats = generation.stats
    for step, spent in (("prefill", stats.prefill_ms), ("generate", stats.generate_ms)):
        course.timings[step] = course.timings.get(step, 0.0) + spent
    if workshop.pace is not None:
        workshop.pace.note(stats, lookup_ms)
    with course.timed("postprocess"):
        text, filters = _finish(_whole_lines(generation), context, workshop.settings)
    return _Attempt(prompt, stats, text, filters)


def _look_again(
    course: _Course,
    context: Context,
    decision: Decision,
    first: _Attempt,
    judge: _SecondJudge,
    on_text: OnText | None,
) -> tuple[Decision, _Attempt]:
    """With a lookup this time, if the first text is poor enough; the likelier text is kept."""
    if not course.workshop.settings.max_tokens:
        # Prompts are only warmed: that of a second text as well.
        _attempt(course, context, replace(decision, retrieve=True), None)
    if not first.stats.token_logprobs:
        # Nothing was written, or the budget is spent.
        return decision, first
    with course.timed("decision"):
        decision = decide_again(
            decision, context, judge.known, first.stats, judge.head, judge.price
        )
        decision = replace(decision, first_ms=course.passed_ms())
    left_ms = course.left_ms()
    if decision.retrieve and left_ms and (decision.expected_ms or 0.0) > left_ms:
        expected = decision.expected_gain or 0.0, decision.expected_ms or 0.0
        reason = too_late_reason(*expected, left_ms)
        decision = replace(decision, retrieve=False, threshold=1.0, reason=reason)
    if not decision.retrieve:
        return decision, first
    if course.request.takes_back and on_text is not None:
        on_text(first.text)
    second = _attempt(course, context, decision, None)
    is_whole = second.stats.finish_reason != "budget"
    if second.text and is_whole and is_likelier(second.stats, first.stats):
        kept = replace(second, stats=second.stats.with_cost_of(first.stats))
        return replace(decision, kept="second"), kept
    kept = replace(first, stats=first.stats.with_cost_of(second.stats))
    reason = first_kept_reason(
        first.stats,
        second.stats,
        is_empty=not second.text,
        budget_ms=course.request.budget_ms,
    )
    return replace(decision, kept="first", reason=reason), kept


def _prompt(context: Context, results: list[SearchResult], course: _Course) -> Prompt:
    """The prompt, with the chunks of the file's last one in their places where that is fair."""
    workshop = course.workshop
    memory, path = workshop.memory, context.document.path
    # A model server, which has to be asked for tokens, may be slow or silent.
    getattr(workshop.generator, "limit_time", lambda _: None)(course.left_ms())
    if memory is not None:
        results = memory.settle(path, results)
    prompt = build_prompt(
        context, results, workshop.generator, workshop.settings, workshop.repository_name
    )
    if memory is not None:
        memory.remember(path, prompt.chunks, context.position.line)
    return prompt


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


def _sample_alternatives(course: _Course, attempt: _Attempt, context: Context) -> list[str]:
    """Other texts for the same prompt, sampled with fixed seeds.

    Fewer if samples agree, or once the budget is spent: its last one is not shown cut off.
    """
    request, workshop, first = course.request, course.workshop, attempt.text
    found: list[str] = []
    for seed in range(1, request.alternatives * _TRIES_PER_ALTERNATIVE + 1):
        if len(found) == request.alternatives:
            break
        how = GenerationSettings(
            workshop.settings.max_tokens,
            temperature=_ALTERNATIVE_TEMPERATURE,
            seed=seed,
            budget_ms=course.left_ms(),
        )
        generation = _generate(attempt.prompt, context, workshop, how)
        if generation.stats.finish_reason == "budget":
            break
        text, _ = _finish(generation.text, context, workshop.settings)
        if text and text != first and text not in found:
            found.append(text)
    return found
