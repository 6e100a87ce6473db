"""A damaged index is noticed before it answers, moved aside and built again, with a word."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from codebuddy.errors import IndexingError
from codebuddy.index import file_checksum, schema
from codebuddy.index.schema import SCHEMA_VERSION, DamagedIndexError
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.store import Store
from codebuddy.index.writer import IndexWriter
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.index import (
    clean_dump,
    database,
    dump,
    index,
    index_told,
    make_repository,
    module,
    write,
)
from tests.support.interrupts import interrupted_in

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb") + bytes(5000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose index has several segments and dead documents."""
    found = make_repository(tmp_path / "r", {f"m{i}.py": module(f"name_{i}") for i in range(25)})
    index(found)
    for round_ in range(3):
        write(found, {f"m{round_}.py": module(f"changed_{round_}")})
        index(found)
    return found


def _rebuilds(root: Path, scratch: Path) -> list[str]:
    """The next update must end where a clean build ends; returns what it said."""
    report, told = index_told(root)
    assert report.is_rebuilt
    assert dump(database(root)) == clean_dump(root, scratch)
    return told


def test_every_flipped_bit_is_noticed_when_the_index_is_opened(root):
    """Of 100 single flipped bits, anywhere in the file, not one goes unnoticed."""
    file = database(root)
    good = file.read_bytes()
    rng = random.Random(2)
    noticed = 0
    for _ in range(100):
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        file.write_bytes(bad)
        with pytest.raises(IndexingError):
            dump(file)
        noticed += 1
    assert noticed == 100


def test_a_flipped_bit_behind_the_seal_is_noticed_in_the_row_that_is_read(root):
    """Without a seal, as after a kill, a damaged row is refused or the answer is the right one."""
    file = database(root)
    good, truth = file.read_bytes(), dump(file)
    file_checksum.remove(file)
    rows = _row_positions(file, good)
    rng = random.Random(4)
    for _ in range(100):
        bad = bytearray(good)
        bad[rng.choice(rows)] ^= 1 << rng.randrange(8)
        file.write_bytes(bad)
        with pytest.raises(DamagedIndexError):
            dump(file)
    file.write_bytes(good)
    assert dump(file) == truth


def _row_positions(file: Path, good: bytes) -> list[int]:
    """Where the bytes of stored texts and postings lie in the file."""
    connection = sqlite3.connect(file)
    rows = connection.execute("SELECT text FROM chunks").fetchall()
    rows += connection.execute("SELECT data FROM details").fetchall()
    connection.close()
    positions: list[int] = []
    for (data,) in rows:
        at = good.find(data)
        if at >= 0:
            positions += range(at, at + len(data))
    assert len(positions) > 1000
    return positions


def test_every_truncation_is_noticed_and_healed(root, tmp_path):
    """Cut off anywhere, the file is refused, and the next update builds it again."""
    file = database(root)
    good = file.read_bytes()
    sealed = file.with_suffix(".seal").read_bytes()
    rng = random.Random(6)
    for _ in range(20):
        file.write_bytes(good[: rng.randrange(len(good))])
        file.with_suffix(".seal").write_bytes(sealed)
        with pytest.raises(IndexingError):
            dump(file)
    told = _rebuilds(root, tmp_path / "clean")
    assert len(told) == 1
    assert "building it again" in told[0]


@pytest.mark.parametrize(
    "content", [b"", JPEG, b"\0" * 8192, b"<!DOCTYPE html><html>404</html>"], ids=len
)
def test_a_file_that_is_no_index_is_moved_aside(root, tmp_path, content):
    """An empty file, a picture, zeros or a web page in its place: kept beside, built again."""
    file = database(root)
    file.write_bytes(content)
    assert "building it again" in _rebuilds(root, tmp_path / "clean")[0]
    assert file.with_name("index.db.damaged").read_bytes() == content


def test_a_reader_that_meets_damage_makes_the_next_update_rebuild(root, tmp_path):
    """The reader refuses with the remedy; the update that follows heals, whatever it reads."""
    file = database(root)
    bad = bytearray(file.read_bytes())
    bad[len(bad) // 2] ^= 0x10
    file.write_bytes(bad)
    with pytest.raises(DamagedIndexError) as caught:
        RepositoryIndex.open(open_repository(root), Settings())
    assert caught.value.hint == "run 'codebuddy index --force' to build it again"
    assert "found damaged" in _rebuilds(root, tmp_path / "clean")[0]


def test_damage_after_opening_is_noticed_in_the_rows(root):
    """An index that rots while it is open never answers from the rotten row."""
    repository = open_repository(root)
    file = database(root)
    with RepositoryIndex.open(repository, Settings()) as opened:
        assert opened.search("name_7 total")
        connection = sqlite3.connect(file)
        connection.execute("UPDATE chunks SET end_line = end_line + 1")
        connection.commit()
        connection.close()
        with pytest.raises(DamagedIndexError, match="wrong checksum"):
            opened.search("name_7 total")


def test_an_index_of_a_newer_version_is_left_alone(root):
    """A newer schema is refused with the remedy and keeps every byte."""
    file = database(root)
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(IndexingError, match="newer codebuddy"):
        index(root)
    with pytest.raises(IndexingError, match="newer codebuddy"):
        dump(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON files BEGIN DELETE FROM chunks; END",
        "CREATE VIEW v AS SELECT * FROM files",
        "ALTER TABLE files ADD COLUMN extra TEXT",
        "DROP INDEX definitions_by_name",
        "CREATE TABLE another (x)",
    ],
)
def test_a_foreign_schema_is_not_used(root, tmp_path, statement):
    """A trigger, view, column or missing index makes the file somebody else's."""
    connection = sqlite3.connect(database(root))
    connection.execute(statement)
    connection.commit()
    connection.close()
    assert "is not an index of this codebuddy" in _rebuilds(root, tmp_path / "clean")[0]


def test_a_lost_journal_is_noticed(root, tmp_path):
    """A database torn in mid-commit without its journal is built again."""
    file = database(root)
    old = file.read_bytes()
    write(root, {f"m{i}.py": module(f"torn_{i}") for i in range(10)})
    index(root)
    new = file.read_bytes()
    # Half of the pages are of the new state, half of the old one, and no journal tells.
    torn = bytearray(new)
    for page in range(2, min(len(old), len(new)) // 4096, 2):
        torn[page * 4096 : (page + 1) * 4096] = old[page * 4096 : (page + 1) * 4096]
    assert bytes(torn) not in (old, new)
    file_checksum.remove(file)
    file.write_bytes(torn)
    _rebuilds(root, tmp_path / "clean")


def test_a_link_in_the_place_of_the_index_is_not_followed(root, tmp_path):
    """The link is moved aside; what it points to keeps every byte."""
    file = database(root)
    elsewhere = tmp_path / "elsewhere.db"
    shutil.copyfile(file, elsewhere)
    before = elsewhere.read_bytes()
    file.unlink()
    file.symlink_to(elsewhere)
    _rebuilds(root, tmp_path / "clean")
    assert elsewhere.read_bytes() == before
    assert not file.is_symlink()


def test_the_index_is_the_owners_alone(root):
    """Folder 0700, files 0600."""
    folder = database(root).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert database(root).stat().st_mode & 0o777 == 0o600


def test_a_checksum_covers_every_column():
    """Another number, text, byte or order gives another checksum."""
    row: tuple[int | str | bytes, ...] = (1, "name", b"data", 2)
    others: list[tuple[int | str | bytes, ...]] = [
        (2, "name", b"data", 2),
        (1, "nbme", b"data", 2),
        (1, "name", b"dbta", 2),
    ]
    others += [(1, "name", b"data", 3), ("name", 1, b"data", 2), (1, "name", "data", 2)]
    sums = {schema.checksum(*values) for values in [row, *others]}
    assert len(sums) == 7


def test_no_seal_stands_while_the_index_is_written(root):
    """A writer takes the seal away before its first write, so that its death looks like none."""
    file = database(root)
    place = file.with_suffix(".seal")
    sealed = place.read_bytes()
    writer = IndexWriter(file, schema.connect(file, is_writer=True))
    with writer.transaction():
        assert not place.exists()
    writer.write_checksum_and_close()
    assert place.exists()
    write(root, {"more.py": module("more")})
    index(root)
    assert place.read_bytes() != sealed


def test_ctrl_c_inside_sqlite_is_ctrl_c_and_no_fault_of_the_index(root):
    """SQLite makes an interrupt of what its progress handler raises; the user pressed Ctrl-C."""
    counts = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000)"
    store = Store.open(database(root))
    with pytest.raises(KeyboardInterrupt), interrupted_in("spend"), store.snapshot():
        store.connection.execute(f"{counts} SELECT count(*) FROM n").fetchone()
    with store.snapshot():
        assert store.paths()
    store.close()
