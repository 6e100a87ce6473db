"""What suggestions were worth in this session: shown, taken, turned away, and how fast.

It counts; it stores nothing and knows nothing of code.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from codebuddy.service.response import CompletionResponse
from codebuddy.terminal import counted

# A usual interval between keys in code, until the user's own is known.
_USUAL_INTERVAL_MS = 220.0
_MAX_LATENCIES = 60
_MAX_INTERVALS = 64
_PAUSE_MS = 1000.0


@dataclass(slots=True)
class SessionStatistics:
    """Counts since the program began; characters without blanks."""

    shown: int = 0
    accepted: int = 0
    accepted_characters: int = 0
    typed_over_characters: int = 0
    dismissed: int = 0
    lookups: int = 0
    lookups_skipped: int = 0
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_MAX_LATENCIES))
    intervals_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_MAX_INTERVALS))
    last_key_at_s: float = 0.0

    def note_key(self, at_s: float) -> None:
        """A character was typed at `at_s` (a monotonic clock)."""
        if self.last_key_at_s:
            self.intervals_ms.append((at_s - self.last_key_at_s) * 1000)
        self.last_key_at_s = at_s

    def note_answer(self, response: CompletionResponse, latency_ms: float) -> None:
        """A suggestion arrived; empty ones count for the latency and the lookups only."""
        self.latencies_ms.append(latency_ms)
        if response["decision"]["retrieve"]:
            self.lookups += 1
        else:
            self.lookups_skipped += 1

    @property
    def latency_ms(self) -> float:
        """The median of the last latencies; 0 if there are none."""
        return statistics.median(self.latencies_ms) if self.latencies_ms else 0.0

    @property
    def saved_s(self) -> float:
        """Seconds of typing spared: accepted characters times the user's own key interval."""
        typed = [each for each in self.intervals_ms if each < _PAUSE_MS]
        interval_ms = statistics.median(typed) if len(typed) >= 10 else _USUAL_INTERVAL_MS
        return self.accepted_characters * interval_ms / 1000

    def summary(self) -> str:
        """One line for the footer."""
        parts = [f"{self.accepted}/{self.shown} accepted"]
        if self.typed_over_characters:
            parts.append(f"{self.typed_over_characters} typed over")
        if self.lookups + self.lookups_skipped:
            parts.append(f"{counted(self.lookups_skipped, 'lookup')} skipped")
        if self.accepted_characters:
            parts.append(f"{_duration(self.saved_s)} saved")
        return ", ".join(parts)


_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float] | deque[float], width: int) -> str:
    """The last `width` values as bars, the highest of them full."""
    last = list(values)[-width:]
    if not last:
        return ""
    top = max(*last, 1e-9) if len(last) > 1 else max(last[0], 1e-9)
    return "".join(_BARS[min(7, int(value / top * 7.999))] for value in last)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
