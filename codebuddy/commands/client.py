"""The completion client of a command: the engine, or this process, where a person may be asked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from codebuddy.config import load_settings
from codebuddy.engine.failover import FailoverClient, can_use_engine
from codebuddy.errors import EngineError
from codebuddy.terminal import StatusLine, is_terminal, note, safe_line

if TYPE_CHECKING:
    from codebuddy.service.client import CompletionClient
    from codebuddy.service.in_process_client import InProcessClient


def open_client(status: StatusLine, *, may_use_engine: bool, waiting: str = "") -> CompletionClient:
    """The engine, or this process where there is none to ask.

    Args:
        status: Says what is waited for; the caller clears it.
        may_use_engine: Whether the engine may be asked, and started for it.
        waiting: Shown while the engine works; empty for nothing.

    Raises:
        ConfigError: A setting is wrong.
    """
    settings = load_settings().settings
    if not may_use_engine or not can_use_engine(settings):
        return open_in_process(status)
    from codebuddy.engine.client import EngineClient

    def note_failover(error: EngineError) -> None:
        status.clear()
        remedy = f" ({error.hint})" if error.hint else ""
        note(f"note: {safe_line(error.message)}; working without it{safe_line(remedy)}")

    if waiting:
        status.show(waiting)
    return FailoverClient(
        EngineClient(settings.engine),
        None,
        open_in_process=lambda: open_in_process(status),
        on_failover=note_failover,
        offers_download=is_terminal(sys.stdin) and is_terminal(sys.stderr),
    )


def warn_of_near(near: str) -> None:
    """Say so where the file that a query comes from is not there."""
    if near and not Path(near).exists():
        note(f"warning: {safe_line(near)} is not there; only its folder counts as near")


def open_in_process(status: StatusLine) -> InProcessClient:
    """This process: the index is refreshed first, and a missing model offered for download."""
    from codebuddy.service.in_process_client import InProcessClient
    from codebuddy.service.models import ModelCache

    # What the engine was waited for; a person may be asked next.
    status.clear()
    models = ModelCache(
        offers_download=True,
        on_loading=lambda name: status.show(f"loading {name}"),
        on_loaded=lambda generator, _: status.show(f"{generator.name} reads and writes"),
    )
    return InProcessClient(None, "before", models)
