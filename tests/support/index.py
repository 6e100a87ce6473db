"""What the index's tests share: a repository maker, an indexer, and a full dump to compare."""

from __future__ import annotations

import subprocess
import zlib
from pathlib import Path
from typing import Any

from codebuddy.datatypes import Chunk
from codebuddy.index.build import IndexProgress, update_index
from codebuddy.index.postings import decode_postings
from codebuddy.index.report import IndexReport
from codebuddy.index.schema import DATABASE_NAME
from codebuddy.index.segments import unpack_histogram, unpack_segment
from codebuddy.index.store import Store, StoredVectors
from codebuddy.settings import IndexSettings, Settings
from codebuddy.vcs.repository import Repository, open_repository

LONG_FUNCTION = "def price_of(order):\n" + "".join(
    f"    step_{i} = order.part_{i} * {i} + order.discount_of_part_{i}\n" for i in range(25)
)
PYTHON = """\
import os


def {name}(first, second):
    '''Adds what {name} is given.'''
    total = first + second
    return total


class {title}Holder:
    def keep_{name}(self, value):
        self.value = value
        return {name}(value, 1)
"""


def run_git(root: Path, *arguments: str) -> str:
    """git's output in `root`."""
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def module(name: str) -> str:
    """A small Python module about `name`."""
    return PYTHON.format(name=name, title=name.title().replace("_", ""))


def make_repository(root: Path, files: dict[str, str | bytes] | None = None) -> Path:
    """A new repository with `files` in its work tree, untracked."""
    root.mkdir(parents=True, exist_ok=True)
    run_git(root, "init", "-q")
    write(root, files or {})
    return root


def write(root: Path, files: dict[str, str | bytes]) -> None:
    """Write files below `root`."""
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())


def index(root: Path, *, force: bool = False, jobs: int = 1, **keys: Any) -> IndexReport:
    """Bring the index of `root` up to date."""
    settings = Settings(index=IndexSettings(jobs=jobs, **keys))
    return update_index(open_repository(root), settings, force=force)


def index_told(root: Path, told: list[str] | None = None) -> tuple[IndexReport, list[str]]:
    """As `index`, with the sentences that a person would have read; `told` gets them at once."""
    told = [] if told is None else told

    def note(progress: IndexProgress) -> None:
        if progress.message:
            told.append(progress.message)

    return update_index(open_repository(root), Settings(), progress=note), told


def database(root: Path | Repository) -> Path:
    """The index's file."""
    found = root if isinstance(root, Repository) else open_repository(root)
    return found.index_folder / DATABASE_NAME


def dump(file: Path) -> dict[str, Any]:
    """All that an index says, without ids, stats and times: equal for equal work trees.

    Reads every row of every table through its checksum.
    """
    store = Store.open(file)
    try:
        with store.snapshot():
            return _dumped(store)
    finally:
        store.close()


def _dumped(store: Store) -> dict[str, Any]:
    files: dict[str, Any] = {}
    place: dict[int, tuple[str, int]] = {}
    vectors = {row.file_id: row for row in store.vectors()}
    for stored in store.files():
        chunks = store.chunks_of(stored)
        for chunk in chunks:
            place[chunk.id] = (chunk.path, chunk.start_byte)
        files[repr(stored.path)] = {
            "file": (stored.digest, stored.stat.size, stored.language, stored.n_lines),
            "chunks": [
                (c.start_byte, c.end_byte, c.start_line, c.end_line, c.kind, c.symbol, c.signature)
                + (c.text,)
                for c in chunks
            ],
            "definitions": [
                (d.name, d.qualified, d.kind, d.line, d.end_line, d.signature, place[d.chunk_id])
                for d in store.definitions_of(stored)
            ],
            "vectors": _vectors_of(vectors.get(stored.id), chunks),
            "imports": store.imports_of(stored.id),
        }
    postings: dict[str, dict[tuple[str, int], int]] = {}
    lengths: dict[tuple[str, int], int] = {}
    for row in store.segments():
        segment = unpack_segment(row)
        live = {
            document: place[int(chunk_id)]
            for document, chunk_id in enumerate(segment.document_ids)
            if not segment.is_dead[document]
        }
        lengths.update({at: int(segment.lengths[document]) for document, at in live.items()})
        for term, data in store.all_postings(row.id):
            documents, frequencies = decode_postings(data)
            for document, frequency in zip(documents.tolist(), frequencies.tolist(), strict=True):
                if document in live:
                    postings.setdefault(term, {})[live[document]] = frequency
    return {
        "files": files,
        "skipped": {repr(path): skip.reason for path, skip, _ in store.skipped()},
        "lengths": lengths,
        "postings": postings,
        "histogram": unpack_histogram(store.meta("histogram")),
        "n_chunks": store.connection.execute("SELECT count(*) FROM chunks").fetchone()[0],
    }


def _vectors_of(row: StoredVectors | None, chunks: list[Chunk]) -> tuple[int, int] | None:
    """How many vectors a file has, and their checksum; its chunks must be those of the row."""
    if row is None:
        return None
    assert [c.id for c in chunks] == list(range(row.first_chunk, row.first_chunk + row.n_chunks))
    return row.n_chunks, zlib.crc32(row.data)


def clean_dump(root: Path, scratch: Path) -> dict[str, Any]:
    """What a clean build of the same work tree says; the index of `root` is left alone."""
    found = open_repository(root)
    elsewhere = Repository(found.root, found.git_folder, scratch, found.is_shallow)
    update_index(elsewhere, Settings(index=IndexSettings(jobs=1)))
    return dump(scratch / DATABASE_NAME)
