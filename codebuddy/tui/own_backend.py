"""A `Backend` in this process, for where no engine may run: the same path, one job at a time.

It holds the model and the index itself, so it takes their memory; the engine is the usual way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from codebuddy.cancellation import CancellationToken
from codebuddy.errors import IndexingError
from codebuddy.service.response import CompletionResponse, SearchHit
from codebuddy.tui.backend import (
    IndexStep,
    ModelLine,
    OnText,
    PullProgress,
    Wish,
    list_models,
    pull_model,
    run_index_update,
)

if TYPE_CHECKING:
    from codebuddy.assembly import Surroundings
    from codebuddy.datatypes import RetrieveMode
    from codebuddy.engine.workplace import Workplace

T = TypeVar("T")


class OwnBackend:
    """Works with the model that is loaded into this process."""

    def __init__(self, root: Path, model: str) -> None:
        self.model = model
        self._root = root
        # One thread, since neither model nor index takes two callers here.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="completion")
        self._aside = ThreadPoolExecutor(2, thread_name_prefix="aside")
        self._workplace: Workplace | None = None

    async def complete(self, wish: Wish, on_text: OnText | None = None) -> CompletionResponse:
        """See `Backend.complete`."""
        loop = asyncio.get_running_loop()
        token = CancellationToken()

        def told(text: str) -> None:
            if on_text is not None:
                loop.call_soon_threadsafe(on_text, text)

        def work() -> CompletionResponse:
            token.check()
            return self._complete(wish, told, token)

        try:
            return await self._in(self._thread, work)
        except asyncio.CancelledError:
            token.cancel()
            raise

    async def search(self, query: str, top_k: int, channel: str) -> list[SearchHit]:
        """See `Backend.search`."""
        return await self._in(self._thread, lambda: self._search(query, top_k, channel))

    async def prewarm(self, wish: Wish) -> None:
        """Nothing: the one thread is for what is asked."""

    async def accepted(self, text: str) -> None:
        """Nothing: only the engine keeps statistics."""

    async def models(self) -> list[ModelLine]:
        """See `Backend.models`."""
        return await self._in(self._aside, lambda: list_models(self._root, self.model))

    async def pull(self, name: str, progress: PullProgress) -> None:
        """See `Backend.pull`."""
        await self._in(self._aside, lambda: pull_model(self._root, name, progress))

    async def use(self, name: str) -> None:
        """See `Backend.use`."""
        before, self.model = self.model, name
        try:
            await self._in(self._thread, self._load)
        except BaseException:
            self.model = before
            raise

    async def update_index(self, on_step: Callable[[IndexStep], None]) -> dict[str, Any]:
        """See `Backend.update_index`."""
        return await run_index_update(self._root, on_step)

    async def status(self) -> dict[str, Any]:
        """See `Backend.status`."""
        return {"engine": "none: this process works alone", "model": self.model}

    def close(self) -> None:
        """See `Backend.close`."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._aside.shutdown(wait=False, cancel_futures=True)

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def _load(self) -> None:
        workplace, surroundings = self._place(self._root)
        workplace.generator(surroundings.settings)

    def _place(self, folder: Path) -> tuple[Workplace, Surroundings]:
        import os

        from codebuddy import paths
        from codebuddy.config import own_variables
        from codebuddy.engine.workplace import Workplace

        if self._workplace is None:
            self._workplace = Workplace()
        sources = {
            "environment": own_variables(os.environ),
            "user_file": str(paths.user_config_file()),
        }
        surroundings, _ = self._workplace.surroundings(
            str(folder), sources, {"model.name": self.model}
        )
        return self._workplace, surroundings

    def _complete(
        self, wish: Wish, told: Callable[[str], None], token: CancellationToken
    ) -> CompletionResponse:
        from codebuddy.assembly import find_place
        from codebuddy.completion.pipeline import complete
        from codebuddy.completion.receipt import as_dictionary
        from codebuddy.vcs.location import real_folder

        workplace, surroundings = self._place(real_folder(str(wish.file), wish.file.name))
        unsaved = wish.text.encode("utf-8", "replace")
        place = find_place(
            surroundings, str(wish.file), wish.line, wish.column, unsaved, wish.file.name
        )
        generator, _ = workplace.generator(surroundings.settings, cancellation=token)
        index = None
        if surroundings.found is not None:
            with contextlib.suppress(IndexingError):
                index = workplace.index(surroundings)
        request = place.request(wish.alternatives, takes_back=True)
        if wish.retrieve is not None:
            request = replace(request, retrieve=cast("RetrieveMode", wish.retrieve))
        judge = workplace.judge(surroundings, generator)
        workshop = place.workshop(generator, index, judge=judge)
        response = as_dictionary(complete(request, workshop, told, token))
        response["warnings"] = [*judge.warnings]
        return response

    def _search(self, query: str, top_k: int, channel: str) -> list[SearchHit]:
        from codebuddy.index.answer import found_items
        from codebuddy.index.build import update_index

        workplace, surroundings = self._place(self._root)
        update_index(surroundings.repository, surroundings.settings)
        return found_items(workplace.index(surroundings), query, top_k, cast("Any", channel))
