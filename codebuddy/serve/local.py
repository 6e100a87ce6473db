"""The path of a suggestion in this process, one request at a time: used without the engine.

The model and the indexes stay loaded. A newer request of a client supersedes its older one,
and `cancel` stops the model, inside prefill too.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codebuddy import paths
from codebuddy.assembly import Place, Surroundings, find_place, open_index
from codebuddy.cancellation import CancellationToken
from codebuddy.code_index import CodeIndex
from codebuddy.completion.pipeline import complete
from codebuddy.completion.receipt import as_dictionary
from codebuddy.config import own_variables
from codebuddy.datatypes import Suggestion
from codebuddy.engine import dependencies
from codebuddy.engine.unwanted import UnwantedCalls
from codebuddy.engine.workplace import Workplace
from codebuddy.errors import (
    CodebuddyError,
    GenerationError,
    IndexingError,
    ModelError,
    SupersededError,
)
from codebuddy.serve.completer import OnText
from codebuddy.service.request import CompletionRequest
from codebuddy.service.response import CompletionResponse
from codebuddy.vcs.location import real_folder

# An index is brought up to date in the background, no sooner than this after the last time.
_UPDATE_EVERY_S = 30.0


class LocalCompleter:
    """Answers calls in the calling thread; others wait for their turn."""

    def __init__(self, model: str | None) -> None:
        self._flags = {"model.name": model}
        self._sources = {
            "environment": own_variables(os.environ),
            "user_file": str(paths.user_config_file()),
        }
        # Held while the workplace is used.
        self._turn = threading.Lock()
        self._workplace = Workplace()
        self._updated_at: dict[Path, float] = {}
        # Held while what follows is used.
        self._state = threading.Lock()
        # The name and the token of each client's newest request: an older one is superseded.
        self._newest: dict[str, tuple[str, CancellationToken]] = {}
        self._unwanted = UnwantedCalls()

    def complete(
        self, call: CompletionRequest, on_text: OnText | None = None
    ) -> CompletionResponse:
        """The suggestion, with the keys of `codebuddy complete --json`.

        Raises:
            SupersededError: Cancelled, or a newer request of the same client came.
            CodebuddyError: As `completion.pipeline.complete` and what it stands on.
        """
        token = self._begin(call.client, call.request)
        try:
            with self._turn:
                token.check()
                return self._complete(call, token, on_text)
        except (GenerationError, ModelError):
            self._workplace.forget_remote()
            raise
        finally:
            with self._state:
                if self._newest.get(call.client) == (call.request, token):
                    del self._newest[call.client]

    def cancel(self, client: str, request: str = "") -> None:
        """End the client's requests, or the one named `request`; they raise SupersededError."""
        with self._state:
            newest = self._newest.get(client)
            if newest is not None and request in ("", newest[0]):
                newest[1].cancel()
            else:
                self._unwanted.add(client, request)

    def _begin(self, client: str, request: str) -> CancellationToken:
        """A token for the request, which supersedes what the client has here."""
        with self._state:
            if self._unwanted.take(client, request):
                raise SupersededError("the request was cancelled")
            older = self._newest.get(client)
            if older is not None:
                older[1].cancel()
            token = CancellationToken()
            self._newest[client] = request, token
        return token

    def close(self) -> None:
        """Free the model, once what runs is done. A later call loads it again."""
        with self._turn:
            self._workplace.close_generator()

    def prewarm(
        self,
        file: str,
        text: str | None,
        line: int,
        column: int | None = None,
        *,
        client: str = "",
        model: str | None = None,
    ) -> None:
        """Load the model and look at the index. The prompt waits for the first real request."""
        with self._turn:
            flags = {"model.name": model} if model else {}
            surroundings, _ = self._surroundings(str(real_folder(file)), flags)
            self._workplace.generator(surroundings.settings)
            self._keep_up_to_date(surroundings)

    def accepted(self, client: str, text: str) -> None:
        """Nothing: only the engine keeps statistics."""

    def _complete(
        self, call: CompletionRequest, token: CancellationToken, on_text: OnText | None
    ) -> CompletionResponse:
        folder = call.folder or str(real_folder(call.file, call.name))
        surroundings, warnings = self._surroundings(folder, call.flags())
        where = (call.file, call.line, call.column)
        place = find_place(surroundings, *where, call.unsaved(), call.name, call.language)
        generator, _ = self._workplace.generator(surroundings.settings, call.budget_ms or 0, token)
        judge = self._workplace.judge(surroundings, generator)
        files = self._workplace.files_behind(surroundings, has_index=place.may_look_up)
        depends_on = dependencies.stamped(files)

        def ask(index: CodeIndex | None) -> Suggestion:
            return complete(
                place.request(call.alternatives, budget_ms=call.budget_ms or 0, extras=call.extras),
                place.workshop(generator, index, judge=judge),
                on_text,
                token,
            )

        suggestion = self._with_or_without_index(place, ask)
        response = as_dictionary(suggestion)
        response["warnings"] = [*warnings, *judge.warnings]
        response["depends_on"] = depends_on
        return response

    def _with_or_without_index(
        self, place: Place, ask: Callable[[CodeIndex | None], Suggestion]
    ) -> Suggestion:
        if not place.may_look_up:
            return ask(None)
        self._keep_up_to_date(place.surroundings)
        try:
            return ask(self._workplace.index(place.surroundings))
        except IndexingError:
            self._workplace.forget_index(place.surroundings)
            return ask(None)

    def _surroundings(
        self, place: str, flags: dict[str, Any]
    ) -> tuple[Surroundings, tuple[str, ...]]:
        return self._workplace.surroundings(place, self._sources, self._flags | flags)

    def _keep_up_to_date(self, surroundings: Surroundings) -> None:
        root = surroundings.root
        if surroundings.found is None:
            return
        if time.monotonic() - self._updated_at.get(root, -_UPDATE_EVERY_S) >= _UPDATE_EVERY_S:
            self._updated_at[root] = time.monotonic()
            threading.Thread(target=_update, args=(surroundings,), daemon=True).start()


def _update(surroundings: Surroundings) -> None:
    # What is wrong with an index is told by `codebuddy index`; completion goes on without it.
    with contextlib.suppress(CodebuddyError):
        open_index(surroundings).close()
