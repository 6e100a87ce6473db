"""One completion request while it is answered: its token, its observers, its time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codebuddy.cancellation import CancellationToken
from codebuddy.service.refresh import BUDGET_SHARE
from codebuddy.service.request import CompletionRequest

if TYPE_CHECKING:
    from codebuddy.completion.pipeline_run import GenerationObserver
    from codebuddy.datatypes import OnText


@dataclass(frozen=True, slots=True)
class RequestRun:
    """What one request brings along, beside its target."""

    request: CompletionRequest
    cancellation: CancellationToken
    arrived_s: float
    on_text: OnText | None
    observer: GenerationObserver | None

    @property
    def has_budget(self) -> bool:
        """Whether its time is limited."""
        return self.request.budget_ms is not None

    def remaining_ms(self) -> float:
        """Remaining milliseconds of the budget, at least one; 0 without a budget."""
        if self.request.budget_ms is None:
            return 0.0
        spent_ms = (time.perf_counter() - self.arrived_s) * 1000
        return max(1.0, self.request.budget_ms - spent_ms)

    def refresh_s(self) -> float:
        """Seconds of the budget that the refresh of an index may take from now on."""
        return self.remaining_ms() / 1000 * BUDGET_SHARE
