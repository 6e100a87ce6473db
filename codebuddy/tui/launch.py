"""Makes the app's parts from settings, runs it, and gives the terminal back."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from codebuddy.settings import Settings
from codebuddy.tui.app import CodebuddyApp
from codebuddy.tui.backend import open_backend
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
    folder, has_file = _folder_of(start), start is not None
    backend = open_backend(folder, settings, should_use_engine=should_use_engine)
    app = CodebuddyApp(
        lambda: _find_repository(folder, may_be_outside=has_file),
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


def _find_repository(folder: Path, *, may_be_outside: bool) -> Repository:
    """The repository around `folder`.

    Outside of any, a file can be edited and completed all the same: what stands for the
    repository then lists no files, and keeps unsaved text in the cache folder.
    """
    from codebuddy import paths
    from codebuddy.errors import NotInRepositoryError
    from codebuddy.vcs.repository import Repository, open_repository

    try:
        return open_repository(folder)
    except NotInRepositoryError:
        if not may_be_outside:
            raise
    root = Path(os.path.realpath(folder))
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:32]
    return Repository(root, root / ".git", paths.fallback_indexes_folder() / name, is_shallow=False)


def _folder_of(start: tuple[Path, Location | None] | None) -> Path:
    """The folder whose repository is meant: that of the file, where it really lies."""
    from codebuddy.vcs.location import real_folder

    return Path.cwd() if start is None else real_folder(str(start[0]))


def _end_well_on_signals(app: CodebuddyApp) -> None:
    """A hang-up, an end or Ctrl-C from outside saves everything and gives the terminal back."""

    def end(_number: int, _frame: FrameType | None) -> None:
        app.call_later(app.exit_now)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), end)
