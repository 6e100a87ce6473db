"""Completion and search in this process, one request at a time: used without the engine.

The model and the indexes stay loaded. A newer request of a client supersedes its older one, and
`cancel` stops the model, inside prefill too.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING

from codebuddy.cancellation import CancellationToken, EarlyCancellations
from codebuddy.errors import SupersededError
from codebuddy.service.completion_service import CompletionService, IndexRefresh
from codebuddy.service.models import ModelCache
from codebuddy.service.repositories import RepositoryCache
from codebuddy.service.request import (
    AskRequest,
    CompletionRequest,
    SearchRequest,
    SettingsSources,
)
from codebuddy.service.response import (
    AskResponse,
    CompletionResponse,
    ModelDescription,
    SearchResponse,
)

if TYPE_CHECKING:
    from codebuddy.datatypes import OnText

# Behind a search or a model that loads, when the program is to end.
_CLOSE_WAITS_S = 2.0


class InProcessClient:
    """A `CompletionClient` that works in the calling thread; others wait for their turn.

    Args:
        model: A name of the catalog, or a path, for requests that name none; None leaves it to
            the settings.
        index_refresh: When the index is brought up to date.
        models: Loads the model.
    """

    def __init__(
        self,
        model: str | None = None,
        index_refresh: IndexRefresh = "background",
        models: ModelCache | None = None,
    ) -> None:
        self._model = model
        self._sources = SettingsSources.of_this_process()
        # Held while the service is used.
        self._turn = threading.Lock()
        self._service = CompletionService(models or ModelCache(), RepositoryCache(), index_refresh)
        # Held while what follows is used.
        self._state = threading.Lock()
        # The name and the token of each client's newest request: an older one is superseded.
        self._newest: dict[str, tuple[str, CancellationToken]] = {}
        self._cancelled_early = EarlyCancellations()

    def complete(
        self, request: CompletionRequest, on_text: OnText | None = None
    ) -> CompletionResponse:
        """See `CompletionClient.complete`; the budget counts from here."""
        arrived_s = time.perf_counter()
        request = dataclasses.replace(request, model=request.model or self._model)
        token = self._begin(request.client, request.request)
        try:
            with self._turn:
                token.check()
                return self._service.complete(
                    request, self._sources, token, arrived_s=arrived_s, on_text=on_text
                )
        finally:
            self._end(request.client, request.request, token)

    def search(self, request: SearchRequest) -> SearchResponse:
        """See `CompletionClient.search`."""
        with self._turn:
            return self._service.search(request, self._sources)

    def ask(self, request: AskRequest, on_text: OnText | None = None) -> AskResponse:
        """See `CompletionClient.ask`."""
        request = dataclasses.replace(request, model=request.model or self._model)
        token = self._begin(request.client, "")
        try:
            with self._turn:
                token.check()
                return self._service.ask(request, self._sources, token, on_text)
        finally:
            self._end(request.client, "", token)

    def cancel(self, client: str, request: str = "") -> None:
        """See `CompletionClient.cancel`."""
        with self._state:
            newest = self._newest.get(client)
            if newest is not None and request in ("", newest[0]):
                newest[1].cancel()
            else:
                self._cancelled_early.add(client, request)

    def prewarm(self, request: CompletionRequest) -> None:
        """Load the model and look at the index. The prompt waits for the first real request.

        Where something runs nothing is done: behind it, this might not be the model any more.
        """
        request = dataclasses.replace(request, model=request.model or self._model)
        if self._turn.acquire(blocking=False):
            try:
                self._service.prepare(request, self._sources)
            finally:
                self._turn.release()

    def accepted(self, client: str, text: str) -> None:
        """Nothing: only the engine keeps statistics."""

    def load(self, model: str | None = None) -> ModelDescription:
        """See `CompletionClient.load`."""
        with self._turn:
            name = model or self._model
            return self._service.load_model(name, self._sources, CancellationToken())

    def close(self) -> None:
        """Cancel what runs, keep what was learnt and free the model; a later request loads again.

        What cannot be cancelled, such as loading a model, is waited for a short time only.
        """
        with self._state:
            for _, token in self._newest.values():
                token.cancel()
        if self._turn.acquire(timeout=_CLOSE_WAITS_S):
            try:
                self._service.close()
            finally:
                self._turn.release()

    def _begin(self, client: str, request: str) -> CancellationToken:
        """A token for the request, which supersedes what the client has here.

        Raises:
            SupersededError: The request was cancelled before it came.
        """
        token = CancellationToken()
        with self._state:
            if self._cancelled_early.take(client, request):
                raise SupersededError("the request was cancelled")
            older = self._newest.get(client)
            if older is not None:
                older[1].cancel()
            self._newest[client] = request, token
        return token

    def _end(self, client: str, request: str, token: CancellationToken) -> None:
        with self._state:
            if self._newest.get(client) == (request, token):
                del self._newest[client]
