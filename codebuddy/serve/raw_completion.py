"""Raw prefix and suffix, as HTTP clients send them, to a place in a document and back.

The document is made in memory: the file that the text is a window of, where one is found or
named, and else a buffer without a name. It knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import threading
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codebuddy.completion.notebook import is_notebook
from codebuddy.engine.protocol import MAX_EXTRA_CHARACTERS, MAX_EXTRAS
from codebuddy.errors import IndexingError, SupersededError, UsageError
from codebuddy.index.file_walker import has_private_key, has_secret_name
from codebuddy.positions import position_at
from codebuddy.serve.infill import RawRequest
from codebuddy.serve.matching import FileMatcher, Window
from codebuddy.service import dependencies
from codebuddy.service.async_client import AsyncClient
from codebuddy.service.request import CompletionRequest
from codebuddy.syntax.notebook import is_notebook_text

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.service.context import RepositoryContext

# What a text is called that no file is known to hold.
_NAMELESS = "untitled"


@dataclass(frozen=True, slots=True)
class Completion:
    """What was suggested; `receipt` has the keys of `codebuddy complete --json`."""

    text: str
    receipt: Mapping[str, Any]
    alternatives: tuple[str, ...] = ()


class RawCompleter:
    """Completes raw texts as places of one repository, or of a folder outside of any.

    A file that lies in a submodule or in another repository below is completed with that one.
    """

    def __init__(self, repository_context: RepositoryContext, completions: AsyncClient) -> None:
        self.model = repository_context.settings.model.name
        self._surroundings = repository_context
        self._root = repository_context.root
        self._completions = completions
        self._matcher = FileMatcher(self._root)
        self._index: RepositoryIndex | None = None
        # Held while matcher and index are used.
        self._placing = threading.Lock()
        self._numbers = itertools.count(1)

    def prewarm(self) -> None:
        """Load the model and look at the index, in the background."""
        file = str(self._root / _NAMELESS)
        self._completions.prewarm(
            CompletionRequest(file, 1, text="", client=self._new_client(), model=self.model)
        )

    async def complete(self, raw: RawRequest) -> Completion:
        """The completion.

        Raises:
            UsageError: The named file lies outside the repository.
            CodebuddyError: As `CompletionClient.complete`.
        """
        async for _, done in self.stream(raw):
            if done is not None:
                return done
        raise AssertionError("a stream ends with its completion")

    async def stream(self, raw: RawRequest) -> AsyncIterator[tuple[str, Completion | None]]:
        """The text so far while it grows, then the final text with its completion.

        Raises:
            As `complete`.
        """
        if raw.is_empty:
            yield "", Completion("", {})
            return
        call = self._call(raw, await asyncio.to_thread(self._place, raw))
        texts: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        limit = _Limit(raw)

        def on_text(text: str) -> None:
            loop.call_soon_threadsafe(texts.put_nowait, limit.see(text))

        work = asyncio.ensure_future(self._completions.complete(call, on_text))
        work.add_done_callback(lambda _: texts.put_nowait(None))
        try:
            while (text := await texts.get()) is not None:
                yield text, None
                if limit.is_reached:
                    break
            if limit.is_reached and not work.done():
                yield limit.text, Completion(limit.text, {"finish_reason": limit.reason})
                return
            response = await work
            text = cut_at_stops(response["text"].replace("\r\n", "\n"), raw.stops)
            others = tuple(cut_at_stops(each, raw.stops) for each in response["alternatives"])
            receipt = {k: v for k, v in response.items() if k != dependencies.KEY}
            yield text, Completion(text, receipt, others)
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError, SupersededError):
                await work

    def _place(self, raw: RawRequest) -> Window:
        """Prefix and suffix with `\\n` line endings, and the file that they are of."""
        prefix, suffix = (t.replace("\r\n", "\n") for t in (raw.prefix, raw.suffix))
        if raw.filename:
            return Window(self._inside(raw.filename), prefix, suffix)
        nearby = [name for name in (raw.model_name, *(name for name, _ in raw.extras)) if name]
        # Requests come side by side, and neither the index nor what was found last is for two.
        with self._placing:
            try:
                found = self._matcher.match(prefix, suffix, nearby, self._opened_index())
            except IndexingError:
                self._close_index()
                found = self._matcher.match(prefix, suffix, nearby, None)
        if not found.path and raw.model_name:
            # No file of that text is known; the name still says which language it is.
            return Window(self._matcher.relative(raw.model_name), prefix, suffix)
        return found

    def _inside(self, filename: str) -> str:
        """A named file's path relative to the root.

        Raises:
            UsageError: It leads out of the repository.
        """
        root = self._root
        path = Path(os.path.normpath(root / filename))
        if "\0" in filename or not path.is_relative_to(root) or path == root:
            raise UsageError(f"filename {filename!r:.200} is outside the {self._kind} {root}")
        return path.relative_to(root).as_posix()

    def _call(self, raw: RawRequest, window: Window) -> CompletionRequest:
        text = window.prefix + window.suffix
        position = position_at(text, len(window.prefix))
        file = self._root / (window.path or _NAMELESS)
        if is_notebook(file.name) and is_notebook_text(text):
            raise UsageError(
                f"{window.path} is a notebook's JSON, which is not completed",
                hint="send the text of its cells, or use 'codebuddy complete FILE:LINE'",
            )
        # A link that leads out of here is refused, which the root as its folder sees to.
        is_inside = Path(os.path.realpath(file)).is_relative_to(os.path.realpath(self._root))
        return CompletionRequest(
            file=str(file),
            line=position.line,
            column=position.column,
            text=text,
            max_tokens=self._possible(raw.max_tokens),
            model=self.model,
            alternatives=raw.alternatives,
            client=self._new_client(),
            priority="typing",
            folder="" if is_inside else str(self._root),
            extras=self._extras(raw),
        )

    def _possible(self, max_tokens: int | None) -> int | None:
        """No more tokens than leave the prompt most of the model's context."""
        settings = self._surroundings.settings
        most = max(settings.completion.max_tokens, settings.model.n_ctx // 4)
        return None if max_tokens is None else min(max_tokens, most)

    def _extras(self, raw: RawRequest) -> tuple[tuple[str, str], ...]:
        """The editor's pieces, the newest first, without secrets and within the engine's limits.

        A file of another place goes by its name alone, so that no path of this machine gets
        into a prompt.
        """
        found: list[tuple[str, str]] = []
        room = MAX_EXTRA_CHARACTERS
        for name, text in reversed(raw.extras):
            path = self._matcher.relative(name) or name.replace("\\", "/").rpartition("/")[2]
            # A lone surrogate, which JSON can hold, is no text.
            named, source = path.encode("utf-8", "replace"), text.encode("utf-8", "replace")
            if has_secret_name(named) or has_private_key(source):
                continue
            room -= len(path) + len(text)
            if room < 0 or len(found) == MAX_EXTRAS:
                break
            found.append((named.decode() or _NAMELESS, source.decode()))
        return tuple(found)

    def _new_client(self) -> str:
        """Connections are not people: none supersedes another, its end alone cancels it."""
        return f"http-{os.getpid()}-{next(self._numbers)}"

    @property
    def _kind(self) -> str:
        return "folder" if self._surroundings.found is None else "repository"

    def _opened_index(self) -> RepositoryIndex | None:
        if self._index is None and self._surroundings.found is not None:
            from codebuddy.index.seeding import open_or_seed

            with contextlib.suppress(IndexingError):
                self._index = open_or_seed(self._surroundings.found, self._surroundings.settings)
        return self._index

    def _close_index(self) -> None:
        if self._index is not None:
            with contextlib.suppress(IndexingError):
                self._index.close()
            self._index = None


class _Limit:
    """When a growing text is enough: at a stop text, or after the time that the client gave.

    As in llama-server the time runs from the first text and ends nothing before a line is
    whole; here the first text is a whole line already.
    """

    def __init__(self, raw: RawRequest) -> None:
        self._stops = raw.stops
        self._budget_ms = raw.budget_ms
        self._first_at: float | None = None
        self.is_reached = False
        self.reason = "length"
        self.text = ""

    def see(self, text: str) -> str:
        """What of the text so far will stay; notes whether it is enough.

        It is cut at a stop text, and where it ends in the beginning of one, before that: what was
        sent cannot be taken back.
        """
        if not self.is_reached and text:
            self.text = cut_at_stops(text, self._stops)
            now = time.perf_counter()
            self._first_at = now if self._first_at is None else self._first_at
            spent_ms = (now - self._first_at) * 1000
            is_late = self._budget_ms is not None and spent_ms > self._budget_ms
            is_stopped = self.text != text
            self.reason = "stop" if is_stopped else "length"
            self.is_reached = is_late or is_stopped
        return self.text if self.is_reached else _without_begun_stop(self.text, self._stops)


def _without_begun_stop(text: str, stops: tuple[str, ...]) -> str:
    """`text` without an end that a stop text begins with."""
    begun = (
        length
        for stop in stops
        for length in range(min(len(stop) - 1, len(text)), 0, -1)
        if text.endswith(stop[:length])
    )
    longest = max(begun, default=0)
    return text[: len(text) - longest]


def cut_at_stops(text: str, stops: tuple[str, ...]) -> str:
    """`text` up to the first of the stop texts."""
    places: list[int] = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text
