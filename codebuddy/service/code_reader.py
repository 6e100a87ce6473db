"""Opens a repository's index for questions about its code, brought up to date before each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from codebuddy.cancellation import CancellationToken
from codebuddy.service.joint_refresh import JointRefresh
from codebuddy.service.repositories import RepositoryCache
from codebuddy.service.request import SettingsSources

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.service.context import RepositoryContext

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """What was asked for, and what went wrong beside it."""

    value: T
    warnings: tuple[str, ...] = ()


class CodeReader:
    """Asks the index of the repository around a folder. Safe from several threads.

    Args:
        folder: Absolute.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._sources = SettingsSources.of_this_process()
        self._repositories = RepositoryCache()
        self._refresh = JointRefresh()

    @property
    def root(self) -> Path:
        """The repository's.

        Raises:
            NotInRepositoryError: The folder is in none.
        """
        return self._context()[0].repository.root

    def refresh(self, cancellation: CancellationToken) -> tuple[str, ...]:
        """Bring the index up to date, for one who asks it elsewhere; what went wrong.

        Raises:
            SupersededError: It was cancelled.
            IndexingError: There is none that can be used.
        """
        repository_context, warnings = self._context()
        return (*warnings, *self._refresh.refresh(repository_context, cancellation))

    def ask(
        self, question: Callable[[RepositoryIndex], T], cancellation: CancellationToken
    ) -> Answered[T]:
        """What `question` says of the index as it is after an update.

        One that turns out damaged is built anew and asked again.

        Raises:
            SupersededError: It was cancelled.
            IndexingError: There is no index that can be used.
            CodebuddyError: As the question does.
        """
        from codebuddy.index.schema import DamagedIndexError

        repository_context, warnings = self._context()
        warnings += tuple(self._refresh.refresh(repository_context, cancellation))
        try:
            return Answered(self._ask(repository_context, question), warnings)
        except DamagedIndexError:
            # It was noted as damaged, so the next update builds it anew.
            self._repositories.forget_index(repository_context)
        warnings += tuple(self._refresh.refresh(repository_context, cancellation, is_damaged=True))
        return Answered(self._ask(repository_context, question), warnings)

    def close(self) -> None:
        """Stop an update that runs."""
        self._refresh.close()

    def _ask(
        self, repository_context: RepositoryContext, question: Callable[[RepositoryIndex], T]
    ) -> T:
        with self._repositories.lease_index(repository_context) as index:
            return question(index)

    def _context(self) -> tuple[RepositoryContext, tuple[str, ...]]:
        return self._repositories.repository_context(self._folder, self._sources, {})
