"""Bringing a repository's index up to date before it is asked, and asking it again when damaged."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from codebuddy.errors import CodebuddyError, IndexingError
from codebuddy.service.context import RepositoryContext
from codebuddy.terminal import note, safe_line

if TYPE_CHECKING:
    from codebuddy.index.build import IndexProgress
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.service.repositories import RepositoryCache

T = TypeVar("T")

# A person waits for an answer: after this long behind another indexer, the old index does.
LOCK_TIMEOUT_S = 30.0
# An index is brought up to date in the background, no sooner than this after the last time.
_BACKGROUND_EVERY_S = 30.0
END_WAITS_S = 2.0
# Of what a time budget has left, what the refresh may take; the rest is for the text.
BUDGET_SHARE = 0.5
_LATE = (
    "the index could not be brought up to date within the time that was given; "
    "using it as it is ('codebuddy index' updates it)"
)


def open_index(
    repository_context: RepositoryContext, *, should_update: bool = True
) -> RepositoryIndex:
    """The repository's index, brought up to date with the files first if wanted.

    Raises:
        IndexingError: There is none that can be used. An update that fails is a warning, as
            long as the index from before can be used; an update builds a damaged one anew.
    """
    from codebuddy.index.seeding import open_or_seed

    if should_update:
        for warning in update_shown(repository_context):
            note(f"warning: {safe_line(warning)}")
    return open_or_seed(repository_context.repository, repository_context.settings)


def update_shown(repository_context: RepositoryContext) -> list[str]:
    """As `update`, with the progress on a terminal's stderr."""
    from codebuddy.index.progress import ProgressDisplay

    with ProgressDisplay() as display:
        return update(repository_context, display.show)


def update(
    repository_context: RepositoryContext, progress: Callable[[IndexProgress], None] | None = None
) -> list[str]:
    """Bring the repository's index up to date.

    Args:
        repository_context: Whose.
        progress: Told of each step.

    Returns:
        A warning if that failed and there is an index from before.

    Raises:
        IndexingError: It failed, and there is none.
    """
    from codebuddy.index.build import update_index
    from codebuddy.index.seeding import has_index

    try:
        update_index(
            repository_context.repository,
            repository_context.settings,
            progress=progress,
            lock_timeout_s=LOCK_TIMEOUT_S,
        )
    except IndexingError as error:
        if not has_index(repository_context.repository):
            raise
        remedy = f" ({error.hint})" if error.hint else ""
        return [f"{error.message}; using the index as it is{remedy}"]
    return []


def with_index(
    repository_context: RepositoryContext,
    ask: Callable[[RepositoryIndex], T],
    *,
    should_update: bool,
) -> T:
    """What `ask` answers from the index.

    One that turns out damaged is rebuilt and asked again, if it may be updated at all.

    Raises:
        IndexingError: There is no index that can be used.
    """
    from codebuddy.index.schema import DamagedIndexError

    try:
        with open_index(repository_context, should_update=should_update) as index:
            return ask(index)
    except DamagedIndexError as error:
        if not should_update:
            raise
        note(f"{safe_line(error.message)}; building it anew")
    with open_index(repository_context) as index:
        return ask(index)


def ask_refreshed_index(
    repositories: RepositoryCache,
    repository_context: RepositoryContext,
    ask: Callable[[RepositoryIndex], T],
    warnings: list[str],
    *,
    is_shown: bool,
) -> T:
    """What `ask` answers from the index, which is brought up to date first.

    One that turns out damaged is built anew and asked again. `warnings` gets what
    went wrong, also where there is no answer. The progress is on a terminal's stderr if it
    `is_shown`.

    Raises:
        IndexingError: There is no index that can be used.
    """
    from codebuddy.index.schema import DamagedIndexError

    refresh = update_shown if is_shown else update
    warnings += refresh(repository_context)
    try:
        return ask(repositories.index(repository_context))
    except DamagedIndexError as error:
        # It was noted as damaged, so the next update builds it anew.
        repositories.forget_index(repository_context)
        rebuilt = f"{error.message}; it was built anew"
    warnings[:] = refresh(repository_context) or [rebuilt]
    return ask(repositories.index(repository_context))


@dataclass(frozen=True, slots=True)
class Refreshing:
    """How the background refresh of an index is.

    `warnings` are those of the last one that ended; during an `is_first_build` there is no
    index yet, and nothing is wrong with that.
    """

    warnings: tuple[str, ...] = ()
    is_first_build: bool = False


class BackgroundRefresh:
    """Brings indexes up to date beside the requests, each no more often than once in a while."""

    def __init__(self) -> None:
        self._started_at: dict[Path, float] = {}
        # Held while what follows is used.
        self._lock = threading.Lock()
        self._threads: dict[Path, threading.Thread] = {}
        self._first_builds: set[Path] = set()
        self._warnings: dict[Path, tuple[str, ...]] = {}
        self._is_ending = threading.Event()
        self._ends_with_process = False

    def start(self, repository_context: RepositoryContext) -> Refreshing:
        """Begin an update in another thread, unless one began a short time ago."""
        if repository_context.found is None:
            return Refreshing()
        root, now = repository_context.root, time.monotonic()
        with self._lock:
            is_due = now - self._started_at.get(root, float("-inf")) >= _BACKGROUND_EVERY_S
            if is_due and root not in self._threads and not self._is_ending.is_set():
                self._started_at[root] = now
                self._begin(repository_context)
            return Refreshing(self._warnings.get(root, ()), root in self._first_builds)

    def wait(self, repository_context: RepositoryContext, seconds: float) -> Refreshing:
        """Begin an update, unless one runs, and wait `seconds` for it at most; then it goes on.

        It ends with the process; the `warnings` say so if it was not over in time.
        """
        if repository_context.found is None:
            return Refreshing()
        root = repository_context.root
        with self._lock:
            if root not in self._threads and not self._is_ending.is_set():
                self._started_at[root] = time.monotonic()
                self._begin(repository_context)
            thread = self._threads.get(root)
        if thread is not None:
            thread.join(seconds)
        with self._lock:
            late = (_LATE,) if root in self._threads else ()
            warnings = (*self._warnings.get(root, ()), *late)
            return Refreshing(warnings, root in self._first_builds)

    def _begin(self, repository_context: RepositoryContext) -> None:
        """Start the thread. The caller holds the lock."""
        from codebuddy.index.seeding import has_index

        if not self._ends_with_process:
            # A thread inside native code must not outlive the interpreter.
            self._ends_with_process = True
            atexit.register(self._end)
        if not has_index(repository_context.repository):
            self._first_builds.add(repository_context.root)
        thread = threading.Thread(target=self._update, args=(repository_context,), daemon=True)
        self._threads[repository_context.root] = thread
        thread.start()

    def _update(self, repository_context: RepositoryContext) -> None:
        warnings: list[str] = []
        try:
            warnings = update(repository_context, self._check_not_ending)
        except CodebuddyError as error:
            remedy = f" ({error.hint})" if error.hint else ""
            warnings = [f"{error.message}; completing without lookups{remedy}"]
        finally:
            with self._lock:
                # At once: a request between the two would say only that there is no index.
                self._first_builds.discard(repository_context.root)
                self._warnings[repository_context.root] = tuple(warnings)
                del self._threads[repository_context.root]

    def _check_not_ending(self, _progress: IndexProgress) -> None:
        """Asked at each step: an update that is cut off leaves the index as it was."""
        if self._is_ending.is_set():
            raise IndexingError("the update was stopped, since the process ends")

    def _end(self) -> None:
        self._is_ending.set()
        with self._lock:
            threads = [*self._threads.values()]
        for thread in threads:
            thread.join(END_WAITS_S)
