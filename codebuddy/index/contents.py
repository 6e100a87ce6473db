"""What an index holds, counted. It reads inside the caller's snapshot."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from codebuddy.index.store import Store


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


def count_contents(store: Store) -> IndexStats:
    """Count everything, row by row."""
    languages: Counter[str] = Counter()
    n_chunks = n_lines = n_bytes = 0
    for stored in store.files():
        languages[stored.language] += 1
        n_chunks += stored.n_chunks
        n_lines += stored.n_lines
        n_bytes += stored.stat.size
    skipped = Counter(skip.reason for _, skip, _ in store.skipped())
    return IndexStats(
        files=languages.total(),
        chunks=n_chunks,
        lines=n_lines,
        source_bytes=n_bytes,
        index_bytes=store.file.stat().st_size,
        languages=dict(languages.most_common()),
        skipped=dict(skipped.most_common()),
    )
