"""State of one pipeline run: its request, the time that it has taken, and its cancellation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from codebuddy.cancellation import CancellationToken

if TYPE_CHECKING:
    from codebuddy.completion.pipeline import PipelineRequest, PipelineResources


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
