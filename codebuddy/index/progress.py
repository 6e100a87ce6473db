"""An update's progress on stderr: a bar on a terminal, a few quiet lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from codebuddy.terminal import StatusLine, is_terminal, note, wants_color

# Work that ends sooner needs no bar.
_QUIET_S = 0.5
_MEASURED_STAGES = frozenset({"indexing", "embedding"})


class ProgressDisplay:
    """Shows `Progress` values; use it as a context manager, so that the bar goes away."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()

    def show(self, progress: Any) -> None:
        """Show one step."""
        if progress.message:
            self._close()
            StatusLine().clear()
            note(progress.message)
            return
        if progress.stage not in _MEASURED_STAGES or not is_terminal(sys.stderr):
            return
        if self._bar is None:
            if time.monotonic() - self._started < _QUIET_S:
                return
            self._open(progress.total_files)
        self._bar.update(
            self._task,
            description=progress.stage,
            completed=progress.done_files,
            total=progress.total_files,
        )

    def _open(self, total: int) -> None:
        # Costs 0.1 s, which only a long update pays.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(file=sys.stderr, no_color=not wants_color(sys.stderr))
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("files"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task("indexing", total=total)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
