"""What the TUI asks of the rest of codebuddy, in one place: suggestions, search, models, index.

`Backend` is all that screens know; nothing here blocks the caller's loop, and nothing draws.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from codebuddy import platforms
from codebuddy.errors import CodebuddyError, EngineError, IndexingError
from codebuddy.service.async_client import AsyncClient
from codebuddy.service.client import CompletionClient
from codebuddy.service.request import CompletionRequest, SearchRequest
from codebuddy.service.response import CompletionResponse, SearchHit

if TYPE_CHECKING:
    from codebuddy.datatypes import OnText
    from codebuddy.settings import Settings

T = TypeVar("T")

# The list of models may be asked for while one is downloaded.
_THREADS = 2


@dataclass(frozen=True, slots=True)
class SuggestionRequest:
    """A suggestion that is wanted: `line` and `column` are 1-based, `text` the unsaved text.

    `retrieve` is `auto`, `always`, `never`, or `None` for what the settings say. One that
    `is_asked_for` by a key waits for the index to be brought up to date.
    """

    file: Path
    text: str
    line: int
    column: int
    retrieve: str | None = None
    alternatives: int = 0
    is_asked_for: bool = False
    client: str = "typing"


@dataclass(frozen=True, slots=True)
class IndexStep:
    """How far an update of the index is."""

    done_files: int
    total_files: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class ModelLine:
    """A model of the catalog, as the models screen shows it."""

    name: str
    size: str
    good_for: str
    is_installed: bool
    is_in_use: bool
    licence: str


@dataclass(slots=True)
class PullProgress:
    """A download as a worker sees it; `is_cancelled` ends it at the next piece."""

    on_bytes: Callable[[int, int | None], None]
    total_bytes: int | None = None
    is_cancelled: threading.Event = field(default_factory=threading.Event)

    def start(self, name: str, total_bytes: int | None, done_bytes: int) -> None:
        """A source begins."""
        self.total_bytes = total_bytes
        self.update(done_bytes)

    def update(self, done_bytes: int) -> None:
        """So many bytes are there; raises if the person has had enough."""
        if self.is_cancelled.is_set():
            raise PullCancelledError("the download was stopped; what arrived is kept")
        self.on_bytes(done_bytes, self.total_bytes)

    def stop(self) -> None:
        """Nothing: the call's end says so."""


class PullCancelledError(CodebuddyError):
    """The person stopped a download."""


class Backend:
    """What screens may ask for. Every method raises `CodebuddyError`s that a person can read.

    Args:
        root: The repository, or the folder outside of any.
        model: The model in use, by name.
        client: Answers completions and searches.
    """

    def __init__(self, root: Path, model: str, client: CompletionClient) -> None:
        self.model = model
        self._root = root
        self._client_name = f"tui-{os.getpid()}"
        self._completions = AsyncClient(client)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="models")

    async def complete(
        self, request: SuggestionRequest, on_text: OnText | None = None
    ) -> CompletionResponse:
        """A suggestion with the keys of `complete --json`; `on_text` gets it as it grows.

        `on_text` is called in the caller's loop. Cancelling the task cancels the work.
        """
        if on_text is None:
            return await self._completions.complete(self._request(request))
        loop = asyncio.get_running_loop()

        def forward(text: str) -> None:
            # The loop may have ended before the work did.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(on_text, text)

        return await self._completions.complete(self._request(request), forward)

    async def search(self, query: str, top_k: int, channel: str) -> list[SearchHit]:
        """The best places for a query, with the keys of `search --json`."""
        request = SearchRequest(str(self._root), query, top_k, channel)
        found = await self._completions.search(request)
        return found["results"]

    def prewarm(self, request: SuggestionRequest) -> None:
        """Make a suggestion at this place quicker, when there is time; waits for nothing."""
        self._completions.prewarm(self._request(dataclasses.replace(request, client="prewarm")))

    def accepted(self, text: str) -> None:
        """A person took `text`; waits for nothing."""
        self._completions.accepted(f"{self._client_name}-typing", text)

    async def models(self) -> list[ModelLine]:
        """The catalog, with what is installed."""
        return await self._in_thread(lambda: list_models(self._root, self.model))

    async def pull(self, name: str, progress: PullProgress) -> None:
        """Download a model."""
        await self._in_thread(lambda: pull_model(self._root, name, progress))

    async def use(self, name: str) -> None:
        """Load a model and use it from now on; what is asked meanwhile is for it, too."""
        before, self.model = self.model, name
        try:
            await self._completions.load(name)
        except CodebuddyError:
            self.model = before
            raise

    async def update_index(self, on_step: Callable[[IndexStep], None]) -> dict[str, Any]:
        """Bring the index up to date; the numbers of `index --json`."""
        return await run_index_update(self._root, on_step)

    def close(self) -> None:
        """End what runs."""
        self._completions.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _request(self, request: SuggestionRequest) -> CompletionRequest:
        return CompletionRequest(
            str(request.file),
            request.line,
            request.column,
            request.text,
            retrieve=request.retrieve,
            alternatives=request.alternatives,
            model=self.model,
            client=f"{self._client_name}-{request.client}",
            priority="ask" if request.is_asked_for else "typing",
            name=request.file.name,
            takes_back=True,
        )

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def open_backend(root: Path, settings: Settings, *, should_use_engine: bool) -> Backend:
    """The engine, or this process itself, which loads the model into its own memory."""
    client: CompletionClient
    if should_use_engine:
        from codebuddy.engine.client import EngineClient

        client = EngineClient(settings.engine)
    else:
        from codebuddy.service.in_process_client import InProcessClient

        client = InProcessClient()
    return Backend(root, settings.model.name, client)


def list_models(root: Path, in_use: str) -> list[ModelLine]:
    """The catalog's models as lines.

    Raises:
        ModelError: The catalog is damaged.
        ConfigError: A setting is wrong.
    """
    from codebuddy.config import load_settings
    from codebuddy.inference.installed import entry_path, load_models

    settings = load_settings(root).settings
    return [
        ModelLine(
            name=entry.name,
            size=entry.size_text,
            good_for=entry.good_for,
            is_installed=entry_path(entry, settings).is_file(),
            is_in_use=entry.name == in_use,
            licence=entry.licence_name,
        )
        for entry in load_models(settings).entries
    ]


def pull_model(root: Path, name: str, progress: PullProgress) -> None:
    """Download a model of the catalog.

    Raises:
        DownloadError: No source delivered it.
        PullCancelledError: It was stopped.
    """
    from codebuddy.config import load_settings
    from codebuddy.inference.download import pull
    from codebuddy.inference.installed import load_models

    settings = load_settings(root).settings
    pull(load_models(settings).get(name), settings, progress=progress, notify=lambda _: None)


async def run_index_update(root: Path, on_step: Callable[[IndexStep], None]) -> dict[str, Any]:
    """Update the index in a process of its own, which alone pays for parsers and numpy.

    Raises:
        IndexingError: It failed; the message is the child's.
    """
    child = await asyncio.create_subprocess_exec(
        *platforms.python_command("codebuddy.tui.index_child", str(root)),
        env=platforms.child_environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 20,
    )
    assert child.stdout is not None
    last: dict[str, Any] = {}
    try:
        while line := await child.stdout.readline():
            with contextlib.suppress(ValueError):
                last = json.loads(line)
            if "done" in last:
                on_step(IndexStep(last["done"], last["total"], last.get("message", "")))
        await child.wait()
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
    if "error" in last:
        raise IndexingError(str(last["error"]), hint=str(last.get("hint", "")))
    if "result" not in last:
        raise IndexingError("the index's update ended before it was done", hint="try it again")
    result: dict[str, Any] = last["result"]
    return result


def is_engine_unreachable(error: CodebuddyError) -> bool:
    """Whether the engine itself failed, rather than the work asked of it."""
    return type(error) is EngineError
