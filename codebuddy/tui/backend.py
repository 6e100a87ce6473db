"""What the TUI asks of the rest of codebuddy, in one place: suggestions, search, models, index.

`Backend` is all that screens know. `EngineBackend` asks the warm engine from worker threads,
so that nothing here blocks the caller's loop. Nothing here draws.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from codebuddy import platforms
from codebuddy.engine.client import EngineClient
from codebuddy.errors import CodebuddyError, EngineError, IndexingError, SupersededError
from codebuddy.service.request import CompletionRequest
from codebuddy.service.response import CompletionResponse, SearchHit

T = TypeVar("T")
OnText = Callable[[str], None]

# A suggestion, a search, a status and a prewarm may be under way at once.
_THREADS = 6


@dataclass(frozen=True, slots=True)
class Wish:
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


class Backend(Protocol):
    """What screens may ask for. Every method raises `CodebuddyError`s that a person can read."""

    model: str
    """The model in use, by name."""

    async def complete(self, wish: Wish, on_text: OnText | None = None) -> CompletionResponse:
        """A suggestion with the keys of `complete --json`; `on_text` gets it as it grows.

        `on_text` is called in the caller's loop. Cancelling the task cancels the work.
        """
        ...

    async def search(self, query: str, top_k: int, channel: str) -> list[SearchHit]:
        """The best places for a query, with the keys of `search --json`."""
        ...

    async def prewarm(self, wish: Wish) -> None:
        """Make a suggestion at this place quicker, when there is time; says nothing."""
        ...

    async def accepted(self, text: str) -> None:
        """A person took `text`; says nothing."""
        ...

    async def models(self) -> list[ModelLine]:
        """The catalog, with what is installed."""
        ...

    async def pull(self, name: str, progress: PullProgress) -> None:
        """Download a model."""
        ...

    async def use(self, name: str) -> None:
        """Load a model and use it from now on."""
        ...

    async def update_index(self, on_step: Callable[[IndexStep], None]) -> dict[str, Any]:
        """Bring the index up to date; the numbers of `index --json`."""
        ...

    async def status(self) -> dict[str, Any]:
        """What works for us: the engine's own account."""
        ...

    def close(self) -> None:
        """Wait for nothing; what runs is cancelled."""
        ...


class EngineBackend:
    """A `Backend` that asks the warm engine, and starts it again if it died."""

    def __init__(self, root: Path, model: str) -> None:
        self.model = model
        self._root = root
        self._client_name = f"tui-{os.getpid()}"
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="engine")
        self._engine: EngineClient | None = None
        self._connecting = threading.Lock()

    async def complete(self, wish: Wish, on_text: OnText | None = None) -> CompletionResponse:
        """See `Backend.complete`."""
        loop = asyncio.get_running_loop()
        client = f"{self._client_name}-{wish.client}"
        call = self._call(wish, client)
        request = call.request

        def told(text: str) -> None:
            if on_text is not None:
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(on_text, text)

        is_unwanted = threading.Event()

        def complete(engine: EngineClient) -> CompletionResponse:
            # The engine may have been starting all the while.
            if is_unwanted.is_set():
                raise SupersededError("the suggestion is not wanted any more")
            return engine.complete(call, told)

        try:
            return await self._ask(complete)
        except asyncio.CancelledError:
            is_unwanted.set()
            with contextlib.suppress(RuntimeError):
                self._threads.submit(self._quietly, lambda engine: engine.cancel(client, request))
            raise

    async def search(self, query: str, top_k: int, channel: str) -> list[SearchHit]:
        """See `Backend.search`."""
        folder = str(self._root)
        answer = await self._ask(
            lambda engine: engine.search(folder, query, top_k=top_k, channel=channel)
        )
        return answer["results"]

    async def prewarm(self, wish: Wish) -> None:
        """See `Backend.prewarm`."""

        def tell(engine: EngineClient) -> None:
            engine.prewarm(
                str(wish.file),
                wish.text,
                wish.line,
                wish.column,
                client=f"{self._client_name}-prewarm",
                model=self.model,
                takes_back=True,
            )

        await self._in_thread(lambda: self._quietly(tell))

    async def accepted(self, text: str) -> None:
        """See `Backend.accepted`."""
        client = f"{self._client_name}-typing"
        await self._in_thread(lambda: self._quietly(lambda engine: engine.accepted(client, text)))

    async def models(self) -> list[ModelLine]:
        """See `Backend.models`."""
        return await self._in_thread(lambda: list_models(self._root, self.model))

    async def pull(self, name: str, progress: PullProgress) -> None:
        """See `Backend.pull`."""
        await self._in_thread(lambda: pull_model(self._root, name, progress))

    async def use(self, name: str) -> None:
        """See `Backend.use`."""
        await self._ask(lambda engine: engine.load(name))
        self.model = name

    async def update_index(self, on_step: Callable[[IndexStep], None]) -> dict[str, Any]:
        """See `Backend.update_index`."""
        return await run_index_update(self._root, on_step)

    async def status(self) -> dict[str, Any]:
        """See `Backend.status`."""
        return await self._ask(lambda engine: engine.status())

    def close(self) -> None:
        """See `Backend.close`."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _call(self, wish: Wish, client: str) -> CompletionRequest:
        return CompletionRequest(
            str(wish.file),
            wish.line,
            wish.column,
            wish.text,
            retrieve=wish.retrieve,
            alternatives=wish.alternatives,
            model=self.model,
            client=client,
            priority="ask" if wish.is_asked_for else "typing",
            name=wish.file.name,
            request=secrets.token_hex(8),
            takes_back=True,
        )

    async def _ask(self, ask: Callable[[EngineClient], T]) -> T:
        return await self._in_thread(lambda: ask(self._connected()))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _connected(self) -> EngineClient:
        with self._connecting:
            if self._engine is None:
                self._engine = EngineClient.connect()
            return self._engine

    def _quietly(self, tell: Callable[[EngineClient], None]) -> None:
        with contextlib.suppress(CodebuddyError, OSError):
            tell(self._connected())


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
    pull(load_models(settings).get(name), settings, progress=progress, say=lambda _: None)


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


def is_engine_gone(error: CodebuddyError) -> bool:
    """Whether the engine itself failed, rather than the work asked of it."""
    return type(error) is EngineError
