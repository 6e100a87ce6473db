"""A clock that stands still while a training gives way to the user."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

_POLL_S = 5.0


@dataclass(slots=True)
class PausableClock:
    """Seconds that were worked; `why_to_wait` gives a reason for a pause, or an empty text."""

    why_to_wait: Callable[[], str]
    on_pause: Callable[[str], None]
    poll_s: float = _POLL_S
    paused_s: float = 0.0

    def __call__(self) -> float:
        """Seconds, without those of pauses."""
        return time.monotonic() - self.paused_s

    def wait(self) -> None:
        """Return once there is no reason to wait any more."""
        while reason := self.why_to_wait():
            self.on_pause(reason)
            started = time.monotonic()
            time.sleep(self.poll_s)
            self.paused_s += time.monotonic() - started
