"""What an index holds, counted. It reads inside the caller's snapshot."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from codebuddy.index.embed import count_vectors, embedder_name
from codebuddy.index.store import Store
from codebuddy.settings import Settings


@dataclass(frozen=True, slots=True)
class IndexStats:
    """What an index holds; `languages` counts files, `skipped` files by reason.

    `vectors` are those of the encoder that is set, which `embedder` names.
    """

    files: int
    chunks: int
    lines: int
    source_bytes: int
    index_bytes: int
    languages: dict[str, int]
    skipped: dict[str, int]
    embedder: str
    vectors: int


def count_contents(store: Store, settings: Settings) -> IndexStats:
    """Count everything, row by row."""
    languages: Counter[str] = Counter()
    n_chunks = n_lines = n_bytes = 0
    for stored in store.files():
        languages[stored.language] += 1
        n_chunks += stored.n_chunks
        n_lines += stored.n_lines
        n_bytes += stored.stat.size
    return IndexStats(
        files=languages.total(),
        chunks=n_chunks,
        lines=n_lines,
        source_bytes=n_bytes,
        index_bytes=store.file.stat().st_size,
        languages=dict(languages.most_common()),
        skipped=skipped_by_reason(store),
        embedder=embedder_name(settings),
        vectors=count_vectors(store, settings),
    )


def skipped_by_reason(store: Store) -> dict[str, int]:
    """How many files are left out for each reason, the commonest first."""
    return dict(Counter(skip.reason for _, skip, _ in store.skipped()).most_common())
