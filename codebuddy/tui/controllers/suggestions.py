"""Suggestions while one types: requested, shown, cancelled; one request at a time.

It waits for a pause in typing, cancels what is no longer wanted, and lets a running answer
go on as long as what is typed agrees with it. It knows the `Backend` and the ghost, and
no widgets; it lives in the event loop of its caller.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

from codebuddy.completion.debounce import debounce_ms
from codebuddy.errors import CodebuddyError, EngineBusyError, SupersededError
from codebuddy.service.response import CompletionResponse
from codebuddy.tui.backend import Backend, SuggestionRequest
from codebuddy.tui.session_statistics import SessionStatistics
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.text.ghost import Ghost, GhostUse, is_worth_asking

# After a failure that another try might not meet, so that a dead engine is not asked at
# every key.
_PAUSE_AFTER_FAILURE_S = 2.0
# How many alternatives a key asks for.
_ALTERNATIVES = 3
# A cursor that rests this long has its place evaluated ahead.
_PREWARM_AFTER_S = 0.8


class SuggestionTarget(Protocol):
    """The document and cursor that a suggestion is for."""

    def suggestion_request(self, *, is_asked_for: bool, alternatives: int) -> SuggestionRequest:
        """A request for a suggestion at the cursor."""
        ...

    def around_cursor(self) -> tuple[Location, str, str]:
        """The cursor, and its line before and behind it."""
        ...

    def show_ghost(self, ghost: Ghost | None) -> None:
        """Show a suggestion at the cursor, or none."""
        ...

    def shown_ghost(self) -> Ghost | None:
        """What is shown."""
        ...


class SuggestionObserver(Protocol):
    """Learns how requests go."""

    def suggestion_started(self) -> None:
        """The model works."""
        ...

    def suggestion_ended(self, response: CompletionResponse | None) -> None:
        """It stopped; `response` is what came, or `None` if nothing did."""
        ...

    def suggestion_failed(self, error: CodebuddyError) -> None:
        """It failed for a reason that a person should know."""
        ...


@dataclass
class _Running:
    """A request under way: what was typed since, and the answer so far.

    One that has alternatives is not asked again when the key is pressed again.
    """

    target: SuggestionTarget
    at: Location
    started_s: float
    has_alternatives: bool = False
    typed: str = ""
    text: str = ""
    first_text_s: float | None = None


class SuggestionController:
    """Requests suggestions, for one editor at a time, and counts what becomes of them."""

    def __init__(
        self, backend: Backend, observer: SuggestionObserver, statistics: SessionStatistics
    ) -> None:
        self.is_automatic = True
        self._backend = backend
        self._observer = observer
        self._statistics = statistics
        self._task: asyncio.Task[None] | None = None
        self._prewarming: asyncio.Task[None] | None = None
        self._running: _Running | None = None
        self._not_before_s = 0.0

    @property
    def is_running(self) -> bool:
        """Whether an answer is waited for."""
        return self._running is not None

    @property
    def waiting_s(self) -> float:
        """How long an answer, or the rest of one, has been waited for."""
        return time.monotonic() - self._running.started_s if self._running else 0.0

    def changed(self, target: SuggestionTarget, *, is_typing: bool) -> None:
        """The text changed. A ghost that is still shown goes on; else a new one may come."""
        if is_typing:
            self._statistics.note_key(time.monotonic())
        if target.shown_ghost() is not None:
            return
        self.cancel()
        if not self.is_automatic or not is_typing:
            return
        _, before, after = target.around_cursor()
        if not is_worth_asking(before, after):
            return
        wait_ms = debounce_ms(list(self._statistics.intervals_ms), self._statistics.latency_ms)
        pause_s = max(wait_ms / 1000, self._not_before_s - time.monotonic())
        self._start(target, pause_s)

    def ghost_used(
        self, target: SuggestionTarget | None, how: GhostUse, text: str, *, is_whole: bool
    ) -> None:
        """`text` of the ghost was taken, or all of it turned away.

        A running answer goes on behind what was taken. Once nothing of the ghost is left
        (`is_whole`), accepting requests the next suggestion without a pause.
        """
        characters = len("".join(text.split()))
        if how in ("accepted", "typed") and self._running is not None:
            self._running.typed += text
        if how == "accepted":
            self._statistics.accepted_characters += characters
            if is_whole:
                self._statistics.accepted += 1
                if self.is_automatic and target is not None:
                    self.cancel()
                    self._start(target, 0.0)
        elif how == "typed":
            self._statistics.typed_over_characters += characters
        elif how == "dismissed":
            self._statistics.dismissed += 1
            self.cancel()
        elif how == "left":
            self.cancel()

    def ask(self, target: SuggestionTarget, *, should_vary: bool) -> None:
        """A key asked: now, and with alternatives if it is to vary."""
        if should_vary and self._running is not None and self._running.has_alternatives:
            return
        self.cancel()
        self._not_before_s = 0.0
        self._start(target, 0.0, is_asked_for=True, alternatives=_ALTERNATIVES * should_vary)

    def moved(self, target: SuggestionTarget) -> None:
        """The cursor went elsewhere: nothing is suggested there until something is typed."""
        if target.shown_ghost() is None:
            self.cancel()
        if self._prewarming is not None:
            self._prewarming.cancel()
        if self.is_automatic:
            self._prewarming = asyncio.create_task(self._prewarm(target))

    def cancel(self) -> None:
        """Drop what is under way."""
        if self._task is not None:
            self._task.cancel()
        self._task = None
        if self._running is not None:
            self._running = None
            self._observer.suggestion_ended(None)

    def close(self) -> None:
        """The program ends."""
        self.cancel()
        if self._prewarming is not None:
            self._prewarming.cancel()

    def _start(
        self,
        target: SuggestionTarget,
        pause_s: float,
        *,
        is_asked_for: bool = False,
        alternatives: int = 0,
    ) -> None:
        self._task = asyncio.create_task(
            self._run(target, pause_s, is_asked_for=is_asked_for, alternatives=alternatives)
        )

    async def _run(
        self, target: SuggestionTarget, pause_s: float, *, is_asked_for: bool, alternatives: int
    ) -> None:
        if pause_s > 0:
            await asyncio.sleep(pause_s)
        at, _, _ = target.around_cursor()
        running = _Running(target, at, time.monotonic(), has_alternatives=alternatives > 0)
        self._running = running
        self._observer.suggestion_started()
        receipt: CompletionResponse | None = None
        try:
            request = target.suggestion_request(
                is_asked_for=is_asked_for, alternatives=alternatives
            )
            receipt = await self._backend.complete(request, lambda text: self._grow(running, text))
            latency_s = (running.first_text_s or time.monotonic()) - running.started_s
            self._statistics.note_answer(receipt, latency_s * 1000)
            self._finish(running, receipt)
        except (SupersededError, EngineBusyError):
            pass
        except CodebuddyError as error:
            self._not_before_s = time.monotonic() + _PAUSE_AFTER_FAILURE_S
            if self._running is running:
                target.show_ghost(None)
                self._observer.suggestion_failed(error)
        finally:
            if self._running is running:
                self._running = None
                self._observer.suggestion_ended(receipt)

    def _grow(self, running: _Running, text: str) -> None:
        """The response so far; called in the loop, perhaps after it was dropped."""
        if self._running is not running or not text:
            return
        running.text = text
        if running.first_text_s is None:
            running.first_text_s = time.monotonic()
        self._show(running, (text,), is_replaced=False, is_growing=True)

    def _finish(self, running: _Running, receipt: CompletionResponse) -> None:
        if self._running is not running:
            return
        texts = [receipt["text"], *receipt["alternatives"]]
        # A text that a lookup made took the place of the one that was shown first.
        is_replaced = receipt["decision"]["kept"] == "second"
        if is_replaced:
            # What was shown first may have been typed into, or be what was wanted.
            texts.append(running.text)
        distinct = tuple(dict.fromkeys(text.replace("\r\n", "\n") for text in texts if text))
        if self._show(running, distinct, is_replaced=is_replaced, is_growing=False):
            self._statistics.shown += 1

    def _show(
        self,
        running: _Running,
        texts: tuple[str, ...],
        *,
        is_replaced: bool,
        is_growing: bool,
    ) -> bool:
        """Show what remains of the texts behind what was typed since; whether any does."""
        typed = running.typed
        rest = tuple(text[len(typed) :] for text in texts if text.startswith(typed))
        rest = tuple(text for text in rest if text)
        target = running.target
        if not rest:
            if not is_growing:
                target.show_ghost(None)
            return False
        cursor, _, _ = target.around_cursor()
        shown = target.shown_ghost()
        stays = shown is not None and shown.text in rest and not is_replaced
        chosen = rest.index(shown.text) if shown is not None and stays else 0
        ghost = Ghost(cursor, rest, chosen, is_growing, len(typed))
        target.show_ghost(ghost)
        return True

    async def _prewarm(self, target: SuggestionTarget) -> None:
        await asyncio.sleep(_PREWARM_AFTER_S)
        if self._running is None:
            self._backend.prewarm(target.suggestion_request(is_asked_for=False, alternatives=0))
