"""Where an open file is read while nobody waits for anything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from codebuddy.cancellation import CancellationToken
from codebuddy.completion.ahead import places_ahead
from codebuddy.completion.context import build_context
from codebuddy.datatypes import Position
from codebuddy.service.request import CompletionRequest
from codebuddy.service.target import CompletionTarget

T = TypeVar("T")

# Places for which there may be room beside what the person works on.
_MAX_PLACES = 3
# How often a cancellation is looked at while a file is parsed.
_LOOK_EVERY_S = 0.005


def targets_ahead(
    target: CompletionTarget,
    request: CompletionRequest,
    named: Sequence[int],
    visited: Sequence[int],
    cancellation: CancellationToken,
) -> list[CompletionTarget]:
    """The places of the target's file to be read, the likeliest first.

    Args:
        target: Where the cursor is.
        request: What was asked there.
        named: Lines that a search or a hook named.
        visited: Lines where the person was, the latest first.
        cancellation: Ends the search for places.

    Raises:
        SupersededError: It was cancelled.
    """

    def find() -> list[Position]:
        language = target.pipeline_request(request, 0.0, is_typing=True).language
        context = build_context(target.document, target.position, language)
        return places_ahead(context, named, visited, _MAX_PLACES)

    return [replace(target, position=place) for place in _beside(find, cancellation)]


def _beside(work: Callable[[], list[T]], cancellation: CancellationToken) -> list[T]:
    """What `work` returns; a cancellation is not kept waiting for it.

    Raises:
        SupersededError: It was cancelled.
    """
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.extend(work()), daemon=True)
    thread.start()
    while thread.is_alive():
        cancellation.check()
        thread.join(_LOOK_EVERY_S)
    return found
