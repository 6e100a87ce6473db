"""How far an evaluation is and how long it may still take, on stderr."""

from __future__ import annotations

import sys
import time
from typing import Any

from codebuddy.terminal import is_terminal, note, wants_color

# Elsewhere than on a terminal, a line now and then says that it goes on.
_QUIET_INTERVAL_S = 60.0


class TaskProgress:
    """A bar over tasks; use it as a context manager, so that the bar goes away."""

    def __init__(self, what: str, total: int, done: int = 0) -> None:
        self._what = what
        self._total = total
        self._done = done
        self._begun_with = done
        self._started = self._told = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> TaskProgress:
        if is_terminal(sys.stderr) and self._total:
            self._open()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def advance(self, detail: str = "") -> None:
        """One more task is done."""
        self._done += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, detail=detail)
            return
        now = time.monotonic()
        if now - self._told >= _QUIET_INTERVAL_S:
            self._told = now
            per_task = (now - self._started) / (self._done - self._begun_with)
            left_min = per_task * (self._total - self._done) / 60
            note(f"{self._what}: {self._done} of {self._total}, about {left_min:.0f} min left")

    def _open(self) -> None:
        # Costs 0.1 s, which only a terminal pays.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn(self._what),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=Console(file=sys.stderr, no_color=not wants_color(sys.stderr)),
            transient=True,
            # Estimates over several tasks, since kinds take different times.
            speed_estimate_period=600,
        )
        self._bar.start()
        self._task = self._bar.add_task(
            self._what, total=self._total, completed=self._done, detail=""
        )
