"""One update of an index for all who ask at the same time, and none right after another."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from codebuddy.cancellation import CancellationToken
from codebuddy.errors import IndexingError
from codebuddy.service.context import RepositoryContext
from codebuddy.service.refresh import END_WAITS_S, update

if TYPE_CHECKING:
    from codebuddy.index.build import IndexProgress

# An index that was looked at this recently counts as fresh.
FRESH_FOR_S = 1.0
# Then the index from before answers. A first build is waited for longer, as there is none.
_UPDATE_WAIT_S = 10.0
_BUILD_WAIT_S = 40.0


@dataclass(slots=True)
class _Update:
    """An update that runs or has ended; its result is what went wrong beside it."""

    is_first_build: bool
    result: Future[list[str]] = field(default_factory=Future)
    ended_at: float = float("-inf")


class JointRefresh:
    """Brings indexes up to date before they are asked. Safe from several threads."""

    def __init__(self) -> None:
        # Held while what follows is used.
        self._lock = threading.Lock()
        self._updates: dict[Path, _Update] = {}
        self._is_ending = threading.Event()

    def refresh(
        self,
        repository_context: RepositoryContext,
        cancellation: CancellationToken,
        *,
        is_damaged: bool = False,
    ) -> list[str]:
        """Wait until the repository's index is up to date, or for as long as one may wait.

        Args:
            repository_context: Whose index.
            cancellation: Ends the waiting; the update goes on for others.
            is_damaged: Whether the index turned out damaged, so that a recent update will not do.

        Returns:
            What went wrong, where there is an index from before.

        Raises:
            SupersededError: It was cancelled.
            IndexingError: There is no index, or none yet.
        """
        joined = self._join(repository_context, is_damaged=is_damaged)
        woken = threading.Event()
        joined.result.add_done_callback(lambda _: woken.set())
        with cancellation.on_cancel(woken.set):
            woken.wait(_BUILD_WAIT_S if joined.is_first_build else _UPDATE_WAIT_S)
        cancellation.check()
        if joined.result.done():
            return joined.result.result()
        if joined.is_first_build:
            raise IndexingError(
                "the repository is being indexed for the first time", hint="ask again in a minute"
            )
        return ["the index is being updated; this is what it held before"]

    def close(self) -> None:
        """Stop what runs at its next step: an update that is cut off leaves the index as it was.

        A thread inside native code must not outlive the interpreter, so it is waited for.
        """
        self._is_ending.set()
        with self._lock:
            running = [each.result for each in self._updates.values()]
        wait(running, END_WAITS_S)

    def _join(self, repository_context: RepositoryContext, *, is_damaged: bool) -> _Update:
        """The update that runs, or ended a moment ago, or a new one."""
        from codebuddy.index.seeding import has_index

        folder = repository_context.repository.index_folder
        with self._lock:
            known = self._updates.get(folder)
            if known is not None:
                is_recent = time.monotonic() - known.ended_at < FRESH_FOR_S
                if not known.result.done() or (is_recent and not is_damaged):
                    return known
            begun = _Update(not has_index(repository_context.repository))
            self._updates[folder] = begun
        work = (repository_context, begun)
        threading.Thread(target=self._update, args=work, daemon=True, name="refresh").start()
        return begun

    def _update(self, repository_context: RepositoryContext, begun: _Update) -> None:
        try:
            warnings = update(repository_context, self._check_not_ending)
        except Exception as error:  # noqa: BLE001
            # Raised for all who wait; who asks next tries again.
            begun.result.set_exception(error)
        else:
            begun.ended_at = time.monotonic()
            begun.result.set_result(warnings)

    def _check_not_ending(self, _progress: IndexProgress) -> None:
        if self._is_ending.is_set():
            raise IndexingError("the update was stopped, since the process ends")
