"""The dense channel: what it finds, that it is kept right through updates, damage and changes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codebuddy.errors import IndexingError, ModelError
from codebuddy.index import embed, schema
from codebuddy.index.build import update_index
from codebuddy.index.embed import embed_missing, embedder_key, encoder_named
from codebuddy.index.schema import DamagedIndexError, checksum
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.vectors import pack_vectors, row_bytes, unpack_vectors
from codebuddy.index.writer import IndexWriter
from codebuddy.settings import IndexSettings, Settings
from codebuddy.vcs.repository import open_repository
from tests.support.embedder import make_embedder
from tests.support.index import database, make_repository, module, write

WORDS = "def price freight amount return weight grams invoice paid total cart open file read sum"
FILES: dict[str, str | bytes] = {
    "shop/rates.py": "def freight(weight):\n    return 499 if weight < 2000 else 999\n",
    "shop/bills.py": "def invoice(cart):\n    return sum(cart)\n",
    "notes.md": "# price\n",
}
SYNONYMS = [("price", "amount"), ("freight", "grams"), ("invoice", "paid")]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory) -> str:
    """A model to which freight and grams, invoice and paid are the same."""
    return make_embedder(tmp_path_factory.mktemp("model"), WORDS, SYNONYMS)


@pytest.fixture(scope="module")
def other_embedder(tmp_path_factory) -> str:
    """A model of another dimension."""
    return make_embedder(tmp_path_factory.mktemp("other"), WORDS, SYNONYMS, dim=16, seed=1)


def settings_with(embedder: str) -> Settings:
    return Settings(index=IndexSettings(jobs=1, embedder=embedder))


def build(root: Path, embedder: str, *, force: bool = False) -> None:
    update_index(open_repository(root), settings_with(embedder), force=force)


def opened(root: Path, embedder: str) -> RepositoryIndex:
    return RepositoryIndex.open(open_repository(root), settings_with(embedder))


def best(root: Path, embedder: str, query: str) -> str:
    with opened(root, embedder) as index:
        return index.search(query, 1, "dense")[0].chunk.path


def vectors(root: Path) -> dict[str, tuple[int, bytes]]:
    """path -> number of vectors and their bytes."""
    writer = IndexWriter(database(root), schema.connect(database(root), is_writer=True))
    try:
        rows = {row.file_id: row for row in writer.vectors()}
        names = {each.id: each.path.decode() for each in writer.files()}
        return {names[key]: (row.n_chunks, row.data) for key, row in rows.items()}
    finally:
        writer.close()


def change(root: Path, statement: str, *values: object) -> None:
    """Change the database as codebuddy never does, leaving every checksum and the seal right."""
    file = database(root)
    writer = IndexWriter(file, schema.connect(file, is_writer=True))
    with writer.transaction():
        writer.connection.execute(statement, values)
    writer.write_checksum_and_close()


@pytest.fixture
def root(tmp_path: Path, embedder: str) -> Path:
    """A repository indexed with vectors."""
    found = make_repository(tmp_path / "r", FILES)
    build(found, embedder)
    return found


def test_the_dense_channel_finds_what_shares_no_word_with_the_query(root, embedder):
    """`grams` stands in no file, but means what `freight` does; BM25 finds nothing."""
    with opened(root, embedder) as index:
        assert index.search("grams", 1, "lexical") == []
        found = index.search("grams", 3, "dense")
        assert found[0].chunk.path == "shop/rates.py"
        assert found[0].channels == {"dense": found[0].score}
        assert 0 < found[0].score <= 1.0001
        assert index.search("paid", 1, "dense")[0].chunk.path == "shop/bills.py"
        others = index.search(
            "paid", 5, "dense", exclude=lambda chunk: chunk.path == "shop/bills.py"
        )
        assert "shop/bills.py" not in [each.chunk.path for each in others]


def test_hybrid_search_brings_in_what_only_the_dense_channel_found(root, embedder):
    """A sentence that no term of the files answers is answered by meaning."""
    with opened(root, embedder) as index:
        found = index.search("grams of it", 3)
        assert found[0].chunk.path == "shop/rates.py"
        assert found[0].ranks["dense"] == 1


def test_scores_are_those_of_the_encoder(root, embedder):
    """Eight bits a number move an inner product by less than a hundredth."""
    encoder = encoder_named(embedder)
    (query,) = encoder.encode(["weight of the freight"])
    with opened(root, embedder) as index:
        for result in index.search("weight of the freight", 10, "dense"):
            (exact,) = embed.chunk_vectors(encoder, [result.chunk])
            assert result.score == pytest.approx(float(exact @ query), abs=0.01)


def test_updates_embed_what_changed_and_nothing_else(root, embedder):
    """Rows of untouched files stay as they are, changed and new files get theirs, gone ones go."""
    before = vectors(root)
    write(root, {"shop/bills.py": "def open(file):\n    return file\n", "new.py": module("total")})
    (root / "notes.md").unlink()
    build(root, embedder)
    after = vectors(root)
    assert set(after) == {"shop/rates.py", "shop/bills.py", "new.py"}
    assert after["shop/rates.py"] == before["shop/rates.py"]
    assert after["shop/bills.py"] != before["shop/bills.py"]
    build(root, embedder, force=True)
    assert vectors(root) == after


@pytest.mark.process
def test_an_update_with_nothing_to_embed_does_not_open_the_model(root, embedder, tmp_path):
    """Its files are looked at, not read; when they are others, all vectors are made anew."""
    before = vectors(root)
    shown = (
        "import sys, codebuddy.cli as c; c.run(sys.argv[1:]); print('tokenizers' in sys.modules)"
    )
    command = [sys.executable, "-P", "-c", shown, "-C", str(root), "index", "--embedder", embedder]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    again = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert again.stdout.splitlines()[-1] == "False"
    assert vectors(root) == before
    moved = make_embedder(tmp_path / "moved", WORDS, SYNONYMS, seed=9)
    build(root, moved)
    assert vectors(root) != before


def test_another_embedder_makes_all_vectors_anew(root, embedder, other_embedder):
    """Vectors of two models are never compared: the other one's go, whatever their dimension."""
    before = vectors(root)
    assert best(root, embedder, "paid") == "shop/bills.py"
    with opened(root, other_embedder) as index:
        with pytest.raises(IndexingError, match="no vectors of this embedder"):
            index.search("paid", 1, "dense")
        assert index.search("invoice", 1)[0].chunk.path == "shop/bills.py"
    build(root, other_embedder)
    assert best(root, other_embedder, "paid") == "shop/bills.py"
    n_chunks, data = vectors(root)["shop/bills.py"]
    assert len(data) == row_bytes(n_chunks, 16) != len(before["shop/bills.py"][1])


def trained_anew(folder: str, seed: int) -> None:
    """Replace the files of an embedder by those of another training."""
    other = make_embedder(Path(f"{folder}-{seed}"), WORDS, SYNONYMS, seed=seed)
    for file in Path(other).iterdir():
        if file.is_file():
            file.replace(Path(folder) / file.name)


def test_an_embedder_that_was_trained_anew_makes_all_vectors_anew(tmp_path):
    """Also in a process that has opened it before; until then the old one answers."""
    folder = make_embedder(tmp_path / "model", WORDS, SYNONYMS)
    root = make_repository(tmp_path / "r", FILES)
    build(root, folder)
    old = vectors(root)
    with opened(root, folder) as index:
        before = index.search("grams", 3, "dense")
        trained_anew(folder, 7)
        assert index.search("grams", 3, "dense") == before
        build(root, folder)
        new = vectors(root)
        assert all(new[path] != old[path] for path in FILES)
        after = index.search("grams", 3, "dense")
        assert after[0].chunk.path == "shop/rates.py"
    build(root, folder, force=True)
    assert vectors(root) == new


def test_an_embedder_that_is_replaced_while_it_is_used_is_noticed(tmp_path, monkeypatch):
    """The files that replace it are not taken for those that the vectors are of."""
    folder = make_embedder(tmp_path / "model", WORDS, SYNONYMS)
    root = make_repository(tmp_path / "r", FILES)

    def made_slowly(*arguments) -> int:
        trained_anew(folder, 8)
        return embed_missing(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(embed, "embed_missing", made_slowly)
        build(root, folder)
    old = vectors(root)
    build(root, folder)
    assert all(vectors(root)[path] != old[path] for path in FILES)


def test_without_an_embedder_nothing_is_embedded(tmp_path):
    """`none` builds an index of words and names; asking it by meaning names the remedy."""
    root = make_repository(tmp_path / "r", FILES)
    build(root, "none")
    assert vectors(root) == {}
    with opened(root, "none") as index:
        assert index.search("invoice", 1)[0].chunk.path == "shop/bills.py"
        with pytest.raises(IndexingError, match="switched off"):
            index.search("invoice", 1, "dense")


@pytest.mark.slow
def test_an_embedder_that_is_missing_is_an_error_and_the_index_stays(root, embedder, tmp_path):
    """Words and names can be searched as before."""
    with pytest.raises(ModelError):
        build(root, str(tmp_path / "absent"))
    assert best(root, embedder, "paid") == "shop/bills.py"


def test_an_update_that_was_ended_goes_on(root, embedder):
    """What has a row is left alone; what has none, or too few vectors, gets it."""
    whole = vectors(root)
    change(root, "DELETE FROM vectors WHERE file_id = (SELECT min(file_id) FROM vectors)")
    assert len(vectors(root)) == len(whole) - 1
    build(root, embedder)
    assert vectors(root) == whole


@pytest.mark.parametrize("fault", ["dimension", "no number", "cut"])
def test_vectors_that_are_none_are_made_anew_and_never_answer(root, embedder, fault):
    """Right checksums or not: a row that cannot be vectors is damage, and the index heals."""
    file = database(root)
    writer = IndexWriter(file, schema.connect(file, is_writer=True))
    row = next(iter(writer.vectors()))
    writer.close()
    data = {
        "dimension": pack_vectors(np.ones((row.n_chunks, 31), np.float32)),
        "no number": np.full(row.n_chunks, np.nan, "<f4").tobytes() + row.data[4 * row.n_chunks :],
        "cut": row.data[:-1],
    }[fault]
    crc = checksum(row.file_id, row.first_chunk, row.n_chunks, data)
    change(root, "UPDATE vectors SET data = ?, crc = ? WHERE file_id = ?", data, crc, row.file_id)
    with opened(root, embedder) as index, pytest.raises(DamagedIndexError):
        index.search("paid", 1, "dense")
    build(root, embedder)
    assert best(root, embedder, "paid") == "shop/bills.py"


def test_a_flipped_bit_of_a_vector_is_noticed_behind_a_right_seal(root, embedder):
    """The row's own checksum tells, for any bit of the row."""
    file = database(root)
    writer = IndexWriter(file, schema.connect(file, is_writer=True))
    row = next(iter(writer.vectors()))
    writer.close()
    chance = random.Random(5)
    for _ in range(10):
        bad = bytearray(row.data)
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        change(root, "UPDATE vectors SET data = ? WHERE file_id = ?", bytes(bad), row.file_id)
        with opened(root, embedder) as index, pytest.raises(DamagedIndexError, match="checksum"):
            index.search("paid", 1, "dense")


class _Broken:
    """An encoder that gives what no encoder may."""

    fingerprint = "broken"
    dim = 4

    def __init__(self, shape_error: bool) -> None:
        self._shape_error = shape_error

    def encode(self, texts):
        if self._shape_error:
            return np.zeros((len(texts), 3), np.float32)
        return np.full((len(texts), 4), np.nan, np.float32)


@pytest.mark.parametrize(("reads_bags", "version"), [(True, "2"), (False, "1")])
def test_vectors_are_made_anew_only_for_models_that_read_another_text(reads_bags, version):
    """What a transformer reads of a chunk is what it read in the first version."""

    class Model:
        fingerprint = "a"

    Model.reads_bags = reads_bags  # type: ignore[attr-defined]
    assert embedder_key(Model()) == f"a {version}"  # type: ignore[arg-type]


def test_an_encoder_that_gives_no_numbers_finds_nothing(root):
    """NaN becomes zeros, which are like nothing; a wrong shape is an error that says so."""
    file = database(root)
    writer = IndexWriter(file, schema.connect(file, is_writer=True))
    with pytest.raises(ModelError, match=r"shape \(\d+, 3\)"):
        embed_missing(writer, _Broken(shape_error=True), lambda done, total: None)
    encoder = _Broken(shape_error=False)
    assert embed_missing(writer, encoder, lambda done, total: None) == 3
    space = writer.vector_space()
    assert space is not None
    assert (space.key, space.dim) == (embedder_key(encoder), 4)
    assert all(not any(row.data) for row in writer.vectors())
    writer.write_checksum_and_close()


def test_vectors_come_back_from_their_bytes():
    """Within half a step of 1/127 of the largest number; zeros and one chunk included."""
    chance = np.random.default_rng(3)
    for n_chunks in (1, 7):
        given = chance.normal(size=(n_chunks, 24)).astype(np.float32)
        given[0] = 0
        found = np.empty_like(given)
        assert unpack_vectors(pack_vectors(given), n_chunks, 24, found)
        steps = np.abs(given).max(axis=1, keepdims=True) / 127
        assert (np.abs(found - given) <= steps / 2 + 1e-7).all()
        assert not unpack_vectors(pack_vectors(given), n_chunks, 23, found[:, :23])


QUERIES = {
    "punctuation": "?!?",
    "brackets": "{}();",
    "emoji": "\N{GRINNING FACE}",
    "chinese": "价格",
    "sql": "' OR 1=1 --",
    "full-text search": "NEAR(a b) OR *",
    "a megabyte": "x" * 10**6,
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=list(QUERIES))
def test_any_query_is_answered(root, embedder, query):
    """Punctuation, other scripts, SQL and a megabyte find something or nothing, and no error."""
    with opened(root, embedder) as index:
        for channel in ("dense", "hybrid"):
            assert all(result.score > 0 for result in index.search(query, 5, channel))


@pytest.mark.parametrize("files", [{}, {"empty.py": ""}, {"README.md": "# price\n\nTotal.\n"}])
def test_tiny_repositories_are_searched(tmp_path, embedder, files):
    """No file, an empty one, or text alone: no error, and only what is there is found."""
    root = make_repository(tmp_path / "r", files)
    build(root, embedder)
    with opened(root, embedder) as index:
        found = index.search("amount", 5, "dense")
        assert [each.chunk.path for each in found] == (
            ["README.md"] if "README.md" in files else []
        )
