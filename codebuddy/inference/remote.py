"""A model server by its URL, for those who cannot or will not load weights here.

Finds out whether llama-server or Ollama listens. Your code goes to that server: only this
machine is allowed unless `model.allow_remote` is set.
"""

from __future__ import annotations

from codebuddy.cancellation import CancellationToken
from codebuddy.errors import ModelError, ServerRefusedError
from codebuddy.inference.http_stream import ModelServer
from codebuddy.inference.installed import ECHO
from codebuddy.inference.llama_server import LlamaServerGenerator
from codebuddy.inference.ollama import OllamaGenerator, find_ollama_model
from codebuddy.settings import ModelSettings

RemoteGenerator = LlamaServerGenerator | OllamaGenerator

_RECOGNIZE_MS = 15_000.0
# A llama-server that wants a key, is busy or still loads its model; others do not know /props.
_NOT_NOW = frozenset({401, 429, 500, 502, 503, 504})


def is_remote(settings: ModelSettings) -> bool:
    """Whether another program generates; the built-in echo needs none."""
    return bool(settings.url) and settings.name != ECHO


def connect(
    settings: ModelSettings, budget_ms: float = 0.0, cancellation: CancellationToken | None = None
) -> RemoteGenerator:
    """The generator behind `model.url`.

    Raises:
        ConfigError: The URL is wrong, or names another machine without leave.
        ModelError: Nothing answers there, or neither llama-server nor Ollama.
        TimeLimitError: It took `budget_ms`, where that is not 0, or far too long.
        SupersededError: `cancellation` is cancelled.
    """
    server = ModelServer(settings.url, may_be_remote=settings.allow_remote)
    # A score of short questions: each may be answered in time, and all of them too late.
    server.limit_time(min(budget_ms or _RECOGNIZE_MS, _RECOGNIZE_MS), cancellation)
    try:
        found = _recognize(server, settings)
    except BaseException:
        server.close()
        raise
    server.limit_time(0)
    return found


def _recognize(server: ModelServer, settings: ModelSettings) -> RemoteGenerator:
    try:
        properties = server.ask("/props")
    except ServerRefusedError as refused:
        if refused.status in _NOT_NOW:
            raise
        model = find_ollama_model(server, settings.name)
        return OllamaGenerator(server, model, settings.n_ctx)
    if not isinstance(properties, dict):
        raise ModelError(f"{server.url} is neither llama-server nor Ollama", hint="check model.url")
    return LlamaServerGenerator(server, properties)
