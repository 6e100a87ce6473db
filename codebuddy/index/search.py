"""Searching the index: a lexical, a symbol and a dense channel, alone or fused.

`RepositoryIndex` is what the rest of the program sees of the index. It only reads; it may
be used from several threads and stays right while another process updates the index.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from codebuddy.code_index import DeprecatedCode
from codebuddy.datatypes import Chunk, Definition, ResolvedDefinition, SearchResult
from codebuddy.errors import IndexingError, UsageError
from codebuddy.index.absent_words import AbsentWords, absent_words
from codebuddy.index.channels import POOL, Channels, kept
from codebuddy.index.contents import IndexStats, count_contents, skipped_by_reason
from codebuddy.index.damage_marker import mark_damaged
from codebuddy.index.deprecated_code import DeprecationReader
from codebuddy.index.embed import embedder_name, no_vectors
from codebuddy.index.hybrid import hybrid
from codebuddy.index.lease import Leases
from codebuddy.index.path_channel import missing_file
from codebuddy.index.query_filters import QueryFilters, keep_of
from codebuddy.index.ranker import RankingWeights, alone
from codebuddy.index.results import LOOKED_AT_PER_RESULT, results
from codebuddy.index.schema import DATABASE_NAME, DamagedIndexError, identity_of
from codebuddy.index.second_tier import SecondTier
from codebuddy.index.spelling import Reading
from codebuddy.index.store import Store, StoredFile
from codebuddy.index.terms import count_terms, normalized_name
from codebuddy.index.usages import Usages, find_importers, find_usages
from codebuddy.settings import Settings
from codebuddy.syntax.spec import VALUE_KINDS
from codebuddy.vcs.repository import Repository

SearchChannel = Literal["lexical", "dense", "symbol", "hybrid"]

# Definitions looked at before the best few of a name are chosen.
_DEFINITIONS_SEEN = 64


class RepositoryIndex:
    """An index opened for reading; every method raises IndexingError if it is damaged or busy."""

    def __init__(self, file: Path, store: Store, settings: Settings) -> None:
        self._file = file
        self._store = store
        self._settings = settings
        self._identity = identity_of(file)
        self._channels: Channels | None = None
        self._deprecations = DeprecationReader()
        self._lock = threading.RLock()
        self._leases = Leases(self._close_store)

    @classmethod
    def open(cls, repository: Repository, settings: Settings) -> RepositoryIndex:
        """Open a repository's index as it stands; `index.embedder` is that of dense searches.

        Raises:
            IndexingError: There is none yet, or it cannot be used.
        """
        file = repository.index_folder / DATABASE_NAME
        # Unlike Path.exists, no error where a folder on the way may not be entered.
        if not os.path.exists(file):  # noqa: PTH110
            raise IndexingError(
                f"{repository.root} is not indexed yet", hint="run 'codebuddy index'"
            )
        try:
            return cls(file, Store.open(file), settings)
        except DamagedIndexError:
            mark_damaged(repository.index_folder)
            raise

    def close(self) -> None:
        """Close the database, as soon as the last lease on it has ended."""
        self._leases.release()

    @contextmanager
    def lease(self) -> Iterator[RepositoryIndex]:
        """Keep it open for as long as the context lasts, whoever closes it meanwhile.

        Raises:
            IndexingError: It is closed already.
        """
        with self._leases.lease() as is_open:
            if not is_open:
                raise self._closed()
            yield self

    def _close_store(self) -> None:
        with self._lock:
            self._store.close()

    def __enter__(self) -> RepositoryIndex:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def search(
        self,
        query: str,
        top_k: int = 10,
        channel: SearchChannel = "hybrid",
        *,
        max_per_file: int = 0,
        near: str = "",
        exclude: Callable[[Chunk], bool] | None = None,
        weights: RankingWeights | None = None,
        filters: QueryFilters | None = None,
        is_read: bool = False,
        folder: str = "",
    ) -> list[SearchResult]:
        """The best chunks for a query of words, names or code.

        Args:
            query: Any text; filters in it are `query_filters`' to split off.
            top_k: How many results at most.
            channel: `lexical` is BM25 over terms; `symbol` matches names of definitions;
                `dense` compares vectors; `hybrid` fuses them and weighs where chunks lie,
                behind the chunks of files that the query names by their paths.
            max_per_file: Results of one file at most; 0 for any number.
            near: The file that the query comes from: what it imports, stands beside or
                changes with comes up in a hybrid or symbol search.
            exclude: True for a chunk that must not be among the results.
            weights: Of a hybrid search; the measured ones by default.
            filters: What the results must be; their own text is not looked at.
            is_read: Whether `query` is what `read` made of it, or to be taken as it is written.
            folder: Of the repository, in which a file that the query names is looked for first.

        Raises:
            UsageError: The query is empty.
            IndexingError: The dense channel is asked for and there are no vectors for it.
            ModelError: The encoder cannot be opened.
        """
        if not query.strip():
            raise UsageError("the query is empty", hint="give some words or names to look for")
        with self._snapshot() as channels:
            query = query if is_read else channels.read(query).text
            keep = None if filters is None else keep_of(filters, self._store)
            if channel == "lexical":
                ranked = alone(channel, kept(channels.lexical.ranked(count_terms(query)), keep))
            elif channel == "symbol":
                by_words = channels.search_lexical(query)
                found, reasons = channels.search_symbol(query, by_words, near, keep)
                ranked = alone(channel, iter(found), reasons)
            elif channel == "dense":
                if not channels.has_dense:
                    raise no_vectors(self._settings)
                limit = max(POOL, LOOKED_AT_PER_RESULT * top_k)
                ranked = alone(channel, iter(channels.search_dense(query, limit, keep)))
            else:
                weights = weights or RankingWeights()
                ranked = hybrid(query, channels, self._store, near, weights, keep, folder)
            return results(self._store, ranked, top_k, exclude, max_per_file)

    def lexical(
        self,
        terms: Sequence[str],
        top_k: int = 10,
        exclude: Callable[[Chunk], bool] | None = None,
        *,
        max_per_file: int = 0,
    ) -> list[SearchResult]:
        """The best chunks for terms as `codebuddy.index.terms` makes them, repeats counting.

        Args:
            terms: Of the query.
            top_k: How many results at most.
            exclude: True for a chunk that must not be among them.
            max_per_file: Results of one file at most; 0 for any number.
        """
        weights = Counter(terms)
        with self._snapshot() as channels:
            ranked = alone("lexical", channels.lexical.ranked(weights))
            return results(self._store, ranked, top_k, exclude, max_per_file)

    def read(self, query: str) -> Reading:
        """The query as a search reads it, slips of the keyboard mended."""
        with self._snapshot() as channels:
            return channels.read(query)

    def missing_file(self, query: str, folder: str = "") -> str:
        """The file of a query `FILE:LINE` where none is called so; empty for any other query."""
        with self._snapshot() as channels:
            return missing_file(query, channels.paths, folder)

    def absent_words(self, question: str, results: Sequence[str]) -> AbsentWords:
        """Which words of a question stand nowhere, or rarely and in none of the results' texts."""
        with self._snapshot() as channels:
            return absent_words(question, channels, self._store, results, self.embedder)

    def definitions(self, names: Sequence[str], per_name: int = 3) -> dict[str, list[Definition]]:
        """Where each of `names` is defined, code before values; unknown names are left out."""
        found: dict[str, list[Definition]] = {}
        with self._snapshot():
            for name in dict.fromkeys(names):
                known = self._store.definitions_named(
                    name, normalized_name(name), _DEFINITIONS_SEEN
                )
                known.sort(key=lambda each: (each.kind in VALUE_KINDS, each.path, each.line))
                if known:
                    found[name] = known[:per_name]
        return found

    def definitions_qualified(self, parts: Sequence[str], limit: int) -> list[Definition]:
        """Where a name is defined whose qualified name ends in `parts`."""
        with self._snapshot():
            return self._store.definitions_qualified(parts, normalized_name(parts[-1]), limit)

    def definitions_for(
        self,
        names: Sequence[str],
        path: str,
        imports: Sequence[str] | None = None,
        per_name: int = 3,
    ) -> dict[str, list[ResolvedDefinition]]:
        """What `names` may mean in the file `path`, the likeliest first, from other files.

        Args:
            names: Imported or used near the cursor; undefined ones are left out.
            path: Of the file; it need not be indexed.
            imports: What the file imports, in the index's words (`imports`); what the index
                knows of it by default.
            per_name: Definitions of each name at most.
        """
        found: dict[str, list[ResolvedDefinition]] = {}
        with self._snapshot() as channels:
            finder = channels.finder(path, imports, names)
            for name in dict.fromkeys(names):
                if known := finder.find(name, per_name):
                    found[name] = known
        return found

    def definition_counts(self, names: Iterable[str], outside_path: str) -> dict[str, int]:
        """In how many files other than `outside_path` each name is defined."""
        with self._snapshot():
            outside = self._store.file_of(os.fsencode(outside_path))
            pairs = [(name, normalized_name(name)) for name in dict.fromkeys(names)]
            return self._store.count_definitions(pairs, outside.id if outside else -1)

    def imports(self, path: str) -> tuple[str, ...]:
        """What the file `path` imports, in its own words."""
        with self._snapshot():
            stored = self._store.file_of(os.fsencode(path))
            return () if stored is None else self._store.imports_of(stored.id)

    def copies_of(self, path: str) -> list[str]:
        """The other files that hold the same bytes as the file `path`."""
        with self._snapshot():
            stored = self._store.file_of(os.fsencode(path))
            if stored is None:
                return []
            same = self._store.files_with(stored.digest)
            return [os.fsdecode(each.path) for each in same if each.id != stored.id]

    def chunks(self, ids: Sequence[int]) -> list[Chunk]:
        """The chunks of these ids, in this order; those that an update took away are left out."""
        with self._snapshot():
            return self._store.chunks(ids, may_miss=True)

    def chunks_of(self, path: str) -> list[Chunk]:
        """The chunks of the file `path` in their order; empty if it is not indexed."""
        with self._snapshot() as channels:
            return list(channels.chunks_of(path))

    def definitions_of(self, path: str, lines: tuple[int, int] | None = None) -> list[Definition]:
        """As `chunks_of`, definitions; of `lines` (first, last) those that touch them."""
        with self._snapshot() as channels:
            if lines is None:
                return list(channels.definitions_of(path))
            stored = self._store.file_of(os.fsencode(path))
            return [] if stored is None else self._store.definitions_of(stored, lines)

    def imported_files(
        self, path: str, names: Sequence[str] = (), imports: Sequence[str] | None = None
    ) -> list[str]:
        """The files that the file `path` imports; a name imported there may be a module's.

        `imports` is what it imports, by default what the index knows of that.
        """
        with self._snapshot() as channels:
            return channels.import_graph.imported_files(path, names, imports)

    def with_reexports(self, paths: Sequence[str]) -> list[str]:
        """`paths`, and the files whose definitions those pass on, as an `__init__` does."""
        with self._snapshot() as channels:
            return channels.import_graph.with_reexports(paths)

    def sibling_files(self, path: str) -> list[str]:
        """The other files of the folder, of the same family of languages."""
        with self._snapshot() as channels:
            return channels.import_graph.sibling_files(path)

    def usage_counts(self, names: Sequence[str]) -> dict[str, int]:
        """In how many chunks each name stands, without regard to case."""
        with self._snapshot() as channels:
            counts = channels.lexical.frequencies([name.lower() for name in names])
            return {name: counts[name.lower()] for name in names}

    def deprecated_code(self) -> DeprecatedCode:
        """What lookups leave out for its replacement; nothing where `index.deprecated` is on."""
        if self._settings.index.deprecated:
            return DeprecatedCode()
        with self._snapshot() as channels:
            return self._deprecations.read(self._store, channels)

    def usages(self, name: str) -> Usages:
        """Where `name` is used, of this very spelling, as far as the parser knows."""
        with self._snapshot() as channels:
            return find_usages(self._store, channels.lexical, name)

    def importing_files(self, path: str) -> tuple[list[str], int]:
        """The files whose imports lead to `path`; and how many that may were not looked into."""
        with self._snapshot() as channels:
            return find_importers(self._store, channels.lexical, channels.modules, path)

    def changed_with(self, path: str) -> dict[str, float]:
        """The files that git's history changed together with `path`, scored in (0, 1)."""
        with self._snapshot() as channels:
            return channels.history.changed_with(path)

    def files(self) -> list[StoredFile]:
        """Every file, in the order of paths."""
        with self._snapshot():
            return sorted(self._store.files(), key=lambda each: each.path)

    def reason_skipped(self, path: str) -> str:
        """Why the file `path` is not indexed, as reports count it; empty if that is unknown."""
        raw = os.fsencode(path)
        with self._snapshot():
            return next((each.reason for at, each, _ in self._store.skipped() if at == raw), "")

    def skipped_by_reason(self) -> dict[str, int]:
        """How many files are not indexed, for each reason."""
        with self._snapshot():
            return skipped_by_reason(self._store)

    def stats(self) -> IndexStats:
        """What the index holds."""
        with self._snapshot():
            return count_contents(self._store, self._settings)

    def count_files(self) -> int:
        """How many files the index holds."""
        with self._snapshot():
            return self._store.count_files()

    def second_tier(self, settings: Settings | None = None) -> SecondTier:
        """The model that questions may be ordered by; of the index's own settings by default."""
        return SecondTier(settings or self._settings, self._file.parent)

    @property
    def embedder(self) -> str:
        """What a person calls the encoder whose vectors the dense channel compares."""
        return embedder_name(self._settings)

    @contextmanager
    def _snapshot(self) -> Iterator[Channels]:
        """One state of the index; damage met on the way is noted for the next update."""
        with self._lock:
            if self._leases.is_closed:
                raise self._closed()
            try:
                self._reopen_if_replaced()
                with self._store.snapshot() as has_changed:
                    if has_changed or self._channels is None:
                        self._channels = Channels(self._store, self._settings)
                    yield self._channels
            except DamagedIndexError:
                self._channels = None
                mark_damaged(self._file.parent)
                raise

    def _closed(self) -> IndexingError:
        return IndexingError(f"the index {self._file} is closed already", hint="try again")

    def _reopen_if_replaced(self) -> None:
        identity = identity_of(self._file)
        if identity != self._identity:
            # Opened first, so that a failure leaves the old one usable.
            opened = Store.open(self._file)
            self._store.close()
            self._store, self._identity = opened, identity
            self._channels = None
