"""Inline completions while typing: debouncing, suggestion cache, receipts of what was shown.

One per editor. It knows documents and completion calls, and nothing of the editor's protocol.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any

from codebuddy.completion.cache import CacheKey, SuggestionCache
from codebuddy.completion.debounce import debounce_ms
from codebuddy.errors import SupersededError
from codebuddy.positions import position_at
from codebuddy.serve.text_document import TextDocument
from codebuddy.service import dependencies
from codebuddy.service.async_client import AsyncClient
from codebuddy.service.fingerprint import fingerprint_of
from codebuddy.service.request import CompletionRequest, SettingsSources
from codebuddy.service.response import CompletionResponse

_KEPT_RECEIPTS = 64
_KEPT_INTERVALS = 16
_KEPT_LATENCIES = 8


@dataclass(frozen=True, slots=True)
class ShownSuggestion:
    """A suggestion as an editor gets it: `text` goes in at the cursor."""

    number: int
    text: str


class InlineCompletionProvider:
    """Asks for one suggestion at a time: a newer request takes the place of an older one."""

    def __init__(self, completions: AsyncClient, model: str | None) -> None:
        self._completions = completions
        self._model = model
        self._client = f"editor-{os.getpid()}"
        self._cache: SuggestionCache[CompletionResponse] = SuggestionCache()
        self._receipts: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._numbers = itertools.count(1)
        self._newest = 0
        self._intervals_ms: deque[float] = deque(maxlen=_KEPT_INTERVALS)
        self._latencies_ms: deque[float] = deque(maxlen=_KEPT_LATENCIES)
        self._typed_at = 0.0

    def typed(self) -> None:
        """A document changed: learn the rhythm."""
        now = time.monotonic()
        self._intervals_ms.append((now - self._typed_at) * 1000)
        self._typed_at = now

    def opened(self, file: str, document: TextDocument) -> None:
        """A document was opened: load the model, and read the document's beginning."""
        self._completions.prewarm(
            CompletionRequest(
                file, 1, text=document.text, client=f"{self._client}-open", model=self._model
            )
        )

    async def suggest(
        self,
        document: TextDocument,
        offset: int,
        file: str,
        *,
        language: str = "",
        is_automatic: bool,
    ) -> ShownSuggestion | None:
        """What goes in at `offset`, or `None` where nothing does or a newer request came.

        A suggestion that was asked for before and agrees with what was typed since costs
        nothing, unless settings, the index or what else it was made from have changed. Cancelling
        the task stops the model. `language` says what the file's name does not.

        Raises:
            CodebuddyError: As `CompletionClient.complete`.
        """
        prefix, suffix = document.text[:offset], document.text[offset:]
        position = position_at(document.text, offset)
        call = CompletionRequest(
            file=file,
            line=position.line,
            column=position.column,
            text=document.text,
            model=self._model,
            client=self._client,
            priority="typing",
            language=language,
        )
        key = CacheKey(prefix, suffix, self._fingerprint(document, call))
        if (known := self._cached(key)) is not None:
            return known
        self._newest = newest = next(self._numbers)
        if is_automatic:
            await asyncio.sleep(self._wait_s())
            if self._newest != newest:
                return None
            if (known := self._cached(key)) is not None:
                return known
        started = time.monotonic()
        try:
            # The engine lets go of the older request of this client when the newer one comes.
            answer = await self._completions.complete(call)
        except SupersededError:
            return None
        self._latencies_ms.append((time.monotonic() - started) * 1000)
        self._cache.put(key, answer["text"], answer)
        return self._show(answer["text"], answer) if answer["text"] else None

    def receipt(self, number: int | None) -> dict[str, Any] | None:
        """Why a suggestion is what it is: of that number, or of the newest one."""
        if number is None:
            number = next(reversed(self._receipts), None)
        return None if number is None else self._receipts.get(number)

    def accepted(self, number: int, characters: int | None) -> None:
        """The person took a suggestion, or its first `characters`."""
        receipt = self._receipts.get(number)
        if receipt is None:
            return
        text = str(receipt["shown"])[:characters]
        receipt["accepted_characters"] = len(text)
        self._completions.accepted(self._client, text)

    def _fingerprint(self, document: TextDocument, call: CompletionRequest) -> str:
        """What decides beside the text: the document, the request, and settings as they are now."""
        sources = SettingsSources.of_this_process().to_message()
        return f"{document.uri}\0{document.language_id}\0{fingerprint_of(call, sources)}"

    def _cached(self, key: CacheKey) -> ShownSuggestion | None:
        hit = self._cache.get(key)
        if hit is None or not hit.text or not dependencies.may_be_served(hit):
            return None
        return self._show(hit.text, hit.value)

    def _show(self, text: str, answer: CompletionResponse) -> ShownSuggestion:
        shown = ShownSuggestion(next(self._numbers), text)
        told = {name: value for name, value in answer.items() if name != dependencies.KEY}
        self._receipts[shown.number] = {
            **told,
            "id": shown.number,
            "shown": text,
            "accepted_characters": 0,
        }
        if len(self._receipts) > _KEPT_RECEIPTS:
            self._receipts.popitem(last=False)
        return shown

    def _wait_s(self) -> float:
        """How long to wait still, counted from the last keystroke."""
        latencies = sorted(self._latencies_ms)
        latency_ms = latencies[len(latencies) // 2] if latencies else 0.0
        wait_s = debounce_ms(list(self._intervals_ms), latency_ms) / 1000
        return max(0.0, wait_s - (time.monotonic() - self._typed_at))
