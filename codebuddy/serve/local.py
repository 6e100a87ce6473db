"""The path of a suggestion in this process, one request at a time: used without the engine.

The model and the indexes stay loaded. A newer request of a client supersedes its older one,
and `cancel` stops the model, inside prefill too.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from codebuddy import paths
from codebuddy.assembly import Place, Surroundings, find_place, open_index
from codebuddy.code_index import CodeIndex
from codebuddy.completion.pipeline import complete
from codebuddy.completion.receipt import as_dictionary
from codebuddy.config import own_variables
from codebuddy.datatypes import GenerationSettings, GenerationStats, Generator, Suggestion
from codebuddy.engine import dependencies
from codebuddy.engine.protocol import CompletionCall
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
from codebuddy.vcs.location import real_folder

# An index is brought up to date in the background, no sooner than this after the last time.
_UPDATE_EVERY_S = 30.0
# How often a running generation is told again to stop: one that only begins forgets the first.
_CANCEL_EVERY_S = 0.005


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
        self._generator: Generator | None = None
        self._tickets = itertools.count()
        # The newest request of each client: an older one is superseded.
        self._newest: dict[str, int] = {}
        # What clients call the requests that are here, by their tickets.
        self._names: dict[int, str] = {}
        self._unwanted = UnwantedCalls()
        # The client and the ticket of the request that has its turn.
        self._running: tuple[str, int] | None = None

    def complete(self, call: CompletionCall, on_text: OnText | None = None) -> dict[str, Any]:
        """The suggestion, with the keys of `codebuddy complete --json`.

        Raises:
            SupersededError: Cancelled, or a newer request of the same client came.
            CodebuddyError: As `completion.pipeline.complete` and what it stands on.
        """
        ticket = self._next_ticket(call.client, call.request)
        try:
            return self._in_turn(call, ticket, on_text)
        finally:
            with self._state:
                del self._names[ticket]
                # A cancellation's ticket, which nobody holds, goes with the call that it ended.
                if self._newest.get(call.client) not in self._names:
                    self._newest.pop(call.client, None)

    def _in_turn(self, call: CompletionCall, ticket: int, on_text: OnText | None) -> dict[str, Any]:
        with self._turn:
            self._check(call.client, ticket)
            with self._state:
                self._running = call.client, ticket
            try:
                return self._complete(call, lambda: self._check(call.client, ticket), on_text)
            except (GenerationError, ModelError):
                self._workplace.forget_remote()
                # What llama.cpp or a model server says when it was stopped.
                self._check(call.client, ticket)
                raise
            finally:
                with self._state:
                    self._running = None

    def cancel(self, client: str, request: str = "") -> None:
        """End the client's requests, or the one named `request`; they raise SupersededError."""
        with self._state:
            newest = self._newest.get(client)
            if newest is not None and (not request or self._names.get(newest) == request):
                self._supersede(client)
            else:
                self._unwanted.add(client, request)

    def close(self) -> None:
        """Free the model, once what runs is done. A later call loads it again."""
        with self._turn:
            with self._state:
                self._generator = None
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
            self._open_generator(surroundings, 0)
            self._keep_up_to_date(surroundings)

    def accepted(self, client: str, text: str) -> None:
        """Nothing: only the engine keeps statistics."""

    def _complete(
        self, call: CompletionCall, check: Callable[[], None], on_text: OnText | None
    ) -> dict[str, Any]:
        folder = call.folder or str(real_folder(call.file, call.name))
        surroundings, warnings = self._surroundings(folder, call.flags())
        where = (call.file, call.line, call.column)
        place = find_place(surroundings, *where, call.unsaved(), call.name, call.language)
        check()
        opened = self._open_generator(surroundings, call.budget_ms or 0)
        generator = _Stoppable(opened, check)
        judge = self._workplace.judge(surroundings, opened)
        files = self._workplace.files_behind(surroundings, has_index=place.may_look_up)
        depends_on = dependencies.stamped(files)

        def ask(index: CodeIndex | None) -> Suggestion:
            check()
            return complete(
                place.request(call.alternatives, budget_ms=call.budget_ms or 0, extras=call.extras),
                place.workshop(generator, index, judge=judge),
                on_text,
            )

        suggestion = self._with_or_without_index(place, ask)
        answer = as_dictionary(suggestion) | {"warnings": [*warnings, *judge.warnings]}
        return answer | {dependencies.KEY: depends_on}

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

    def _open_generator(self, surroundings: Surroundings, budget_ms: float) -> Generator:
        with self._state:
            self._generator = None
        generator, _ = self._workplace.generator(surroundings.settings, budget_ms)
        with self._state:
            self._generator = generator
        return generator

    def _keep_up_to_date(self, surroundings: Surroundings) -> None:
        root = surroundings.root
        if surroundings.found is None:
            return
        if time.monotonic() - self._updated_at.get(root, -_UPDATE_EVERY_S) >= _UPDATE_EVERY_S:
            self._updated_at[root] = time.monotonic()
            threading.Thread(target=_update, args=(surroundings,), daemon=True).start()

    def _next_ticket(self, client: str, request: str) -> int:
        """A new number for the client, which ends what it has running."""
        with self._state:
            if self._unwanted.take(client, request):
                raise SupersededError("the request was cancelled")
            ticket = self._supersede(client)
            self._names[ticket] = request
        return ticket

    def _supersede(self, client: str) -> int:
        """End what the client has here. The caller holds the state."""
        ticket = self._newest[client] = next(self._tickets)
        running = self._running
        if running is not None and running[0] == client:
            threading.Thread(target=self._stop, args=(running,), daemon=True).start()
        return ticket

    def _stop(self, running: tuple[str, int]) -> None:
        """Tell the model to stop until that request is over, in whatever state it is."""
        while True:
            with self._state:
                if self._running != running:
                    return
                getattr(self._generator, "cancel", lambda: None)()
            time.sleep(_CANCEL_EVERY_S)

    def _check(self, client: str, ticket: int) -> None:
        with self._state:
            if self._newest.get(client) != ticket:
                raise SupersededError("cancelled, or a newer request took its place")


class _Stoppable:
    """A generator that asks before each piece whether it is still wanted."""

    def __init__(self, generator: Generator, check: Callable[[], None]) -> None:
        self._generator = generator
        self._check = check

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def generate(
        self, tokens: Sequence[int], settings: GenerationSettings, stats: GenerationStats
    ) -> Iterator[str]:
        """As the generator's own.

        Raises:
            SupersededError: It is no longer wanted.
        """
        pieces = self._generator.generate(tokens, settings, stats)
        try:
            for piece in pieces:
                self._check()
                yield piece
        finally:
            getattr(pieces, "close", lambda: None)()


def _update(surroundings: Surroundings) -> None:
    # What is wrong with an index is told by `codebuddy index`; completion goes on without it.
    with contextlib.suppress(CodebuddyError):
        open_index(surroundings).close()
