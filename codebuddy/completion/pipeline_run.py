"""Input and state of one pipeline run: request, resources, time spent, cancellation."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from codebuddy.cancellation import CancellationToken
from codebuddy.code_index import CodeIndex
from codebuddy.completion.head import Head
from codebuddy.completion.latency import LatencyModel
from codebuddy.completion.prompt_history import PromptHistory
from codebuddy.completion.retrieval import retrieve
from codebuddy.datatypes import (
    Adapter,
    Context,
    Document,
    GenerationStats,
    Generator,
    Position,
    Prompt,
    RetrieveMode,
    SearchResult,
)
from codebuddy.settings import CompletionSettings

# Context, index, how many results: the best results first.
Retriever = Callable[[Context, CodeIndex, int], list[SearchResult]]


@dataclass(frozen=True, slots=True)
class PipelineResources:
    """The objects that the pipeline uses; `index` is `None` where there is none.

    A `prompt_history` shared by calls gives a file's prompts the same beginning. `head` decides
    whether retrieval is worth its cost, which `latency` estimates and records; without both a rule
    decides. `no_index_reason` is shown where there is no index. `retriever`
    is the lookup; an evaluation sets others. `adapter` acts on what is generated where the prompt
    asks for the middle.
    """

    generator: Generator
    index: CodeIndex | None
    settings: CompletionSettings
    repository_name: str
    prompt_history: PromptHistory | None = None
    head: Head | None = None
    latency: LatencyModel | None = None
    no_index_reason: str = "there is no index to ask"
    retriever: Retriever = retrieve
    adapter: Adapter | None = None


@dataclass(frozen=True, slots=True)
class PipelineRequest:
    """What to complete: position, retrieval mode, number of alternatives.

    After `budget_ms` the best suggestion so far is returned, 0 means no limit; `is_typing`: a
    person types, and each pause asks. `extras` are paths and texts that the editor sent, the most
    useful first: where retrieval runs, they fill what it leaves of its budget. `accepts_revision`:
    the client can replace a suggestion that it already shows. `reuses_moved`: as while typing, what
    merely moved in the KV cache is not evaluated again. `reads_ahead`: nobody is there yet.
    """

    document: Document
    position: Position
    language: str
    retrieve: RetrieveMode
    alternatives: int = 0
    budget_ms: float = 0.0
    is_typing: bool = False
    extras: tuple[tuple[str, str], ...] = ()
    accepts_revision: bool = False
    reuses_moved: bool = False
    reads_ahead: bool = False


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """Result of one pass through retrieval, prompt, model and post-processing."""

    prompt: Prompt
    stats: GenerationStats
    text: str
    filters: tuple[str, ...]


class GenerationObserver(Protocol):
    """Follows each generation of a run piece by piece, those of alternatives included."""

    def began(self) -> None:
        """A generation began; the pieces before it belong to another one."""
        ...

    def piece(self, text: str) -> None:
        """The model wrote `text`, before anything is cleaned up."""
        ...


class PipelineRun:
    """State of one pipeline run; `timings`, in milliseconds, accumulate over generations."""

    def __init__(
        self,
        request: PipelineRequest,
        resources: PipelineResources,
        cancellation: CancellationToken,
        observer: GenerationObserver | None,
    ) -> None:
        self.request, self.resources = request, resources
        self.cancellation, self.observer = cancellation, observer
        self.timings: dict[str, float] = {}
        self._started_s = time.perf_counter()

    def with_resources(self, resources: PipelineResources) -> PipelineRun:
        """This run, its time and timings included, with other resources."""
        other = copy.copy(self)
        other.resources = resources
        return other

    def with_limit(self, limit_ms: float) -> PipelineRun:
        """This run with a budget that ends `limit_ms` from now, or sooner where its own does."""
        other = copy.copy(self)
        end_ms = self.elapsed_ms() + limit_ms
        if self.request.budget_ms > 0:
            end_ms = min(end_ms, self.request.budget_ms)
        other.request = replace(self.request, budget_ms=end_ms)
        return other

    def elapsed_ms(self) -> float:
        """Milliseconds since the call."""
        return (time.perf_counter() - self._started_s) * 1000

    def remaining_ms(self) -> float:
        """Remaining milliseconds of the budget, at least one; 0 without a budget."""
        if self.request.budget_ms <= 0:
            return 0.0
        return max(1.0, self.request.budget_ms - self.elapsed_ms())

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the time of what is done inside to that of `step`.

        Raises:
            SupersededError: The request is cancelled.
        """
        self.cancellation.check()
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - started) * 1000
            self.timings[step] = self.timings.get(step, 0.0) + spent
