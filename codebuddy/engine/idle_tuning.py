"""When the engine measures how its model runs best: once, and while nobody wants anything.

It asks the dispatcher for it as anybody would; any other request ends the measuring.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from codebuddy.engine.dispatcher import Dispatcher
from codebuddy.engine.job import Job

# So long nobody asked for anything: a person who types pauses for less.
IDLE_S = 60.0
# After a refusal (full load, battery) or a failure.
_AGAIN_S = 600.0

_log = logging.getLogger("codebuddy.engine")


class IdleTuner:
    """Looks at each tick whether it is time.

    Args:
        dispatcher: What runs the model.
        mode: `engine.tune`.
    """

    def __init__(self, dispatcher: Dispatcher, mode: str) -> None:
        self._dispatcher = dispatcher
        self._mode = mode
        self._job: Job | None = None
        self._not_before = float("-inf")

    def tick(self, idle_s: float) -> None:
        """Begin to measure if nobody asked for anything for `idle_s` and there is a reason to."""
        if self._job is not None and self._job.is_finished:
            self._end(self._job)
        if self._job is not None or self._mode == "off" or idle_s < IDLE_S:
            return
        if time.monotonic() < self._not_before or not self._dispatcher.is_idle:
            return
        if self.is_wanted:
            head = {**self._dispatcher.last_wish, "is_background": True}
            self._job = Job("tune", head, client="tune", priority="background")
            self._dispatcher.submit(self._job)

    @property
    def is_wanted(self) -> bool:
        """Whether a model of this machine is loaded that was not measured yet."""
        loaded = self._dispatcher.loaded
        if loaded is None or loaded["runtime"].get("backend") != "llama.cpp":
            return False
        told: Any = loaded["runtime"].get("tuning")
        return isinstance(told, dict) and told.get("state") not in ("tuned", "off")

    def _end(self, job: Job) -> None:
        """A request that ended it says nothing; what else did, will do so again for a while."""
        self._job = None
        last: dict[str, Any] = {}
        try:
            while True:
                last = job.events.get_nowait()
        except asyncio.QueueEmpty:
            pass
        if last.get("type") == "error" and last.get("kind") != "SupersededError":
            self._not_before = time.monotonic() + _AGAIN_S
            self._dispatcher.why_not_tuned = str(last.get("message"))
            _log.info("not tuned: %s", self._dispatcher.why_not_tuned)
        elif last.get("type") == "result":
            # Its model is loaded again, and says what holds.
            self._dispatcher.why_not_tuned = ""
            self._not_before = time.monotonic() + _AGAIN_S
