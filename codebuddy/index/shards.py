"""Many indexes read as one: each a shard, whose ids and paths stay apart from the others'.

What ranks sees one store: document frequencies, lengths and definitions are those of all shards
together, so that a chunk's score is what it would be if all lay in one index. A path begins with
the shard's name. A shard that cannot be read is left out and named, never the reason that nothing
is found. It knows rows, not ranking.
"""

from __future__ import annotations

import dataclasses
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from codebuddy.datatypes import Chunk, Definition
from codebuddy.errors import IndexingError
from codebuddy.index.damage_marker import mark_damaged
from codebuddy.index.file_walker import Skipped
from codebuddy.index.schema import DATABASE_NAME, DamagedIndexError, translated
from codebuddy.index.segments import Segment, pack_histogram, unpack_histogram, unpack_segment
from codebuddy.index.store import Store, StoredFile, StoredVectors, VectorSpace
from codebuddy.index.terms import normalized_name

T = TypeVar("T")

# A shard's own ids lie below; each row's is checked to (`row_checks.MAX_ID`).
_BITS = 40
_OWN = (1 << _BITS) - 1


class ShardLostError(IndexingError):
    """A shard failed while it was asked, and is left out from now on."""


@dataclass(slots=True)
class Shard:
    """An index of many: its name without a slash, the repository's root, its index's folder.

    `problem` says why it is not searched, if it is not; without a folder it never is.
    """

    name: str
    root: Path
    folder: Path | None
    problem: str = ""
    is_damaged: bool = False
    store: Store | None = None
    segments: list[Segment] | None = None
    names: list[str] | None = None
    identity: tuple[int, int] = (0, 0)
    prefix: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.prefix = os.fsencode(self.name) + b"/"

    def close(self) -> None:
        """Close its database, if it is open."""
        if self.store is not None:
            with suppress(IndexingError):
                self.store.close()
        self.store = self.segments = self.names = None


class ShardedStore(Store):
    """The rows of all shards that can be read; opened as they are first asked."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = list(shards)
        self._live: list[tuple[int, Shard]] = []
        self._by_name = {shard.prefix: number for number, shard in enumerate(shards)}

    @property
    def shards(self) -> Sequence[Shard]:
        """All of them, those that failed too."""
        return self._shards

    def close(self) -> None:
        """Close every database."""
        for shard in self._shards:
            shard.close()

    @contextmanager
    def snapshot(self) -> Iterator[bool]:
        """One state of each shard; yields whether any changed, came or went since the last."""
        before = [number for number, _ in self._live]
        has_changed = False
        with ExitStack() as stack:
            self._live = []
            for number, shard in enumerate(self._shards):
                try:
                    is_new = self._opened(shard)
                    assert shard.store is not None
                    is_new |= stack.enter_context(shard.store.snapshot())
                except IndexingError as error:
                    self._drop(shard, error)
                    continue
                shard.problem = ""
                if is_new:
                    shard.segments = shard.names = None
                has_changed |= is_new
                self._live.append((number, shard))
            yield has_changed or before != [number for number, _ in self._live]

    def load_segments(self) -> list[Segment]:
        """The segments of all shards, under ids that no two share."""
        found = []
        for number, shard in self._live:
            for each in self._ask(shard, partial(_segments_of, shard=shard)):
                ids = each.document_ids + (number << _BITS)
                found.append(Segment(each.id | number << _BITS, ids, each.lengths, each.is_dead))
        return found

    def meta(self, key: str) -> bytes | None:
        """The statistics of all shards together; nothing else is kept of many."""
        if key != "histogram":
            return None
        total: Counter[int] = Counter()
        for _, shard in self._live:
            total.update(self._ask(shard, lambda store: unpack_histogram(store.meta(key))))
        return pack_histogram(total)

    def files(self) -> Iterator[StoredFile]:
        """Every file, shard by shard."""
        for number, shard in self._live:
            for each in self._ask(shard, lambda store: list(store.files())):
                yield _of_shard(each, number, shard)

    def file_by_id(self, file_id: int) -> StoredFile:
        """See `Store.file_by_id`."""
        number, own = file_id >> _BITS, file_id & _OWN
        shard = self._shards[number]
        known = self._ask(shard, lambda store: store.file_by_id(own))
        return _of_shard(known, number, shard)

    def file_of(self, path: bytes) -> StoredFile | None:
        """See `Store.file_of`."""
        at = path.find(b"/") + 1
        number = self._by_name.get(path[:at], -1)
        if all(number != live for live, _ in self._live):
            return None
        shard = self._shards[number]
        found = self._ask(shard, lambda store: store.file_of(path[at:]))
        return None if found is None else _of_shard(found, number, shard)

    def paths(self) -> list[bytes]:
        """See `Store.paths`."""
        found: list[bytes] = []
        for _, shard in self._live:
            own = self._ask(shard, lambda store: store.paths())
            found += [shard.prefix + path for path in own]
        return found

    def skipped(self) -> Iterator[tuple[bytes, Skipped, bytes]]:
        """See `Store.skipped`."""
        for _, shard in self._live:
            for path, reason, digest in self._ask(shard, lambda store: list(store.skipped())):
                yield shard.prefix + path, reason, digest

    def postings(self, segment: int, terms: Sequence[str]) -> dict[str, bytes]:
        """See `Store.postings`."""
        shard = self._shards[segment >> _BITS]
        return self._ask(shard, lambda store: store.postings(segment & _OWN, terms))

    def terms_beginning(self, segment: int, beginning: str, limit: int) -> list[str]:
        """See `Store.terms_beginning`."""
        own = segment & _OWN
        return self._ask(
            self._shards[segment >> _BITS],
            lambda store: store.terms_beginning(own, beginning, limit),
        )

    def vector_space(self) -> VectorSpace | None:
        """The space of most shards; vectors of others cannot be compared with theirs."""
        spaces = Counter(
            space
            for _, shard in self._live
            if (space := self._ask(shard, lambda store: store.vector_space())) is not None
        )
        return spaces.most_common(1)[0][0] if spaces else None

    def vectors(self) -> Iterator[StoredVectors]:
        """See `Store.vectors`; those of the space of most shards."""
        wanted = self.vector_space()
        for number, shard in self._live:
            base = number << _BITS
            if self._ask(shard, lambda store: store.vector_space()) != wanted:
                continue
            for each in self._ask(shard, lambda store: list(store.vectors())):
                yield dataclasses.replace(
                    each, file_id=base + each.file_id, first_chunk=base + each.first_chunk
                )

    def chunks(self, ids: Sequence[int], *, may_miss: bool = False) -> list[Chunk]:
        """See `Store.chunks`."""
        found: list[Chunk] = []
        for chunk_id in ids:
            number, own = chunk_id >> _BITS, chunk_id & _OWN
            shard = self._shards[number]
            known = self._ask(shard, partial(_chunks_of, own=own, may_miss=may_miss))
            found += [
                dataclasses.replace(each, id=chunk_id, path=f"{shard.name}/{each.path}")
                for each in known
            ]
        return found

    def file_id_of(self, chunk_id: int) -> int:
        """See `Store.file_id_of`."""
        number, own = chunk_id >> _BITS, chunk_id & _OWN
        return self._ask(self._shards[number], lambda store: store.file_id_of(own)) + (
            number << _BITS
        )

    def chunk_spans(self, file_id: int) -> list[tuple[int, int, int]]:
        """See `Store.chunk_spans`."""
        number, own = file_id >> _BITS, file_id & _OWN
        spans = self._ask(self._shards[number], lambda store: store.chunk_spans(own))
        return [(chunk_id + (number << _BITS), first, last) for chunk_id, first, last in spans]

    def count_files(self) -> int:
        """See `Store.count_files`."""
        return sum(self._ask(shard, lambda store: store.count_files()) for _, shard in self._live)

    def definitions(
        self, normalized: str, *, is_prefix: bool = False, limit: int = 100
    ) -> list[Definition]:
        """See `Store.definitions`; in the order that one index would have."""
        return self._merged(
            lambda store, most: store.definitions(normalized, is_prefix=is_prefix, limit=most),
            normalized,
            limit,
            names=partial(_names_like, squashed=normalized, is_prefix=is_prefix, limit=limit),
            is_prefix=is_prefix,
        )

    def definitions_named(self, name: str, normalized: str, limit: int) -> list[Definition]:
        """See `Store.definitions_named`."""
        return self._merged(
            lambda store, most: store.definitions_named(name, normalized, most), normalized, limit
        )

    def definitions_qualified(self, parts: Sequence[str], key: str, limit: int) -> list[Definition]:
        """See `Store.definitions_qualified`."""
        return self._merged(
            lambda store, most: store.definitions_qualified(parts, key, most), key, limit
        )

    def definitions_of(
        self, stored: StoredFile, lines: tuple[int, int] | None = None
    ) -> list[Definition]:
        """See `Store.definitions_of`."""
        number = stored.id >> _BITS
        shard = self._shards[number]
        own = dataclasses.replace(stored, id=stored.id & _OWN)
        found = self._ask(shard, lambda store: store.definitions_of(own, lines))
        return [_definition_of(each, number, shard) for each in found]

    def _merged(
        self,
        ask: Callable[[Store, int], list[Definition]],
        squashed: str,
        limit: int,
        *,
        names: Callable[[Store], list[str]] | None = None,
        is_prefix: bool = False,
    ) -> list[Definition]:
        """What the shards that define such a name say; most of them define none.

        Where many do, `names` say first how many of each are among the first `limit`: rows are
        dear, since each is checked.
        """
        holders = []
        for number, shard in self._live:
            if shard.names is None:
                shard.names = self._ask(shard, _names_of)
            at = bisect_left(shard.names, squashed)
            known = shard.names[at] if at < len(shard.names) else ""
            if known == squashed or (is_prefix and known.startswith(squashed)):
                holders.append((number, shard))
        shares = Counter({number: limit for number, _ in holders})
        if names is not None and limit > 0 and len(holders) > 1:
            said = [(n, each) for n, shard in holders for each in self._ask(shard, names)]
            said.sort(key=lambda pair: (normalized_name(pair[1]), pair[1]))
            shares = Counter(number for number, _ in said[:limit])
        found = []
        for number, shard in holders:
            if most := shares[number]:
                own = self._ask(shard, partial(_asked, ask=ask, most=most))
                found += [_definition_of(each, number, shard) for each in own]
        if len(found) > 1:
            found.sort(key=lambda each: (normalized_name(each.name), each.name))
        return found[:limit] if limit >= 0 else found

    def _opened(self, shard: Shard) -> bool:
        """Open the shard if it is closed, or another file than before; whether it was."""
        if shard.folder is None:
            raise IndexingError(shard.problem)
        file = shard.folder / DATABASE_NAME
        try:
            status = file.stat()
        except OSError as error:
            raise IndexingError(
                "it is not indexed yet" if isinstance(error, FileNotFoundError) else _why(error),
                hint="run 'codebuddy fleet index'",
            ) from error
        identity = (status.st_dev, status.st_ino)
        if shard.identity == identity:
            if shard.is_damaged:
                raise IndexingError("its index is damaged", hint="run 'codebuddy fleet index'")
            if shard.store is not None:
                return False
        shard.close()
        shard.identity, shard.is_damaged = identity, False
        shard.store = Store.open(file)
        return True

    def _ask(self, shard: Shard, ask: Callable[[Store], T]) -> T:
        """What the shard's store says; one that fails is left out of all that follows.

        Raises:
            ShardLostError: It failed; what was found so far is of another set of shards.
        """
        if shard.store is None:
            raise ShardLostError(f"{shard.name} is not searched")
        try:
            return ask(shard.store)
        except IndexingError as error:
            self._drop(shard, error)
            raise ShardLostError(f"{shard.name} is not searched: {shard.problem}") from error

    def _drop(self, shard: Shard, error: IndexingError) -> None:
        if isinstance(error, DamagedIndexError) and shard.folder is not None:
            shard.is_damaged = True
            mark_damaged(shard.folder)
        shard.problem = error.message + (f" ({error.hint})" if error.hint else "")
        shard.close()


def _why(error: OSError) -> str:
    return f"its index cannot be read: {error.strerror}"


def _segments_of(store: Store, shard: Shard) -> Iterable[Segment]:
    if shard.segments is None:
        shard.segments = [unpack_segment(row) for row in store.segments()]
    return shard.segments


def _chunks_of(store: Store, own: int, *, may_miss: bool) -> list[Chunk]:
    return store.chunks([own], may_miss=may_miss)


def _asked(
    store: Store, ask: Callable[[Store, int], list[Definition]], most: int
) -> list[Definition]:
    return ask(store, most)


def _names_like(store: Store, squashed: str, limit: int, *, is_prefix: bool) -> list[str]:
    """The names of the first definitions that are called so; as unchecked as `_names_of`."""
    statement = (
        "SELECT name FROM definitions WHERE squashed >= ? AND squashed < ?"
        " ORDER BY squashed, name LIMIT ?"
    )
    # Of names that are called exactly so, the least text that is longer ends them.
    end = squashed + ("\U0010ffff" if is_prefix else "\0")
    with translated(store.file):
        rows = store.connection.execute(statement, (squashed, end, limit)).fetchall()
    return [str(name) for (name,) in rows]


def _names_of(store: Store) -> list[str]:
    """The squashed names that are defined there, sorted.

    Answered from the name index alone, which carries no checksums: names only lead to rows, which
    are checked.
    """
    with translated(store.file):
        rows = store.connection.execute("SELECT DISTINCT squashed FROM definitions").fetchall()
    return sorted(str(name) for (name,) in rows)


def _of_shard(stored: StoredFile, number: int, shard: Shard) -> StoredFile:
    return dataclasses.replace(
        stored, id=stored.id + (number << _BITS), path=shard.prefix + stored.path
    )


def _definition_of(found: Definition, number: int, shard: Shard) -> Definition:
    return dataclasses.replace(
        found, path=f"{shard.name}/{found.path}", chunk_id=found.chunk_id + (number << _BITS)
    )
