"""Shows how a download goes: a bar on a terminal, else a line at the start, each 10%, the end.

It only shows counts and knows nothing of where the bytes come from.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Protocol

from codebuddy.inference.catalog import format_bytes
from codebuddy.terminal import is_terminal, note


class Progress(Protocol):
    """What a download reports to."""

    def start(self, name: str, total_bytes: int | None, done_bytes: int) -> None:
        """A source begins; `done_bytes` were there before."""
        ...

    def update(self, done_bytes: int) -> None:
        """So many bytes are there now."""
        ...

    def stop(self) -> None:
        """The source is finished, or given up; may be called again."""
        ...


class NoProgress:
    """Says nothing."""

    def start(self, name: str, total_bytes: int | None, done_bytes: int) -> None:
        """Nothing."""

    def update(self, done_bytes: int) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


class LineProgress:
    """Lines for logs: at most one for each tenth."""

    def __init__(self) -> None:
        self._name = ""
        self._total = 0
        self._tenth = 0

    def start(self, name: str, total_bytes: int | None, done_bytes: int) -> None:
        """Name what comes."""
        self._name, self._total = name, total_bytes or 0
        self._tenth = self._tenth_of(done_bytes)
        size = f" ({format_bytes(total_bytes)})" if total_bytes else ""
        resumed = f", going on after {format_bytes(done_bytes)}" if done_bytes else ""
        note(f"downloading {name}{size}{resumed}")

    def update(self, done_bytes: int) -> None:
        """A line when a tenth is full."""
        tenth = self._tenth_of(done_bytes)
        if tenth > self._tenth:
            self._tenth = tenth
            note(f"{self._name}: {tenth * 10}% ({format_bytes(done_bytes)})")

    def stop(self) -> None:
        """Nothing: the command says how it ended."""

    def _tenth_of(self, done_bytes: int) -> int:
        return min(10, done_bytes * 10 // self._total) if self._total else 0


class BarProgress:
    """A bar with rate and time left, on stderr."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def start(self, name: str, total_bytes: int | None, done_bytes: int) -> None:
        """Draw the bar."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self.stop()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(name, total=total_bytes, completed=done_bytes)
        self._bar.start()

    def update(self, done_bytes: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done_bytes)

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def progress_on_stderr() -> Progress:
    """A bar where stderr is a terminal that can draw one, else lines."""
    can_draw = is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"
    return BarProgress() if can_draw else LineProgress()
