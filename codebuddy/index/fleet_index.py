"""One search over many repositories' indexes, ranked as if all lay in one.

The channels, their fusion and its weights are those of a single repository (`hybrid.py`); what
they count is counted over all shards. The one approximation: the mean idf that rank_bm25 gives to
words of more than half of all chunks is over the shards' vocabularies one by one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Self, TypeVar

from codebuddy.errors import IndexingError
from codebuddy.index.channels import Channels
from codebuddy.index.lease import Leases
from codebuddy.index.lexical import LexicalRanker
from codebuddy.index.schema import DamagedIndexError
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.shards import Shard, ShardedStore, ShardLostError
from codebuddy.open_files import allow_open_files
from codebuddy.settings import Settings

T = TypeVar("T")
# What else an engine may open, of which each model and connection is some.
_OTHER_FILES = 256


class FleetIndex(RepositoryIndex):
    """Searches many indexes; of a single repository's questions it answers no others.

    Args:
        shards: The repositories, whose names differ.
        settings: The encoder of queries.
    """

    def __init__(self, shards: Sequence[Shard], settings: Settings) -> None:
        # Each keeps its database open, with its log and that one's index; systems allow as few as
        # 256 of all.
        allow_open_files(3 * len(shards) + _OTHER_FILES)
        self._sharded = ShardedStore(shards)
        self._store = self._sharded
        self._settings = settings
        self._channels: Channels | None = None
        self._held: Channels | None = None
        self._lock = threading.RLock()
        self._leases = Leases(self._close_store)

    def __enter__(self) -> Self:
        return self

    @property
    def shards(self) -> Sequence[Shard]:
        """All shards; those with a `problem` took no part in the last search."""
        return self._sharded.shards

    def ask(self, query: str, ask: Callable[[], T]) -> T:
        """What `ask` finds by calling this index, all of it in one state of every shard.

        A shard that fails meanwhile is left out, and all is asked again without it.

        Args:
            query: What is looked for, to find a hostile index by.
            ask: May be called several times.

        Raises:
            UsageError, IndexingError: As `ask`.
        """
        for _ in range(len(self.shards) + 1):
            try:
                with self._snapshot() as channels:
                    self._held = channels
                    try:
                        return ask()
                    finally:
                        self._held = None
            except ShardLostError:
                # It is left out of the next try.
                self._channels = None
            except DamagedIndexError:
                # Its checksums are right and its content is not.
                if not self._drop_damaged(query):
                    raise
        raise IndexingError("the indexes change all the time", hint="try again in a moment")

    def shard_of(self, path: str) -> tuple[Shard, str]:
        """The shard of a result's path, and the path there."""
        name, _, own = path.partition("/")
        return next(each for each in self.shards if each.name == name), own

    @contextmanager
    def _snapshot(self) -> Iterator[Channels]:
        with self._lock:
            if self._leases.is_closed:
                raise IndexingError("the indexes are closed already", hint="try again")
            if self._held is not None:
                yield self._held
                return
            with self._sharded.snapshot() as has_changed:
                if has_changed or self._channels is None:
                    segments = self._sharded.load_segments()
                    lexical = LexicalRanker(self._store, segments)
                    self._channels = Channels(self._store, self._settings, lexical)
                yield self._channels

    def _drop_damaged(self, query: str) -> bool:
        """Leave out each shard that fails when it is searched alone; whether there was one."""
        found = False
        self._channels = None
        for shard in self.shards:
            if shard.store is None:
                continue
            alone = Shard(shard.name, shard.root, shard.folder)
            store = ShardedStore([alone])
            try:
                with store.snapshot():
                    channels = Channels(
                        store, self._settings, LexicalRanker(store, store.load_segments())
                    )
                    channels.search_lexical(query)
                    with suppress(StopIteration):
                        channels.search_dense(query)
            except DamagedIndexError:
                found = True
                shard.close()
                shard.is_damaged = True
            finally:
                store.close()
        return found
