"""How long to wait after a keystroke before the model is asked: pure arithmetic.

Front doors hand in what they saw (the typing rhythm, the model's latency); nothing is kept.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

# Below this a keyboard's own repeat would start a request each; it also spares the CPU.
FLOOR_MS = 60.0
# A person who waits this long is not in the middle of a word any more.
CEILING_MS = 600.0
# Of a person's usual interval between keystrokes: a pause longer than that is a pause.
_RHYTHM_FACTOR = 1.25
# Longer gaps are thinking, not typing, and say nothing about the rhythm.
_MAX_INTERVAL_MS = 1000.0
# A model that needs long gains from being asked early, but each request that is cancelled
# costs work: a part of the latency is waited for, so that fewer requests are started in vain.
_LATENCY_SHARE = 0.25
_MAX_INTERVALS = 16


def debounce_ms(intervals_ms: Sequence[float], latency_ms: float) -> float:
    """Milliseconds to wait after the newest keystroke.

    Args:
        intervals_ms: Times between the last keystrokes, the newest last; may be empty.
        latency_ms: What a suggestion usually takes, 0 if nothing is known.

    Returns:
        Between `FLOOR_MS` and `CEILING_MS`: a little more than the typing rhythm, so that a
        request starts at the first pause, and never less than a quarter of the latency.
    """
    typed = [each for each in intervals_ms[-_MAX_INTERVALS:] if 0 <= each <= _MAX_INTERVAL_MS]
    rhythm_ms = statistics.median(typed) * _RHYTHM_FACTOR if typed else FLOOR_MS
    wanted_ms = max(rhythm_ms, latency_ms * _LATENCY_SHARE)
    return min(CEILING_MS, max(FLOOR_MS, wanted_ms))
