"""Backends of the editor in the terminal, by root and model."""

from __future__ import annotations

from pathlib import Path

from codebuddy.config import load_settings
from codebuddy.engine.client import EngineClient
from codebuddy.service.completion_service import IndexRefresh
from codebuddy.service.in_process_client import InProcessClient
from codebuddy.tui.backend import Backend


class OwnBackend(Backend):
    """Works with the model that is loaded into this process."""

    def __init__(self, root: Path, model: str, index_refresh: IndexRefresh = "background") -> None:
        self.client = InProcessClient(index_refresh=index_refresh)
        super().__init__(root, model, self.client)


class EngineBackend(Backend):
    """Asks the warm engine."""

    def __init__(self, root: Path, model: str) -> None:
        engine = load_settings().settings.engine
        super().__init__(root, model, EngineClient(engine))
