"""Searching the index: a lexical channel, a symbol channel, and both fused.

`RepositoryIndex` is what the rest of the program sees of the index. It only reads; it may
be used from several threads and stays right while another process updates the index.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from codebuddy.config import Settings
from codebuddy.datatypes import Chunk, Definition, Reference, SearchResult
from codebuddy.errors import IndexingError, UsageError
from codebuddy.index.fusion import reciprocal_rank_fusion
from codebuddy.index.lexical import LexicalRanker
from codebuddy.index.schema import DATABASE_NAME, DamagedIndexError
from codebuddy.index.store import Store
from codebuddy.index.suspicion import note_damage
from codebuddy.index.symbol_channel import SMALL_KINDS, SymbolRanker
from codebuddy.index.terms import count_terms, squashed
from codebuddy.vcs.repository import Repository

SearchChannel = Literal["lexical", "symbol", "hybrid"]

_SYMBOL_WEIGHT = 2.0
# Over-fetched, so that a chunk that only one channel ranks high still meets the other.
_POOL = 50
# Candidates looked at, for each result asked for, before a filter has had its say.
_LOOKED_AT_PER_RESULT = 50
# Definitions looked at before the best few of a name are chosen.
_DEFINITIONS_SEEN = 64


@dataclass(frozen=True, slots=True)
class IndexStats:
    """What an index holds; `languages` counts files, `skipped` files by reason."""

    files: int
    chunks: int
    lines: int
    source_bytes: int
    index_bytes: int
    languages: dict[str, int]
    skipped: dict[str, int]


class RepositoryIndex:
    """An index opened for reading; every method raises IndexingError if it is damaged or busy."""

    def __init__(self, file: Path, store: Store) -> None:
        self._file = file
        self._store = store
        self._identity = _identity(file)
        self._ranker: LexicalRanker | None = None
        self._lock = threading.RLock()

    @classmethod
    def open(cls, repository: Repository, settings: Settings) -> RepositoryIndex:  # noqa: ARG003
        """Open a repository's index as it stands.

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
            return cls(file, Store.open(file))
        except DamagedIndexError:
            note_damage(repository.index_folder)
            raise

    def close(self) -> None:
        """Close the database."""
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
    ) -> list[SearchResult]:
        """The best chunks for a query of words, names or code.

        Args:
            query: Any text; nothing in it has a special meaning.
            top_k: How many results at most.
            channel: `lexical` is BM25 over terms; `symbol` matches names of definitions;
                `hybrid` fuses both by reciprocal rank.
            max_per_file: Results of one file at most; 0 for any number.

        Raises:
            UsageError: The query is empty.
        """
        if not query.strip():
            raise UsageError("the query is empty", hint="give some words or names to look for")
        with self._snapshot() as ranker:
            if channel == "lexical":
                ranked = _single(channel, ranker.ranked(count_terms(query)))
            elif channel == "symbol":
                lexical = list(islice(ranker.ranked(count_terms(query)), _POOL))
                ranked = _single(channel, iter(self._by_symbol(query, lexical)))
            else:
                lexical = list(islice(ranker.ranked(count_terms(query)), _POOL))
                ranked = iter(self._fused(query, lexical))
            return self._results(ranked, top_k, None, max_per_file)

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
        with self._snapshot() as ranker:
            ranked = _single("lexical", ranker.ranked(weights))
            return self._results(ranked, top_k, exclude, max_per_file)

    def definitions(self, names: Sequence[str], per_name: int = 3) -> dict[str, list[Definition]]:
        """Where each of `names` is defined, code before values; unknown names are left out."""
        found: dict[str, list[Definition]] = {}
        with self._snapshot():
            for name in dict.fromkeys(names):
                known = self._store.definitions_named(name, squashed(name), _DEFINITIONS_SEEN)
                known.sort(key=lambda each: (each.kind in SMALL_KINDS, each.path, each.line))
                if known:
                    found[name] = known[:per_name]
        return found

    def definition_counts(self, names: Iterable[str], outside_path: str) -> dict[str, int]:
        """In how many files other than `outside_path` each name is defined."""
        with self._snapshot():
            outside = self._store.file_of(os.fsencode(outside_path))
            pairs = [(name, squashed(name)) for name in dict.fromkeys(names)]
            return self._store.count_definitions(pairs, outside.id if outside else -1)

    def references(self, name: str, limit: int = 100) -> list[Reference]:
        """Where `name` is used, by file and line."""
        found: list[Reference] = []
        with self._snapshot() as ranker:
            seen: set[str] = set()
            for chunk_id, _ in ranker.ranked({name.lower(): 1}):
                (chunk,) = self._store.chunks([chunk_id])
                if chunk.path in seen:
                    continue
                seen.add(chunk.path)
                stored = self._store.file_of(os.fsencode(chunk.path))
                if stored is None:
                    raise DamagedIndexError("the index is damaged: a file is missing")
                for used, kind, line in self._store.details(stored.id).references:
                    if used == name:
                        found.append(Reference(used, kind, chunk.path, line))
                if len(found) >= limit:
                    break
        found.sort(key=lambda each: (each.path, each.line))
        return found[:limit]

    def imports(self, path: str) -> tuple[str, ...]:
        """What the file `path` imports, in its own words."""
        with self._snapshot():
            stored = self._store.file_of(os.fsencode(path))
            return () if stored is None else self._store.details(stored.id).imports

    def chunks(self, ids: Sequence[int]) -> list[Chunk]:
        """The chunks of these ids, in this order; those that an update took away are left out."""
        with self._snapshot():
            return self._store.chunks(ids, may_miss=True)

    def chunks_of(self, path: str) -> list[Chunk]:
        """The chunks of the file `path` in their order; empty if it is not indexed."""
        with self._snapshot():
            stored = self._store.file_of(os.fsencode(path))
            return [] if stored is None else self._store.chunks_of(stored)

    def definitions_of(self, path: str) -> list[Definition]:
        """The definitions of the file `path` in their order; empty if it is not indexed."""
        with self._snapshot():
            stored = self._store.file_of(os.fsencode(path))
            return [] if stored is None else self._store.definitions_of(stored)

    def stats(self) -> IndexStats:
        """What the index holds."""
        languages: Counter[str] = Counter()
        n_chunks = n_lines = n_bytes = 0
        with self._snapshot():
            for stored in self._store.files():
                languages[stored.language] += 1
                n_chunks += stored.n_chunks
                n_lines += stored.n_lines
                n_bytes += stored.stat.size
            skipped = Counter(skip.reason for _, skip, _ in self._store.skipped())
            return IndexStats(
                files=languages.total(),
                chunks=n_chunks,
                lines=n_lines,
                source_bytes=n_bytes,
                index_bytes=self._file.stat().st_size,
                languages=dict(languages.most_common()),
                skipped=dict(skipped.most_common()),
            )

    @contextmanager
    def _snapshot(self) -> Iterator[LexicalRanker]:
        """One state of the index; damage met on the way is noted for the next update."""
        with self._lock:
            try:
                self._reopen_if_replaced()
                with self._store.snapshot() as has_changed:
                    if has_changed or self._ranker is None:
                        self._ranker = LexicalRanker(self._store)
                    yield self._ranker
            except DamagedIndexError:
                self._ranker = None
                note_damage(self._file.parent)
                raise

    def _reopen_if_replaced(self) -> None:
        identity = _identity(self._file)
        if identity != self._identity:
            self._store.close()
            self._store = Store.open(self._file)
            self._identity = identity
            self._ranker = None

    def _by_symbol(
        self, query: str, lexical: Sequence[tuple[int, float]]
    ) -> list[tuple[int, float]]:
        return SymbolRanker(self._store).ranked(query, lexical, _POOL)

    def _fused(
        self, query: str, lexical: Sequence[tuple[int, float]]
    ) -> list[tuple[int, float, dict[str, float]]]:
        rankings = {"lexical": lexical, "symbol": self._by_symbol(query, lexical)}
        # A sure match weighs twice as much as a lexical one, a faint one next to nothing.
        return reciprocal_rank_fusion(
            rankings, lambda channel, score: _SYMBOL_WEIGHT * score if channel == "symbol" else 1.0
        )

    def _results(
        self,
        ranked: Iterable[tuple[int, float, dict[str, float]]],
        top_k: int,
        exclude: Callable[[Chunk], bool] | None,
        max_per_file: int,
    ) -> list[SearchResult]:
        results: list[SearchResult] = []
        per_file: Counter[str] = Counter()
        # A filter that wants nothing must not make one query read the whole index.
        for chunk_id, score, channels in islice(ranked, _LOOKED_AT_PER_RESULT * top_k):
            if len(results) >= top_k:
                break
            (chunk,) = self._store.chunks([chunk_id])
            if max_per_file and per_file[chunk.path] >= max_per_file:
                continue
            if exclude is not None and exclude(chunk):
                continue
            per_file[chunk.path] += 1
            results.append(SearchResult(chunk, score, channels))
        return results


def _single(
    channel: str, ranked: Iterator[tuple[int, float]]
) -> Iterator[tuple[int, float, dict[str, float]]]:
    return ((chunk_id, score, {channel: score}) for chunk_id, score in ranked)


def _identity(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError as error:
        raise IndexingError(
            f"the index {file} is gone", hint="run 'codebuddy index' to build it again"
        ) from error
    return status.st_dev, status.st_ino
