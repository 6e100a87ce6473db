"""An index with right checksums and hostile contents: a valid answer, or damage that heals."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from codebuddy.errors import IndexingError
from codebuddy.index import cochange, details, packing, postings, schema, segments, vectors
from codebuddy.index.build import update_index
from codebuddy.index.match_location import locate
from codebuddy.index.outline import signature_form
from codebuddy.index.row_checks import is_path
from codebuddy.index.schema import DamagedIndexError
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.store import StoredSegment
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.index import index, index_told, make_repository, module, run_git, write

# What each row's checksum covers, and how the row is found.
COLUMNS = {
    "meta": ["key", "value"],
    "files": "id path size mtime_ns ctime_ns inode digest is_racy language fallback role n_lines"
    " n_chunks".split(),
    "details": ["file_id", "data"],
    "chunks": "id file_id start_byte end_byte start_line end_line kind symbol signature n_terms"
    " text".split(),
    "definitions": "id file_id squashed name qualified kind line end_line signature"
    " chunk_id".split(),
    "skipped": "path reason size mtime_ns ctime_ns inode digest".split(),
    "segments": "id n_documents document_ids lengths dead".split(),
    "postings": ["segment", "term", "data"],
    "vectors": ["file_id", "first_chunk", "n_chunks", "data"],
}
PLACES = [(table, column) for table, columns in COLUMNS.items() for column in columns]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A repository with history, an index of several segments, dead chunks and vectors."""
    root = make_repository(tmp_path_factory.mktemp("hostile") / "repo")
    for i in range(6):
        other = (i + 1) % 6
        text = f"from pkg.m{other} import name_{other}\n{module(f'name_{i}')}"
        write(root, {f"pkg/m{i}.py": text})
    write(root, {"big.bin": b"\0" * 100, "README.md": "# Title\n\nname_1 is here\n"})
    run_git(root, "add", "-A")
    run_git(root, "-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "one")
    index(root)
    write(root, {"pkg/m0.py": module("renamed"), "pkg/more.py": module("more")})
    index(root)
    return root


@pytest.fixture
def root(original, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(original, tmp_path / "repo", symlinks=True))


def tampered(root: Path, table: str, column: str, value: Any, which: int = 0) -> bool:
    """Put a value into a column of a row with its right checksum; false where SQLite refuses."""
    folder = root / ".git" / "codebuddy"
    (folder / "index.seal").unlink(missing_ok=True)
    connection = sqlite3.connect(folder / "index.db")
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    columns = COLUMNS[table]
    rows = connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
    if not rows:
        return False
    row = list(rows[which % len(rows)])
    where = " AND ".join(f"{name} = ?" for name in columns[:2])
    key = tuple(row[:2])
    row[columns.index(column)] = value
    mark = "?"
    if isinstance(value, str):
        # SQLite keeps any bytes as a text.
        mark, value = "CAST(? AS TEXT)", value.encode("utf-8", "surrogateescape")
    try:
        connection.execute(
            f"UPDATE {table} SET {column} = {mark}, crc = ? WHERE {where}",
            (value, schema.checksum(*row), *key),
        )
        connection.commit()
    except sqlite3.IntegrityError:
        return False
    finally:
        connection.close()
    return True


def ask_everything(root: Path) -> None:
    """Every question that the rest of the program asks an index."""
    repository = open_repository(root)
    with RepositoryIndex.open(repository, Settings()) as opened:
        opened.stats()
        for query in ("name_1", "what is here and where", "m1.py", "pkg/m2.py:3", "keep_name_2("):
            for result in opened.search(query, near="pkg/m1.py"):
                definitions = opened.definitions_of(result.chunk.path)
                locate(query, result, definitions)
                signature_form(result.chunk, definitions)
        for channel in ("lexical", "symbol", "dense"):
            try:
                opened.search("adds what name_3 is given", channel=channel)
            except DamagedIndexError:
                raise
            except IndexingError as error:
                # Of an encoder with another name there are no vectors.
                if "no vectors" not in error.message:
                    raise
        opened.definitions(["name_1", "keep_name_1", "renamed"])
        opened.definitions_for(["name_1", "name_2"], "pkg/m1.py")
        opened.definition_counts(["name_1"], "pkg/m1.py")
        opened.usage_counts(["name_1", "value"])
        for path in ("pkg/m1.py", "pkg/more.py", "README.md"):
            with opened._snapshot() as channels:
                channels.history.changed_with(path)
            opened.chunks_of(path)
            opened.imported_files(path)
            opened.with_reexports([path])
            opened.sibling_files(path)
        opened.chunks(range(30))


def bomb() -> bytes:
    """Half a megabyte that unpacks to 400."""
    part = b"\1" * 1_000_000
    packing_up = zlib.compressobj(6, wbits=-15)
    packed = packing_up.compress(part) + packing_up.flush(zlib.Z_FULL_FLUSH)
    # A part that is packed by itself may be repeated, which is quicker than to pack it 400 times.
    check = 1
    for _ in range(400):
        check = zlib.adler32(part, check)
    return b"\x78\x9c" + packed * 400 + packing_up.flush() + check.to_bytes(4, "big")


BOMB = bomb()
VALUES = st.one_of(
    st.binary(max_size=40),
    st.binary(max_size=40).map(lambda raw: zlib.compress(raw)),
    st.text(max_size=10).map(lambda text: text.encode("utf-8", "replace").decode()),
    st.binary(max_size=10).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(-3, 300),
    st.sampled_from(
        [b"", b"\xff", b"\x80\x80\x80\x80\x80\x01", b"\0" * 9, BOMB, 1e300, float("inf"), 1 << 62]
        + ["../../../etc/passwd", b"../../../etc/passwd", b"/etc/passwd", b"a//b", b"a\0b", "\0"]
        + [zlib.compress(b"[" * 200_000), zlib.compress(b'["",[],[[1e999]]]'), b"key 999999999"]
    ),
)


@pytest.mark.slow
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.sampled_from(PLACES), value=VALUES, which=st.integers(0, 50))
def test_any_value_in_any_column_gives_an_answer_or_damage_that_heals(
    original, tmp_path_factory, place, value, which
):
    """With the row's right checksum, and without a seal, as somebody who plants it would do."""
    root = Path(shutil.copytree(original, tmp_path_factory.mktemp("fuzz") / "r", symlinks=True))
    table, column = place
    assume(tampered(root, table, column, value, which))
    is_damaged = False
    try:
        ask_everything(root)
    except DamagedIndexError:
        is_damaged = True
    write(root, {"pkg/m2.py": module("changed"), "pkg/new.py": module("new")})
    _, told = index_told(root)
    if is_damaged:
        assert any("building it again" in each for each in told)
        ask_everything(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as opened:
        try:
            assert "pkg/new.py" in [each.chunk.path for each in opened.search("new")]
        except DamagedIndexError:
            # Met only now, by what the update did not have to read.
            index(root)
    shutil.rmtree(root)


@pytest.mark.process
def test_a_posting_that_never_ends_is_damage_and_the_next_update_heals_it(root):
    """Exit codes: 1 and a sentence for whoever only reads, then an index that answers again."""
    for which in range(200):
        tampered(root, "postings", "data", b"\xff", which=which)
    for extra, code in (["--no-update"], 1), ([], 0):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "codebuddy", "search", "name_1", "--no-engine", *extra],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "damaged" in done.stderr
    assert index_told(root)[1] == []
    ask_everything(root)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("segments", "document_ids"),
        ("segments", "lengths"),
        ("segments", "dead"),
        ("chunks", "text"),
        ("details", "data"),
        ("meta", "value"),
    ],
)
def test_a_column_that_unpacks_to_gigabytes_takes_no_memory(root, table, column):
    """Half a megabyte of zeros, packed a thousand to one, in every row of the table."""
    for which in range(12):
        tampered(root, table, column, BOMB, which=which)
        if table == "segments":
            tampered(root, table, "n_documents", 400_000_000, which=which)
        if table == "chunks":
            tampered(root, table, "end_byte", 400_000_000, which=which)
    tracemalloc.start()
    try:
        with pytest.raises(DamagedIndexError):
            ask_everything(root)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300_000_000


def test_a_count_of_vectors_beyond_all_memory_is_damage(root):
    """Before room for so many is made."""
    for which in range(12):
        tampered(root, "vectors", "n_chunks", 1 << 40, which=which)
    with pytest.raises(DamagedIndexError):
        ask_everything(root)


@pytest.mark.parametrize(
    "path", [b"../x.py", b"/x.py", b"a/../x.py", b"./x.py", b"a//x", b"a/", b"", b"a\0b", "a.py"]
)
def test_a_path_that_leads_elsewhere_is_none(path):
    """Whoever opens what a search found would open a file outside of the repository."""
    assert not is_path(path)
    assert is_path(b"..a/b..c/.d/\xff")


# The decoders by themselves: any bytes.

ANY = st.one_of(
    st.binary(max_size=60),
    st.binary(max_size=60).map(zlib.compress),
    st.just(BOMB),
    st.lists(st.integers(0, 300), max_size=20).map(
        lambda numbers: postings.pack_numbers(np.array(numbers, np.uint32))
    ),
)


def answers_or_damage(decode) -> Any:
    """What the decoder returns, or `None` where it says that the bytes are damaged."""
    try:
        return decode()
    except DamagedIndexError:
        return None


@settings(max_examples=500, deadline=None)
@given(data=ANY, n=st.integers(0, 40))
def test_any_bytes_are_decoded_or_damaged(data, n):
    """Nothing but a value within its bounds or the one error comes of any bytes."""
    found = answers_or_damage(lambda: postings.decode_postings(data, n))
    if found is not None:
        documents, frequencies = found
        assert len(documents) == len(frequencies)
        assert all(0 <= each < n for each in documents.tolist())
        assert documents.tolist() == sorted(set(documents.tolist()))
        assert 0 not in frequencies.tolist()
    columns = answers_or_damage(lambda: postings.columns_of_rows([("a", data), ("b", data)], n))
    assert (columns is None) == (found is None or not len(found[0]) or not data)
    answers_or_damage(lambda: postings.decode_numbers(data))
    numbers = answers_or_damage(lambda: postings.unpack_numbers(data, n))
    assert numbers is None or len(numbers) <= n
    flags = answers_or_damage(lambda: postings.unpack_flags(data, n))
    assert flags is None or len(flags) == n
    answers_or_damage(lambda: segments.unpack_histogram(data))
    segment = answers_or_damage(
        lambda: segments.unpack_segment(StoredSegment(1, n, data, data, b""))
    )
    assert segment is None or len(segment.document_ids) == n
    text = answers_or_damage(lambda: packing.unpack_text(data, n))
    assert text is None or len(text) <= n
    answers_or_damage(lambda: details.unpack_imports(data))
    history = answers_or_damage(lambda: cochange.CoChange(data))
    assert history is None or history.changed_with("x") == {}
    out = np.empty((n, 4), np.float32)
    if vectors.unpack_vectors(data, n, 4, out):
        assert np.isfinite(out).all()


@settings(max_examples=100, deadline=None)
@given(
    references=st.lists(
        st.tuples(st.text(max_size=5).filter(str.isprintable), st.just("call"), st.integers(1, 9)),
        max_size=20,
    ),
    imports=st.lists(st.text(max_size=9).filter(str.isprintable), max_size=9),
)
def test_details_survive_packing(references, imports):
    """What was packed is what is unpacked."""
    packed = details.pack_details(references, imports)
    assert details.unpack_imports(packed) == tuple(imports)


def test_details_that_are_too_much_are_cut_and_stay_readable():
    """A reader never refuses what a writer wrote."""
    many = [("x" * 256, "call", 1)] * 20_000
    imports = details.unpack_imports(details.pack_details(many, ["y" * 500] * 20_000))
    assert 0 < len(imports) <= 20_000


def test_a_history_that_is_too_much_is_cut_and_stays_readable():
    """The latest commits are kept."""
    commits = [[f"{'d' * 200}/{n}/{m}.py" for m in range(29)] for n in range(4_000)]
    history = cochange.CoChange(cochange.pack_history("head", commits))
    assert len(history.changed_with(commits[0][0])) == 28


def test_an_honest_index_passes_all_checks(root):
    """Nothing that an update writes is taken for damage, and it is not built again."""
    ask_everything(root)
    assert index_told(root)[1] == []
    assert update_index(open_repository(root), Settings(), force=True).files > 5
    ask_everything(root)
