"""What front doors talk to: the engine, this process, or one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from codebuddy.service.request import AskRequest, CompletionRequest, SearchRequest
from codebuddy.service.response import (
    AskResponse,
    CompletionResponse,
    ModelDescription,
    SearchResponse,
)

if TYPE_CHECKING:
    from codebuddy.datatypes import OnText


class CompletionClient(Protocol):
    """Answers requests, from any thread."""

    def complete(
        self, request: CompletionRequest, on_text: OnText | None = None
    ) -> CompletionResponse:
        """The suggestion, with the keys of `codebuddy complete --json`.

        Args:
            request: Where and how.
            on_text: Called with the text so far while it grows, then with the final one.

        Raises:
            SupersededError: Cancelled, or a newer request of the same client came.
            CodebuddyError: As `CompletionService.complete`.
        """
        ...

    def search(self, request: SearchRequest) -> SearchResponse:
        """The best chunks, with the keys of `search --json`.

        Raises:
            CodebuddyError: As `CompletionService.search`; the engine takes no `embedder`.
        """
        ...

    def ask(self, request: AskRequest, on_text: OnText | None = None) -> AskResponse:
        """The model's answer from the request's sources.

        Args:
            request: The question and the sources.
            on_text: Called with the answer so far while it grows, then with the final one.

        Raises:
            SupersededError: It was cancelled.
            CodebuddyError: As `answering.answer.answer`, and as for `load`.
        """
        ...

    def cancel(self, client: str, request: str = "") -> None:
        """End the client's requests, or the one named `request`; they raise SupersededError."""
        ...

    def prewarm(self, request: CompletionRequest) -> None:
        """Make a completion at the request's position quick, when there is nothing else to do."""
        ...

    def accepted(self, client: str, text: str) -> None:
        """The user took `text`."""
        ...

    def load(self, model: str | None = None) -> ModelDescription:
        """Load the model of that name, or the one that the settings name, unless it is loaded.

        Raises:
            ModelError: It is missing, damaged or does not fit.
        """
        ...

    def close(self) -> None:
        """Cancel what runs here, keep what was learnt, free the rest; a later request opens it."""
        ...
