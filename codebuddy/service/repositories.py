"""What a long-lived process keeps of repositories: the open ones, their indexes and policies.

A request brings where its settings come from, so that two terminals with other variables share
one process. Nothing kept is believed without a look at the files behind it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codebuddy.datatypes import Adapter, Generator
from codebuddy.errors import IndexingError
from codebuddy.index.schema import DATABASE_NAME
from codebuddy.service.context import (
    RepositoryContext,
    RetrievalPolicy,
    latency_key,
    open_policy,
    settings_of,
)
from codebuddy.service.dependencies import file_identity
from codebuddy.service.request import SettingsSources
from codebuddy.vcs.location import existing_folder, repository_around
from codebuddy.vcs.repository import Repository

if TYPE_CHECKING:
    from codebuddy.completion.prompt_history import PromptHistory
    from codebuddy.index.search import RepositoryIndex

# Open repositories and indexes; a person works in a few, and each holds a database open.
_MAX_OPEN = 16

_Identity = tuple[int, ...]
# What an open index is for: `index_key`.
IndexKey = tuple[Path, str, bool]


class RepositoryCache:
    """Open repositories, with indexes, prompt histories and policies.

    `repository_context`, `lease_index` and `forget_index` may be called from several threads, all
    else by one at a time.
    """

    def __init__(self) -> None:
        # Guards repositories and indexes; never held while a file or git is waited for.
        self._lock = threading.Lock()
        self._repositories: OrderedDict[Path, tuple[_Identity, Repository]] = OrderedDict()
        # Opened for an embedder: that of a query must be that of the vectors.
        self._indexes: OrderedDict[IndexKey, RepositoryIndex] = OrderedDict()
        self._histories: OrderedDict[Path, PromptHistory] = OrderedDict()
        self._policies: OrderedDict[Path, tuple[tuple[object, ...], RetrievalPolicy]] = (
            OrderedDict()
        )
        self._latencies_saved_at = float("-inf")

    def repository_context(
        self, folder: str, sources: SettingsSources, flags: Mapping[str, Any]
    ) -> tuple[RepositoryContext, tuple[str, ...]]:
        """The repository around `folder`, if any, its settings, and what was ignored or refused.

        Args:
            folder: Absolute; one that does not exist stands for its nearest parent.
            sources: Where the request's settings come from.
            flags: Dotted names to values.

        Raises:
            UsageError: It is in a bare repository.
            ConfigError: A setting is wrong.
        """
        existing = existing_folder(Path(folder))
        repository = self._repository(existing)
        root = None if repository is None else repository.root
        loaded = settings_of(sources, root, flags)
        real = Path(os.path.realpath(existing))
        refused = "" if repository is None else repository.refused_folder
        warnings = (*loaded.warnings, *([refused] if refused else []))
        return RepositoryContext(repository, loaded.settings, real), warnings

    def index(self, repository_context: RepositoryContext) -> RepositoryIndex:
        """The repository's index, opened once; for callers that work one after the other.

        Raises:
            IndexingError: There is none that can be used.
        """
        with self.lease_index(repository_context) as index:
            return index

    @contextlib.contextmanager
    def lease_index(self, repository_context: RepositoryContext) -> Iterator[RepositoryIndex]:
        """The repository's index, opened once, and open inside the context whatever happens.

        Safe from several threads: an index that others push out, or that failed for them, is
        closed when the last of them is done with it.

        Raises:
            IndexingError: There is none that can be used.
        """
        with contextlib.ExitStack() as stack:
            index = self._kept_index(repository_context, stack)
            if index is None:
                from codebuddy.index.seeding import open_or_seed

                # Not under the lock: a large index takes a second, and others go on meanwhile.
                opened = open_or_seed(repository_context.repository, repository_context.settings)
                index = self._keep_index(repository_context, opened, stack)
            yield index

    def _kept_index(
        self, repository_context: RepositoryContext, stack: contextlib.ExitStack
    ) -> RepositoryIndex | None:
        with self._lock:
            kept = self._indexes.get(index_key(repository_context))
            if kept is not None:
                self._indexes.move_to_end(index_key(repository_context))
                stack.enter_context(kept.lease())
            return kept

    def _keep_index(
        self,
        repository_context: RepositoryContext,
        opened: RepositoryIndex,
        stack: contextlib.ExitStack,
    ) -> RepositoryIndex:
        key = index_key(repository_context)
        dropped: list[RepositoryIndex] = []
        with self._lock:
            if key in self._indexes:
                # Another thread was quicker.
                dropped.append(opened)
            else:
                self._indexes[key] = opened
                if len(self._indexes) > _MAX_OPEN:
                    dropped.append(self._indexes.popitem(last=False)[1])
            index = self._indexes[key]
            stack.enter_context(index.lease())
        for each in dropped:
            with contextlib.suppress(IndexingError):
                each.close()
        return index

    def forget_index(self, repository_context: RepositoryContext) -> None:
        """Let go of an index that failed, so that the next request opens it anew."""
        with self._lock:
            kept = self._indexes.pop(index_key(repository_context), None)
        if kept is not None:
            with contextlib.suppress(IndexingError):
                kept.close()

    def history(self, repository_context: RepositoryContext) -> PromptHistory:
        """What the last prompts of the repository's files held."""
        from codebuddy.completion.prompt_history import PromptHistory

        root = repository_context.root
        kept = self._histories.pop(root, None) or PromptHistory()
        if len(self._histories) >= _MAX_OPEN:
            self._histories.popitem(last=False)
        self._histories[root] = kept
        return kept

    def policy(
        self,
        repository_context: RepositoryContext,
        generator: Generator,
        adapter: Adapter | None = None,
    ) -> RetrievalPolicy:
        """What decides on lookups there; read anew when a head's file or the model changes."""
        from codebuddy import heads

        found = repository_context.found
        # Outside of any repository one policy serves all folders.
        folder = Path() if found is None else found.index_folder
        marks = (
            latency_key(generator),
            None if adapter is None else adapter.sha256,
            repository_context.settings.completion,
            () if found is None else file_identity(heads.personal_head_file(found)),
            file_identity(heads.default_head_file()),
        )
        kept = self._policies.pop(folder, None)
        if kept is None or kept[0] != marks:
            if kept is not None:
                kept[1].latency.save()
            kept = (marks, open_policy(repository_context, generator, adapter))
            if len(self._policies) >= _MAX_OPEN:
                self._policies.popitem(last=False)[1][1].latency.save()
        self._policies[folder] = kept
        return kept[1]

    def save_latencies(self, *, every_s: float = 0.0) -> None:
        """Write what was learnt of latencies, unless that was done less than `every_s` ago."""
        now = time.monotonic()
        if now - self._latencies_saved_at >= every_s:
            self._latencies_saved_at = now
            for _, policy in self._policies.values():
                policy.latency.save()

    def files_behind(self, repository_context: RepositoryContext, *, has_index: bool) -> list[Path]:
        """The files that a suggestion there is made from, beside text, settings and model.

        Args:
            repository_context: Where.
            has_index: Whether the index may be asked.
        """
        from codebuddy import heads

        repository = repository_context.found
        if not has_index or repository is None:
            return []
        # Not its checksum file: an update without changes rewrites that too.
        return [
            repository.index_folder / DATABASE_NAME,
            heads.personal_head_file(repository),
            heads.default_head_file(),
        ]

    def _repository(self, folder: Path) -> Repository | None:
        with self._lock:
            kept = self._repositories.get(folder)
        if kept is not None and kept[0] == _marks(folder, kept[1].root):
            with self._lock:
                if folder in self._repositories:
                    self._repositories.move_to_end(folder)
            return kept[1]
        repository = repository_around(folder)
        if repository is None:
            return None
        marks = _marks(folder, repository.root)
        with self._lock:
            self._repositories[folder] = (marks, repository)
            self._repositories.move_to_end(folder)
            if len(self._repositories) > _MAX_OPEN:
                self._repositories.popitem(last=False)
        return repository


def index_key(repository_context: RepositoryContext) -> IndexKey:
    """What an open index is for: repository, embedder of queries, what is left out."""
    settings = repository_context.settings.index
    return repository_context.repository.index_folder, settings.embedder, settings.deprecated


def _marks(folder: Path, root: Path) -> _Identity:
    """Changes when a repository appears, goes or is replaced between `folder` and its root."""
    marks: list[int] = []
    for each in (folder, *folder.parents):
        marks += file_identity(each / ".git")[:2] or (0, 0)
        if each == root:
            break
    return tuple(marks)
