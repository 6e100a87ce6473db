"""Completing holes, arm by arm: the same place, model and budgets, with and without lookups.

It knows the pipeline, and neither how holes are cut nor how results are summed up.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass

from codebuddy.code_index import CodeIndex
from codebuddy.completion.head import Head
from codebuddy.completion.latency import LatencyModel
from codebuddy.completion.pipeline import PipelineRequest, PipelineResources, Retriever, complete
from codebuddy.completion.receipt import completion_response
from codebuddy.completion.retrieval import retrieve
from codebuddy.datatypes import Context, Generator, SearchResult, Suggestion
from codebuddy.evaluation.baselines import BASELINES, WindowRetriever
from codebuddy.evaluation.codebleu import codebleu
from codebuddy.evaluation.cold import ColdGenerator
from codebuddy.evaluation.holes import Hole
from codebuddy.evaluation.masked_index import mask
from codebuddy.evaluation.metrics import call_recall, edit_similarity, exact_match, identifier_f1
from codebuddy.evaluation.results import TOKENS, Arm, ArmResult, TaskResult
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import CompletionSettings
from codebuddy.syntax import keywords
from codebuddy.vcs.repository import Repository

# A shorter answer stands in many places and proves no copy.
_MIN_COPIED_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class Bench:
    """What all tasks of a run share; `head` and `pace` decide in the arm `auto`."""

    repository: Repository
    index: RepositoryIndex
    generator: ColdGenerator
    settings: CompletionSettings
    arms: Sequence[Arm]
    seed: int
    head: Head | None
    pace: LatencyModel | None
    baselines: WindowRetriever


def make_bench(
    repository: Repository,
    index: RepositoryIndex,
    generator: Generator,
    settings: CompletionSettings,
    arms: Sequence[Arm],
    seed: int,
    head: Head | None = None,
    pace: LatencyModel | None = None,
) -> Bench:
    """A bench whose generator begins each prompt with an empty cache."""
    cold = ColdGenerator(generator)
    baselines = WindowRetriever(repository, index)
    return Bench(repository, index, cold, settings, arms, seed, head, pace, baselines)


def run_task(hole: Hole, bench: Bench) -> TaskResult:
    """Complete one hole in each arm, in an order that the seed decides, and score the texts.

    Raises:
        CodebuddyError: The model or the index failed.
    """
    arms = list(bench.arms)
    random.Random(f"{bench.seed}:{hole.id}").shuffle(arms)
    masked = mask(bench.index, hole)
    try:
        results = {arm: _run_arm(hole, arm, masked, bench) for arm in arms}
    finally:
        bench.generator.forget()
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
        arms={arm: results[arm] for arm in bench.arms},
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


def _run_arm(hole: Hole, arm: Arm, masked: CodeIndex, bench: Bench) -> ArmResult:
    settings = settings_for(hole, bench.settings)
    request = PipelineRequest(
        document=hole.as_document(bench.repository),
        position=hole.position,
        language=hole.language,
        retrieve="always" if arm == "windows" or arm == "jaccard" else arm,
    )
    resources = PipelineResources(
        generator=bench.generator,
        index=masked,
        settings=settings,
        repository_name=bench.repository.root.name,
        head=bench.head,
        latency=bench.pace,
        retriever=_retriever(hole, arm, bench),
    )
    bench.generator.saved_ms = 0.0
    suggestion = complete(request, resources)
    told = completion_response(suggestion)
    decision = told["decision"]
    return ArmResult(
        text=suggestion.text,
        scores=score(hole, suggestion.text),
        retrieve=bool(decision["retrieve"]),
        probability=float(decision["probability"]),
        threshold=float(decision["threshold"]),
        reason=decision["reason"],
        latency_ms=told["timings_ms"]["total"] + bench.generator.saved_ms,
        timings_ms=told["timings_ms"],
        tokens={name: int(getattr(suggestion.receipt.stats, f"{name}_tokens")) for name in TOKENS},
        chunks=[dict(chunk) for chunk in told["chunks"]],
        has_answer_in_chunks=_has_answer(hole, suggestion),
        finish_reason=told["finish_reason"],
    )


def _retriever(hole: Hole, arm: Arm, bench: Bench) -> Retriever:
    """The lookup of an arm; a baseline never sees the index, nor the hole's own file."""
    if arm not in BASELINES:
        return retrieve
    own_text = hole.source.decode()

    def search(context: Context, _index: CodeIndex, top_k: int) -> list[SearchResult]:
        return bench.baselines.search(arm, context, top_k, own_text)

    return search


def _has_answer(hole: Hole, suggestion: Suggestion) -> bool:
    wanted = " ".join(hole.text.split())
    return len(wanted) >= _MIN_COPIED_CHARACTERS and any(
        wanted in " ".join(packed.result.chunk.text.split()) for packed in suggestion.receipt.chunks
    )
