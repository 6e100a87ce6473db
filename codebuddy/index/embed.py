"""Giving every chunk its vector: the last stage of an update, which goes on where it was ended.

A file without a row of vectors is what is left to do; a row is written whole or not at all.
Vectors of another encoder are thrown away first. It knows neither files nor ranking.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from codebuddy.errors import IndexingError, ModelError
from codebuddy.index.chunk_bag import MAX_CHARACTERS, bag_of
from codebuddy.index.schema import REBUILD_HINT
from codebuddy.index.vectors import Encoder, Vectors, pack_vectors

if TYPE_CHECKING:
    from codebuddy.datatypes import Chunk
    from codebuddy.index.encoder import StaticEncoder
    from codebuddy.index.store import Store, StoredFile
    from codebuddy.index.writer import IndexWriter
    from codebuddy.settings import Settings

NO_EMBEDDER = "none"
# What a person calls the shipped one.
_DEFAULT_EMBEDDER = "default"
# To be raised when the same chunk gives another text: vectors of an older one are made anew.
TEXT_VERSION = 2

_STAMP_KEY = "embedder stamp"

_CHUNKS_AT_ONCE = 2_048
# A commit costs an fsync; what lies between two of them is lost to a kill.
_CHUNKS_PER_COMMIT = 16_384


def encoder_named(name: str) -> Encoder:
    """The encoder, opened once a process for each state of its files.

    Raises:
        ModelError: It cannot be found or read.
    """
    return _opened(name, _stamp_of(name))


@lru_cache(maxsize=2)
def _opened(name: str, _stamp: bytes) -> Encoder:
    from codebuddy.index.encoder import open_encoder

    return open_encoder(name)


def embedder_name(settings: Settings) -> str:
    """What a person calls the encoder of the dense channel: `default`, `none`, or its own name."""
    return settings.index.embedder or _DEFAULT_EMBEDDER


def no_vectors(settings: Settings) -> IndexingError:
    """Why there is nothing for the dense channel to compare."""
    if settings.index.embedder == NO_EMBEDDER:
        return IndexingError(
            "the dense channel is switched off",
            hint=f"set index.embedder to something else than '{NO_EMBEDDER}'",
        )
    return IndexingError("the index holds no vectors of this embedder", hint=REBUILD_HINT)


def encoder_for(settings: Settings) -> Encoder | None:
    """The encoder of the dense channel, or `None` where it is switched off.

    Raises:
        ModelError: It cannot be found or read.
    """
    name = settings.index.embedder
    return None if name == NO_EMBEDDER else encoder_named(name)


def encoder_if_there(settings: Settings) -> Encoder | None:
    """As `encoder_for`; the shipped encoder may be missing from a build, any other not."""
    if not settings.index.embedder and not _is_shipped():
        return None
    return encoder_for(settings)


def _is_shipped() -> bool:
    from codebuddy import paths

    return (paths.shipped_models_folder() / "embedder" / "modules.json").is_file()


def embed(
    writer: IndexWriter, settings: Settings, notify: Callable[[int, int], None]
) -> int | None:
    """Give vectors of the encoder that is set to all chunks that lack them; returns to how many.

    `None` where there is no encoder: vectors of another one may still be there, and nothing uses
    them. With nothing to do the encoder is not opened, which takes 0.1 s and more.

    Args:
        writer: Of the index.
        settings: Name the encoder.
        notify: As `embed_missing` calls it.

    Raises:
        ModelError: As `embed_missing`, or the encoder cannot be found or read.
        DamagedIndexError: A chunk is damaged.
    """
    # Before the files are read: of those that replace them meanwhile there are no vectors yet.
    stamp = _stamp_of(settings.index.embedder)
    is_same = writer.meta(_STAMP_KEY) == stamp
    if stamp and is_same and not writer.files_without_vectors():
        return 0
    encoder = encoder_if_there(settings)
    if encoder is None:
        return None
    n_made = embed_missing(writer, encoder, notify)
    if not is_same:
        with writer.transaction():
            writer.put_meta(_STAMP_KEY, stamp)
    return n_made


def count_vectors(store: Store, settings: Settings) -> int:
    """How many chunks have vectors of the encoder that is set, as the last update left them.

    Determined without opening the encoder; a model of the hub has no file.
    """
    name = settings.index.embedder
    is_its = name != NO_EMBEDDER and store.meta(_STAMP_KEY) == _stamp_of(name)
    return store.count_vectors() if is_its else 0


def _stamp_of(name: str) -> bytes:
    """Identifies the state of a model's files; empty for one that is no folder."""
    from codebuddy import paths

    is_shipped = name in ("", _DEFAULT_EMBEDDER)
    shipped = paths.shipped_models_folder() / "embedder"
    folder = shipped if is_shipped else Path(os.path.expanduser(name))  # noqa: PTH111
    try:
        status = [(folder / file).stat() for file in ("model.safetensors", "tokenizer.json")]
    except (OSError, ValueError):
        return b""
    parts = [(each.st_size, each.st_mtime_ns, each.st_ino) for each in status]
    return ascii((os.path.realpath(folder), TEXT_VERSION, parts)).encode("ascii")


def chunk_text(chunk: Chunk) -> str:
    """What of a chunk a transformer reads: where it stands, what it is, and its beginning."""
    return f"{chunk.path}\n{chunk.symbol}\n{chunk.text[:MAX_CHARACTERS]}"


def chunk_vectors(encoder: Encoder, chunks: Sequence[Chunk]) -> Vectors:
    """`[len(chunks), dim]`; a static model reads words with weights, any other one the text.

    Raises:
        ModelError: The encoder does not give one vector of its dimension for each chunk.
    """
    if getattr(encoder, "reads_bags", False):
        static = cast("StaticEncoder", encoder)
        return static.encode_bags([bag_of(each.path, each.symbol, each.text) for each in chunks])
    return _encoded(encoder, [chunk_text(each) for each in chunks])


def embedder_key(encoder: Encoder) -> str:
    """Identifies vectors that can be compared with this encoder's."""
    # What any other model reads is as it was in the first version.
    version = TEXT_VERSION if getattr(encoder, "reads_bags", False) else 1
    return f"{encoder.fingerprint} {version}"


def embed_missing(writer: IndexWriter, encoder: Encoder, notify: Callable[[int, int], None]) -> int:
    """Give vectors to all chunks that lack them; returns to how many.

    Args:
        writer: Of the index.
        encoder: Makes the vectors; those of another one go away.
        notify: Called with the number of files done and of all files.

    Raises:
        ModelError: The encoder does not give one vector of its dimension for each text.
        DamagedIndexError: A chunk is damaged.
    """
    writer.expect_vectors(embedder_key(encoder), encoder.dim)
    missing = writer.files_without_vectors()
    n_done = n_files = 0
    for files in _portions(missing, _CHUNKS_PER_COMMIT):
        rows: list[tuple[int, int, int, bytes]] = []
        for few in _portions(files, _CHUNKS_AT_ONCE):
            chunks = [writer.chunks_of(each) for each in few]
            vectors = chunk_vectors(encoder, [each for of_file in chunks for each in of_file])
            for stored, of_file in zip(few, chunks, strict=True):
                own, vectors = vectors[: len(of_file)], vectors[len(of_file) :]
                rows.append((stored.id, of_file[0].id, len(of_file), pack_vectors(own)))
            n_files += len(few)
            notify(n_files, len(missing))
        with writer.transaction():
            writer.put_vectors(rows)
        n_done += sum(each.n_chunks for each in files)
    return n_done


def _portions(files: Sequence[StoredFile], n_chunks: int) -> Iterator[list[StoredFile]]:
    """Files in portions of about so many chunks."""
    portion: list[StoredFile] = []
    count = 0
    for each in files:
        portion.append(each)
        count += each.n_chunks
        if count >= n_chunks:
            yield portion
            portion, count = [], 0
    if portion:
        yield portion


def _encoded(encoder: Encoder, texts: list[str]) -> Vectors:
    vectors = np.asarray(encoder.encode(texts), np.float32)
    if vectors.shape != (len(texts), encoder.dim):
        raise ModelError(
            f"the embedder gave vectors of shape {vectors.shape} for {len(texts)} texts,"
            f" where {encoder.dim} numbers each were to be expected",
            hint="choose another one with --embedder",
        )
    return vectors
