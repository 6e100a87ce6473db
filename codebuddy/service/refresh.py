"""Bringing a repository's index up to date before it is asked, and asking it again when damaged."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from codebuddy.errors import CodebuddyError, IndexingError
from codebuddy.service.context import Surroundings
from codebuddy.terminal import note, safe_line

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.service.repositories import RepositoryCache

T = TypeVar("T")

# A person waits for an answer: after this long behind another indexer, the old index does.
LOCK_TIMEOUT_S = 30.0
# An index is brought up to date in the background, no sooner than this after the last time.
_BACKGROUND_EVERY_S = 30.0


def open_index(surroundings: Surroundings, *, should_update: bool = True) -> RepositoryIndex:
    """The repository's index, brought up to date with the files first if wanted.

    Raises:
        IndexingError: There is none that can be used. An update that fails is a warning, as
            long as the index from before can be used; an update builds a damaged one anew.
    """
    from codebuddy.index.seeding import open_or_seed

    if should_update:
        for warning in update(surroundings, is_shown=True):
            note(f"warning: {safe_line(warning)}")
    return open_or_seed(surroundings.repository, surroundings.settings)


def update(surroundings: Surroundings, *, is_shown: bool) -> list[str]:
    """Bring the repository's index up to date.

    Args:
        surroundings: Whose.
        is_shown: Whether its progress is shown on a terminal's stderr.

    Returns:
        A warning if that failed and there is an index from before.

    Raises:
        IndexingError: It failed, and there is none.
    """
    from codebuddy.index.build import update_index
    from codebuddy.index.progress import ProgressDisplay
    from codebuddy.index.seeding import has_index

    try:
        with ProgressDisplay() if is_shown else contextlib.nullcontext() as display:
            update_index(
                surroundings.repository,
                surroundings.settings,
                progress=None if display is None else display.show,
                lock_timeout_s=LOCK_TIMEOUT_S,
            )
    except IndexingError as error:
        if not has_index(surroundings.repository):
            raise
        remedy = f" ({error.hint})" if error.hint else ""
        return [f"{error.message}; using the index as it is{remedy}"]
    return []


def with_index(
    surroundings: Surroundings, ask: Callable[[RepositoryIndex], T], *, should_update: bool
) -> T:
    """What `ask` answers from the index.

    One that turns out damaged is rebuilt and asked again, if it may be updated at all.

    Raises:
        IndexingError: There is no index that can be used.
    """
    from codebuddy.index.schema import DamagedIndexError

    try:
        with open_index(surroundings, should_update=should_update) as index:
            return ask(index)
    except DamagedIndexError as error:
        if not should_update:
            raise
        note(f"{safe_line(error.message)}; building it anew")
    with open_index(surroundings) as index:
        return ask(index)


def ask_refreshed_index(
    repositories: RepositoryCache,
    surroundings: Surroundings,
    ask: Callable[[RepositoryIndex], T],
    *,
    is_shown: bool,
) -> tuple[T, list[str]]:
    """What `ask` answers from the index, which is brought up to date first, and warnings.

    One that turns out damaged is built anew and asked again. The progress is on a terminal's
    stderr if it `is_shown`.

    Raises:
        IndexingError: There is no index that can be used.
    """
    from codebuddy.index.schema import DamagedIndexError

    warnings = update(surroundings, is_shown=is_shown)
    try:
        return ask(repositories.index(surroundings)), warnings
    except DamagedIndexError as error:
        # It was noted as damaged, so the next update builds it anew.
        repositories.forget_index(surroundings)
        warnings = [f"{error.message}; it was built anew"]
    warnings += update(surroundings, is_shown=is_shown)
    return ask(repositories.index(surroundings)), warnings


class BackgroundRefresh:
    """Brings indexes up to date beside the requests, each no more often than once in a while."""

    def __init__(self) -> None:
        self._started_at: dict[Path, float] = {}

    def start(self, surroundings: Surroundings) -> None:
        """Begin an update in another thread, unless one began a short time ago."""
        if surroundings.found is None:
            return
        now = time.monotonic()
        if now - self._started_at.get(surroundings.root, float("-inf")) >= _BACKGROUND_EVERY_S:
            self._started_at[surroundings.root] = now
            threading.Thread(target=_update_silently, args=(surroundings,), daemon=True).start()


def _update_silently(surroundings: Surroundings) -> None:
    # What is wrong with an index is told when it is asked; completion goes on without it.
    with contextlib.suppress(CodebuddyError):
        update(surroundings, is_shown=False)
