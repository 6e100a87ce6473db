"""The completion pipeline, top to bottom: the only module that knows the order of the steps.

Context, decision, retrieval, prompt, generation, post-processing; if the confidence stage rates a
text without retrieval as poor, the same again with retrieval; the receipt. Every front end calls
`complete`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from codebuddy.cancellation import CancellationToken
from codebuddy.completion.context import build_context
from codebuddy.completion.cost import retrieval_cost
from codebuddy.completion.decision import (
    RetrievalCost,
    count_definitions,
    decide,
    decide_after_generation,
    has_higher_likelihood,
)
from codebuddy.completion.document import line_ending
from codebuddy.completion.extent import take_extent
from codebuddy.completion.features import DefinitionCounts
from codebuddy.completion.head import Head
from codebuddy.completion.pipeline_run import (
    GenerationObserver,
    GenerationResult,
    PipelineRequest,
    PipelineResources,
    PipelineRun,
)
from codebuddy.completion.postprocess import clean
from codebuddy.completion.prompt import build_prompt
from codebuddy.completion.reasons import first_text_kept_reason, too_late_reason
from codebuddy.completion.retrieval import with_editor_chunks
from codebuddy.completion.two_steps import better_of_steps, first_step
from codebuddy.datatypes import (
    Context,
    Decision,
    Generation,
    GenerationSettings,
    GenerationStats,
    OnText,
    Prompt,
    Receipt,
    SearchResult,
    Suggestion,
)
from codebuddy.errors import TimeLimitError
from codebuddy.settings import CompletionSettings

_TOP_K = 8
_ALTERNATIVE_TEMPERATURE = 0.6
# Tries for each further alternative, since samples often agree.
_TRIES_PER_ALTERNATIVE = 3


@dataclass(frozen=True, slots=True)
class _ConfidenceStage:
    """Input of the confidence stage: the head, and what the syntax stage computed."""

    head: Head
    counts: DefinitionCounts
    cost: RetrievalCost


def complete(
    request: PipelineRequest,
    resources: PipelineResources,
    on_text: OnText | None = None,
    cancellation: CancellationToken | None = None,
    observer: GenerationObserver | None = None,
) -> Suggestion:
    """Suggest what goes in at the request's position.

    Args:
        request: The position and the options.
        resources: Model, index and budgets.
        on_text: Called with the text so far while it grows, then with the final one, of
            which the others are beginnings unless a later filter cut further back.
        cancellation: Looked at between the steps and at each piece of text.
        observer: Told of each generation and its pieces.

    Raises:
        SupersededError: It is cancelled.
        UsageError: The position is outside the document.
        GenerationError: The model failed.
    """
    run = PipelineRun(request, resources, cancellation or CancellationToken(), observer)
    with run.timed("context"):
        context = build_context(request.document, request.position, request.language)
    with run.timed("decision"):
        counts = None if resources.index is None else count_definitions(context, resources.index)
        cost = _retrieval_cost(context, resources)
        head = _usable_head(request, resources)
        mode, is_shown = request.retrieve, request.accepts_revision
        why = resources.no_index_reason
        decision = decide(context, mode, counts, head, cost, is_shown=is_shown, no_index_reason=why)
    may_retry = decision.stage == "syntax" and not decision.retrieve and decision.mode == "auto"
    may_retry = may_retry and head is not None and head.confidence is not None
    is_streamed = request.accepts_revision or not may_retry
    provisional = _provisional(run, context, decision, on_text)
    if provisional is not None:
        is_streamed = False
    result = _run_generation(run, context, decision, on_text if is_streamed else None)
    if may_retry:
        assert head is not None
        assert counts is not None
        assert cost is not None
        stage = _ConfidenceStage(head, counts, cost)
        decision, result = _retry_with_retrieval(run, context, decision, result, stage, on_text)
    if provisional is not None:
        decision, result = better_of_steps(decision, provisional, result)
    if on_text is not None:
        on_text(result.text)
    alternatives = []
    if request.alternatives:
        with run.timed("alternatives"):
            alternatives = _sample_alternatives(run, result, context)
    return _suggestion(run, decision, result, alternatives)


def _suggestion(
    run: PipelineRun, decision: Decision, result: GenerationResult, alternatives: list[str]
) -> Suggestion:
    """The texts with the document's own line endings, and the receipt."""
    request, resources = run.request, run.resources
    generator, middle = resources.generator, resources.generator.fim.middle
    run.timings["total"] = run.elapsed_ms()
    receipt = Receipt(
        model=generator.name,
        finish_reason=result.stats.finish_reason,
        decision=decision,
        chunks=result.prompt.chunks,
        stats=result.stats,
        timings_ms=run.timings,
        filters=result.filters,
        runtime=generator.runtime,
        adapter=resources.adapter if _asks_adapter(result.prompt.tokens, middle) else None,
        is_adapter_in_head=_knows_adapter(resources),
    )
    ending = line_ending(request.document.text)
    return Suggestion(
        document=request.document,
        position=request.position,
        text=result.text.replace("\n", ending),
        receipt=receipt,
        alternatives=tuple(a.replace("\n", ending) for a in alternatives),
    )


def _asks_adapter(tokens: Sequence[int], middle: int | None) -> bool:
    """Whether an adapter acts behind a prompt: where it asks for a middle, or could not."""
    return middle in tokens if middle is not None else bool(tokens)


def _knows_adapter(resources: PipelineResources) -> bool:
    """Whether the head learned from texts that were written with the adapter."""
    head, adapter = resources.head, resources.adapter
    return bool(head and adapter and head.trained_for.get("adapter") == adapter.sha256)


def _usable_head(request: PipelineRequest, resources: PipelineResources) -> Head | None:
    """The head, without its confidence stage where the model reports no probabilities.

    None, so that the rule decides, while typing in a client that accepts no revision: each pause
    would wait for a second generation.
    """
    head = resources.head
    if request.is_typing and not request.accepts_revision:
        return None
    if head is not None and not resources.generator.has_probabilities:
        return replace(head, confidence=None)
    return head


def _retrieval_cost(context: Context, resources: PipelineResources) -> RetrievalCost | None:
    """The cost of retrieval; None without a head, its only reader."""
    if resources.head is None or resources.latency is None:
        return None
    return retrieval_cost(context, resources.settings, resources.latency, resources.prompt_history)


def _run_generation(
    run: PipelineRun, context: Context, decision: Decision, on_text: OnText | None
) -> GenerationResult:
    """Retrieve if decided, prompt the model, post-process."""
    request, resources = run.request, run.resources
    results: list[SearchResult] = []
    retrieval_started_ms = run.elapsed_ms()
    with run.timed("retrieval"):
        if decision.retrieve and resources.index is not None:
            results = resources.retriever(context, resources.index, _TOP_K)
            results = with_editor_chunks(results, context, request.extras)
    retrieval_ms = run.elapsed_ms() - retrieval_started_ms if decision.retrieve else 0.0
    prompt, generation = Prompt(()), Generation("", GenerationStats(finish_reason="budget"))
    # Another program's tokens have to be waited for: the budget may be over before the prompt is.
    with suppress(TimeLimitError):
        with run.timed("prompt"):
            prompt = _prompt(context, results, run)
        generation_settings = GenerationSettings(
            resources.settings.max_tokens,
            budget_ms=run.remaining_ms(),
            is_typing=request.is_typing or request.reuses_moved,
            adapter=resources.adapter,
            reads_ahead=request.reads_ahead,
        )
        generation = _generate(prompt, context, run, generation_settings, on_text)
    stats = generation.stats
    for step, spent in (("prefill", stats.prefill_ms), ("generate", stats.generate_ms)):
        run.timings[step] = run.timings.get(step, 0.0) + spent
    if resources.latency is not None:
        resources.latency.record(stats, retrieval_ms)
    with run.timed("postprocess"):
        text, filters = _finish(_whole_lines(generation), context, resources.settings)
    return GenerationResult(prompt, stats, text, filters)


def _provisional(
    run: PipelineRun, context: Context, decision: Decision, on_text: OnText | None
) -> GenerationResult | None:
    """The text of a first step, shown; None where there is no such step."""
    short = None if on_text is None else first_step(run, context)
    if short is None or on_text is None:
        return None
    result = _run_generation(short, context, replace(decision, retrieve=False), None)
    on_text(result.text)
    return result


def _retry_with_retrieval(
    run: PipelineRun,
    context: Context,
    decision: Decision,
    first: GenerationResult,
    stage: _ConfidenceStage,
    on_text: OnText | None,
) -> tuple[Decision, GenerationResult]:
    """Generate again with retrieval if the confidence stage asks for it; keep the likelier text."""
    if not run.resources.settings.max_tokens:
        # Prewarming only: evaluate the prompt of a second generation too.
        _run_generation(run, context, replace(decision, retrieve=True), None)
    if not first.stats.token_logprobs:
        # Nothing was generated, or the budget is spent.
        return decision, first
    with run.timed("decision"):
        decision = decide_after_generation(
            decision, context, stage.counts, first.stats, stage.head, stage.cost
        )
        decision = replace(decision, first_ms=run.elapsed_ms())
    remaining_ms = run.remaining_ms()
    estimate = decision.expected_gain or 0.0, decision.expected_ms or 0.0
    if decision.retrieve and remaining_ms and estimate[1] > remaining_ms:
        reason = too_late_reason(*estimate, remaining_ms)
        decision = replace(decision, retrieve=False, threshold=1.0, reason=reason)
    if not decision.retrieve:
        return decision, first
    if run.request.accepts_revision and on_text is not None:
        on_text(first.text)
    # What was estimated on an idle machine may take ten times as long on a busy one.
    limited = run.with_limit(stage.cost.longest_ms(*estimate))
    second = _run_generation(limited, context, decision, None)
    is_whole = second.stats.finish_reason != "budget"
    if second.text and is_whole and has_higher_likelihood(second.stats, first.stats):
        kept = replace(second, stats=second.stats.with_cost_of(first.stats))
        return replace(decision, kept="second"), kept
    kept = replace(first, stats=first.stats.with_cost_of(second.stats))
    reason = first_text_kept_reason(
        first.stats,
        second.stats,
        is_empty=not second.text,
        budget_ms=limited.request.budget_ms,
    )
    return replace(decision, kept="first", reason=reason), kept


def _prompt(context: Context, results: list[SearchResult], run: PipelineRun) -> Prompt:
    """The prompt, with the chunks of the file's last prompt in stable order where possible."""
    resources = run.resources
    history, path = resources.prompt_history, context.document.path
    # A model server, which has to be asked for tokens, may be slow or silent.
    limit_time = getattr(resources.generator, "limit_time", None)
    if limit_time is not None:
        limit_time(run.remaining_ms(), run.cancellation)
    if history is not None:
        results = history.stable_chunk_order(path, results)
    prompt = build_prompt(
        context, results, resources.generator, resources.settings, resources.repository_name
    )
    if history is not None:
        history.record(path, prompt.chunks, context.position.line)
    return prompt


def _generate(
    prompt: Prompt,
    context: Context,
    run: PipelineRun,
    generation_settings: GenerationSettings,
    on_text: OnText | None = None,
) -> Generation:
    """Run the model until what was asked for is complete; not a token more."""
    settings, cancellation = run.resources.settings, run.cancellation
    stats = GenerationStats()
    pieces = run.resources.generator.generate(
        prompt.tokens, generation_settings, stats, cancellation
    )
    if run.observer is not None:
        run.observer.began()
    raw = ""
    try:
        for piece in pieces:
            cancellation.check()
            if run.observer is not None:
                run.observer.piece(piece)
            raw += piece
            _, is_certain = take_extent(raw, context, settings.max_lines)
            if is_certain:
                stats.finish_reason = "stop"
                break
            if on_text is not None and piece.endswith("\n"):
                on_text(_stable_part(raw, context, settings))
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


def _stable_part(raw: str, context: Context, settings: CompletionSettings) -> str:
    """The part of a growing text that later filters rarely change: all but the last two lines."""
    text, _ = _finish(raw, context, settings)
    return "\n".join(text.split("\n")[:-2])


def _sample_alternatives(run: PipelineRun, result: GenerationResult, context: Context) -> list[str]:
    """Other texts for the same prompt, sampled with fixed seeds.

    Fewer if samples agree, or once the budget is spent: its last one is not shown cut off.
    """
    request, resources, first = run.request, run.resources, result.text
    found: list[str] = []
    for seed in range(1, request.alternatives * _TRIES_PER_ALTERNATIVE + 1):
        if len(found) == request.alternatives:
            break
        generation_settings = GenerationSettings(
            resources.settings.max_tokens,
            temperature=_ALTERNATIVE_TEMPERATURE,
            seed=seed,
            budget_ms=run.remaining_ms(),
            adapter=resources.adapter,
        )
        generation = _generate(result.prompt, context, run, generation_settings)
        if generation.stats.finish_reason == "budget":
            break
        text, _ = _finish(generation.text, context, resources.settings)
        if text and text != first and text not in found:
            found.append(text)
    return found
