"""Makes the app's parts from settings, runs it, and gives the terminal back."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from codebuddy.settings import Settings
from codebuddy.tui.app import CodebuddyApp
from codebuddy.tui.backend import Backend, EngineBackend
from codebuddy.tui.text.buffer import Location

if TYPE_CHECKING:
    from codebuddy.vcs.repository import Repository

# How long a thread of the parser may keep the one that draws waiting.
_SWITCH_INTERVAL_S = 0.001


def launch(
    start: tuple[Path, Location | None] | None,
    settings: Settings,
    *,
    should_use_engine: bool,
    should_restore: bool,
) -> None:
    """Run the editor until the person leaves.

    Args:
        start: A file to open, with a place in it.
        settings: `tui` and `model` count.
        should_use_engine: Ask the warm engine; else the model runs in this process.
        should_restore: Open what was open the last time.

    Raises:
        CodebuddyError: It could not begin (no repository).
        Exception: A bug, after everything was saved.
    """
    folder = _folder_of(start)
    backend = make_backend(folder, settings, should_use_engine=should_use_engine)
    app = CodebuddyApp(
        lambda: _find_repository(folder),
        backend,
        start=start,
        theme_name=settings.tui.theme,
        should_restore=should_restore,
        is_automatic=settings.tui.suggest == "auto",
    )
    _end_well_on_signals(app)
    for name in ("COLUMNS", "LINES"):
        # A shell may have exported the size that its window had once; the terminal knows it.
        os.environ.pop(name, None)
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        app.run(mouse=settings.tui.mouse)
    finally:
        sys.setswitchinterval(before)
    if app.failure is not None:
        raise app.failure


def make_backend(folder: Path, settings: Settings, *, should_use_engine: bool) -> Backend:
    """The engine, or this process itself."""
    if should_use_engine:
        return EngineBackend(folder, settings.model.name)
    from codebuddy.tui.own_backend import OwnBackend

    return OwnBackend(folder, settings.model.name)


def _find_repository(folder: Path) -> Repository:
    from codebuddy.vcs.repository import open_repository

    return open_repository(folder)


def _folder_of(start: tuple[Path, Location | None] | None) -> Path:
    """The folder whose repository is meant: that of the file, if it lies in one."""
    if start is None:
        return Path.cwd()
    path = start[0]
    if path.is_dir():
        return path
    return next((each for each in path.parents if each.is_dir()), Path.cwd())


def _end_well_on_signals(app: CodebuddyApp) -> None:
    """A hang-up, an end or Ctrl-C from outside saves everything and gives the terminal back."""

    def end(_number: int, _frame: FrameType | None) -> None:
        app.call_later(app.leave_now)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), end)
