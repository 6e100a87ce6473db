"""A model server by its URL, for those who cannot or will not load weights here.

Finds out whether llama-server or Ollama listens. Your code goes to that server: only this
machine is allowed unless `model.allow_remote` is set.
"""

from __future__ import annotations

from codebuddy.errors import ModelError
from codebuddy.inference.http_stream import ModelServer
from codebuddy.inference.installed import ECHO
from codebuddy.inference.llama_server import LlamaServerGenerator
from codebuddy.inference.ollama import OllamaGenerator, find_ollama_model
from codebuddy.settings import ModelSettings

RemoteGenerator = LlamaServerGenerator | OllamaGenerator


def is_remote(settings: ModelSettings) -> bool:
    """Whether another program generates; the built-in echo needs none."""
    return bool(settings.url) and settings.name != ECHO


def connect(settings: ModelSettings) -> RemoteGenerator:
    """The generator behind `model.url`.

    Raises:
        ConfigError: The URL is wrong, or names another machine without leave.
        ModelError: Nothing answers there, or neither llama-server nor Ollama.
    """
    server = ModelServer(settings.url, may_be_remote=settings.allow_remote)
    try:
        return _recognize(server, settings)
    except BaseException:
        server.close()
        raise


def _recognize(server: ModelServer, settings: ModelSettings) -> RemoteGenerator:
    try:
        properties = server.ask("/props")
    except ModelError as not_llama:
        if "answered" not in not_llama.message:
            raise
        model = find_ollama_model(server, settings.name)
        return OllamaGenerator(server, model, settings.n_ctx)
    if not isinstance(properties, dict):
        raise ModelError(f"{server.url} is neither llama-server nor Ollama", hint="check model.url")
    return LlamaServerGenerator(server, properties)
