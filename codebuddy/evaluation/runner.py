"""Completes holes in each retrieval mode: same position, model and budgets.

It knows the pipeline, and neither how holes are cut nor how results are summed up.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codebuddy.code_index import CodeIndex
from codebuddy.completion.head import Head
from codebuddy.completion.latency import LatencyModel
from codebuddy.completion.pipeline import complete
from codebuddy.completion.pipeline_run import PipelineRequest, PipelineResources, Retriever
from codebuddy.completion.receipt import completion_response
from codebuddy.completion.retrieval import retrieve
from codebuddy.datatypes import (
    RETRIEVE_MODES,
    Adapter,
    Context,
    Generator,
    RetrieveMode,
    SearchResult,
    Suggestion,
)
from codebuddy.evaluation.baselines import BASELINES, WindowRetriever
from codebuddy.evaluation.codebleu import codebleu
from codebuddy.evaluation.cold import ColdGenerator
from codebuddy.evaluation.holes import Hole
from codebuddy.evaluation.masked_index import mask
from codebuddy.evaluation.metrics import call_recall, edit_similarity, exact_match, identifier_f1
from codebuddy.evaluation.results import BASE_MODES, TOKENS, EvaluatedMode, ModeResult, TaskResult
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import CompletionSettings
from codebuddy.syntax import keywords
from codebuddy.vcs.repository import Repository

# A shorter answer stands in many places and proves no copy.
_MIN_COPIED_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class EvaluationSetup:
    """What all tasks of a run share; `head` and `latency` decide in the mode `auto`.

    Texts are written with `adapter`, those of `BASE_MODES` without.
    """

    repository: Repository
    index: RepositoryIndex
    generator: ColdGenerator
    settings: CompletionSettings
    modes: Sequence[EvaluatedMode]
    seed: int
    head: Head | None
    latency: LatencyModel | None
    baselines: WindowRetriever
    adapter: Adapter | None = None


def make_setup(
    repository: Repository,
    index: RepositoryIndex,
    generator: Generator,
    settings: CompletionSettings,
    modes: Sequence[EvaluatedMode],
    seed: int,
    head: Head | None = None,
    latency: LatencyModel | None = None,
    adapter: Adapter | None = None,
) -> EvaluationSetup:
    """A setup whose generator begins each prompt with an empty KV cache."""
    cold = ColdGenerator(generator)
    baselines = WindowRetriever(repository, index)
    return EvaluationSetup(
        repository, index, cold, settings, modes, seed, head, latency, baselines, adapter
    )


def run_task(hole: Hole, setup: EvaluationSetup) -> TaskResult:
    """Complete one hole in each mode, in an order that the seed decides, and score the texts.

    Raises:
        CodebuddyError: The model or the index failed.
    """
    modes = list(setup.modes)
    random.Random(f"{setup.seed}:{hole.id}").shuffle(modes)
    masked = mask(setup.index, hole)
    try:
        results = {mode: run_mode(hole, mode, masked, setup) for mode in modes}
    finally:
        setup.generator.forget()
    place = hole.position
    return TaskResult(
        id=hole.id,
        kind=hole.kind,
        path=hole.path,
        line=place.line,
        column=place.column,
        language=hole.language,
        reference=hole.text,
        callee=hole.callee,
        is_callee_typed=hole.is_callee_typed,
        arms={mode: results[mode] for mode in setup.modes},
    )


def settings_for(hole: Hole, settings: CompletionSettings) -> CompletionSettings:
    """The budgets for a hole: of a line's hole no more than a line is wanted."""
    return dataclasses.replace(settings, max_lines=1) if hole.kind == "line" else settings


def score(hole: Hole, text: str) -> dict[str, float | None]:
    """Every score of `text` as what stands in the hole; CodeBLEU of blocks alone."""
    bleu = None
    if hole.kind == "block":
        before = hole.source[: hole.start_byte].decode()
        after = hole.source[hole.end_byte :].decode()
        bleu = codebleu(text, hole.text, before, after, hole.language)
    return {
        "exact_match": float(exact_match(text, hole.text)),
        "edit_similarity": edit_similarity(text, hole.text),
        "identifier_f1": identifier_f1(text, hole.text, keywords(hole.language)),
        "call_recall": call_recall(text, hole.calls),
        "codebleu": bleu,
    }


def run_mode(
    hole: Hole,
    mode: EvaluatedMode,
    masked: CodeIndex,
    setup: EvaluationSetup,
    altered: Callable[[list[SearchResult]], list[SearchResult]] | None = None,
    scored: Callable[[str], dict[str, float | None]] | None = None,
) -> ModeResult:
    """Complete a hole in one mode.

    Args:
        hole: Which one; its file may be another one than the index has.
        mode: How lookups are decided.
        masked: The index without the hole.
        setup: What all tasks share.
        altered: What becomes of what was looked up; nothing by default.
        scored: The scores of a text; by default against what stood in the hole.

    Raises:
        CodebuddyError: The model or the index failed.
    """
    search = _retriever(mode, setup)

    def search_and_alter(context: Context, index: CodeIndex, top_k: int) -> list[SearchResult]:
        return (altered or list)(search(context, index, top_k))

    request = PipelineRequest(
        hole.as_document(setup.repository), hole.position, hole.language, _retrieve_mode(mode)
    )
    resources = PipelineResources(
        generator=setup.generator,
        index=masked,
        settings=settings_for(hole, setup.settings),
        repository_name=setup.repository.root.name,
        head=setup.head,
        latency=setup.latency,
        retriever=search_and_alter,
        adapter=None if mode in BASE_MODES else setup.adapter,
    )
    setup.generator.begin()
    suggestion = complete(request, resources)
    response = completion_response(suggestion)
    decision = response["decision"]
    if decision["kept"] == "first":
        setup.generator.keep_first()
    return ModeResult(
        text=suggestion.text,
        scores=scored(suggestion.text) if scored else score(hole, suggestion.text),
        retrieve=bool(decision["retrieve"]),
        probability=float(decision["probability"]),
        threshold=float(decision["threshold"]),
        reason=decision["reason"],
        latency_ms=response["timings_ms"]["total"] + setup.generator.saved_ms,
        timings_ms=response["timings_ms"],
        tokens={name: int(getattr(suggestion.receipt.stats, f"{name}_tokens")) for name in TOKENS},
        chunks=[dict(chunk) for chunk in response["chunks"]],
        has_answer_in_chunks=_has_answer(hole, suggestion),
        finish_reason=response["finish_reason"],
    )


def _retrieve_mode(mode: EvaluatedMode) -> RetrieveMode:
    """What the pipeline is asked for in a mode; baselines always look up."""
    if mode in BASE_MODES:
        return BASE_MODES[mode]
    return mode if mode in RETRIEVE_MODES else "always"


def _retriever(mode: EvaluatedMode, setup: EvaluationSetup) -> Retriever:
    """The lookup of a mode; a baseline never sees the index, nor the hole's own file."""
    if mode not in BASELINES:
        return retrieve
    setup.baselines.prepare(mode)

    def search(context: Context, _index: CodeIndex, top_k: int) -> list[SearchResult]:
        return setup.baselines.search(mode, context, top_k)

    return search


def _has_answer(hole: Hole, suggestion: Suggestion) -> bool:
    wanted = " ".join(hole.text.split())
    return len(wanted) >= _MIN_COPIED_CHARACTERS and any(
        wanted in " ".join(packed.result.chunk.text.split()) for packed in suggestion.receipt.chunks
    )
