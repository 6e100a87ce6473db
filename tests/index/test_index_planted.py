"""A git folder that somebody prepared: nothing outside of it is deleted, written or waited for."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from codebuddy.errors import CodebuddyError, IndexingError
from codebuddy.index.schema import DATABASE_NAME, DamagedIndexError
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.index import index, index_told, make_repository, module, write

MAGIC = bytes.fromhex("d9d505f920a163d7")
PAGE_BYTES = 4096


@pytest.fixture
def root(tmp_path):
    """A repository with an index."""
    root = make_repository(tmp_path / "repo", {f"m{i}.py": module(f"name_{i}") for i in range(5)})
    index(root)
    return root


def database(root: Path) -> Path:
    """The index's file."""
    return open_repository(root).index_folder / DATABASE_NAME


def journal_header(pages: int, n_records: int = 0) -> bytes:
    """The first sector of a rollback journal, as https://www.sqlite.org/fileformat2.html has it."""
    numbers = (n_records, 7, pages, 512, PAGE_BYTES)
    return (MAGIC + b"".join(number.to_bytes(4, "big") for number in numbers)).ljust(512, b"\0")


def super_journal_record(name: Path) -> bytes:
    """What names the super-journal at a journal's end: page, name, length, checksum, magic."""
    raw = os.fsencode(name)
    page = 0x40000000 // PAGE_BYTES + 1
    numbers = [number.to_bytes(4, "big") for number in (page, len(raw), sum(raw))]
    return numbers[0] + raw + numbers[1] + numbers[2] + MAGIC


def hostile_journal(file: Path, victim: Path) -> bytes:
    """A journal that makes SQLite delete `victim` when it opens `file`."""
    pages = file.stat().st_size // PAGE_BYTES
    return journal_header(pages) + super_journal_record(victim)


def search(root: Path) -> list[str]:
    """The paths that a search finds, through the reader that every front door uses."""
    with RepositoryIndex.open(open_repository(root), Settings()) as opened:
        return [each.chunk.path for each in opened.search("name_3")]


def test_sqlite_itself_deletes_what_a_super_journal_record_names(root, tmp_path):
    """The bytes are right: a plain connection, even one that only reads, deletes the file."""
    file, victim = tmp_path / "copy.db", tmp_path / "thesis.txt"
    shutil.copy(database(root), file)
    victim.write_text("years of work")
    file.with_name("copy.db-journal").write_bytes(hostile_journal(file, victim))
    connection = sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("SELECT count(*) FROM meta").fetchone()
    connection.close()
    assert not victim.exists()


@pytest.mark.parametrize("is_writer", [False, True], ids=["search", "index"])
def test_a_journal_that_names_a_file_deletes_nothing(root, tmp_path, is_writer):
    """It is damage: taken away unread; the search says so and the update builds anew."""
    file, victim = database(root), tmp_path / "thesis.txt"
    victim.write_text("years of work")
    journal = file.with_name("index.db-journal")
    journal.write_bytes(hostile_journal(file, victim))
    if is_writer:
        _, told = index_told(root)
        assert "its journal named another file" in told[0]
    else:
        with pytest.raises(DamagedIndexError, match="its journal named another file"):
            search(root)
    assert victim.read_text() == "years of work"
    assert not journal.exists()
    index(root)
    assert "m3.py" in search(root)


def test_a_journal_that_names_a_file_deletes_nothing_at_a_forced_rebuild(root, tmp_path):
    """`index --force` opens the old database, too, and the new one under another name."""
    file, victim = database(root), tmp_path / "thesis.txt"
    victim.write_text("years of work")
    for name in ("index.db-journal", "index.new.db-journal"):
        file.with_name(name).write_bytes(hostile_journal(file, victim))
    index(root, force=True)
    assert victim.exists()
    assert "m3.py" in search(root)


@pytest.mark.parametrize("name", ["a", "notes.txt"])
def test_a_journal_shorter_than_a_header_deletes_nothing(root, tmp_path, monkeypatch, name):
    """SQLite believes the record whatever stands before it, and a name may be relative."""
    monkeypatch.chdir(tmp_path)
    journal, victim = super_journal_record(Path(name))[4:], tmp_path / name
    assert len(journal) < 28
    copy = tmp_path / "copy.db"
    shutil.copy(database(root), copy)
    victim.write_text("years of work")
    copy.with_name("copy.db-journal").write_bytes(journal)
    connection = sqlite3.connect(copy)
    connection.execute("SELECT count(*) FROM meta").fetchone()
    connection.close()
    assert not victim.exists(), "the bytes are right: SQLite itself deletes the file"
    victim.write_text("years of work")
    database(root).with_name("index.db-journal").write_bytes(journal)
    with pytest.raises(DamagedIndexError, match="its journal named another file"):
        search(root)
    assert victim.read_text() == "years of work"


def _link(place: Path, outside: Path) -> None:
    place.symlink_to(outside)


def _dangling(place: Path, outside: Path) -> None:
    place.symlink_to(outside.with_name("not-there"))


def _pipe(place: Path, _outside: Path) -> None:
    os.mkfifo(place)


def _huge(place: Path, _outside: Path) -> None:
    place.write_bytes(journal_header(1))
    os.truncate(place, 1 << 40)


def _stretching(place: Path, _outside: Path) -> None:
    place.write_bytes(journal_header(0xFFFF0000))


PLANTS = [_link, _dangling, _pipe, _huge, _stretching]


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", ["index.db-journal", "index.db-wal", "index.db-shm"])
def test_what_is_planted_beside_the_index_is_taken_away(root, tmp_path, plant, name):
    """Links, pipes and absurd sizes in the places that SQLite reads: no write, no wait."""
    outside = tmp_path / "outside"
    outside.write_text("mine")
    size = database(root).stat().st_size
    place = database(root).with_name(name)
    plant(place, outside)
    with pytest.raises(DamagedIndexError):
        search(root)
    write(root, {"new.py": module("brand_new")})
    index(root)
    assert "m3.py" in search(root)
    assert not os.path.lexists(place)
    assert outside.read_text() == "mine"
    assert not outside.with_name("not-there").exists()
    assert database(root).stat().st_size < 4 * size


@pytest.mark.parametrize("name", ["index.db-journal", "index.db-wal", "index.lock"])
def test_a_folder_in_the_place_of_a_file_is_named_with_the_remedy(root, name):
    """What cannot be taken away without loss is left, and said."""
    place = database(root).with_name(name)
    place.unlink(missing_ok=True)
    place.mkdir()
    (place / "kept").write_text("x")
    with pytest.raises(IndexingError) as caught:
        index(root)
    assert str(place) in caught.value.message
    assert "delete it" in caught.value.hint
    assert (place / "kept").exists()


@pytest.mark.process
def test_a_journal_of_a_killed_writer_is_still_played_back(root):
    """The honest case: a journal without such a record restores what was committed last."""
    file = database(root)
    before = file.read_bytes()
    program = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1')\n"
        "c.execute('BEGIN IMMEDIATE')\n"
        "c.execute('UPDATE chunks SET text = zeroblob(20000)')\n"
        "c.execute('UPDATE details SET data = zeroblob(90000)')\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-P", "-c", program, str(file)], check=False)
    assert file.with_name("index.db-journal").stat().st_size > 512
    assert file.read_bytes() != before
    assert "m3.py" in search(root)
    assert not file.with_name("index.db-journal").exists()


def test_a_database_that_asks_for_a_write_ahead_log_is_damaged(root):
    """Its header alone would make SQLite open files that codebuddy never writes."""
    file = database(root)
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    with pytest.raises(DamagedIndexError, match="write-ahead log"):
        search(root)
    index(root)
    assert "m3.py" in search(root)


@pytest.mark.parametrize("make", ["mkfifo", "mkdir"])
def test_something_else_in_the_place_of_the_index_is_moved_aside(root, make):
    """A pipe or a folder is no index, and holds nobody up."""
    file = database(root)
    file.unlink()
    getattr(os, make)(file)
    with pytest.raises(CodebuddyError):
        search(root)
    index(root)
    assert "m3.py" in search(root)


def circular(file: Path, table: str, depth: int = 12, width: int = 300) -> None:
    """Make the tree of `table` one whose pages lead to the same next page hundreds of times."""
    connection = sqlite3.connect(file)
    (root,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
    ).fetchone()
    connection.close()
    content = bytearray(file.read_bytes())
    leaf = bytes(content[(root - 1) * PAGE_BYTES : root * PAGE_BYTES])
    first_new = len(content) // PAGE_BYTES + 1

    def inner(child: int) -> bytes:
        cell_bytes = 5
        start = PAGE_BYTES - width * cell_bytes
        head = b"\5\0\0" + width.to_bytes(2, "big") + start.to_bytes(2, "big") + b"\0"
        pointers = b"".join((start + n * cell_bytes).to_bytes(2, "big") for n in range(width))
        page = (head + child.to_bytes(4, "big") + pointers).ljust(start, b"\0")
        return page + (child.to_bytes(4, "big") + b"\1") * width

    content[(root - 1) * PAGE_BYTES : root * PAGE_BYTES] = inner(first_new)
    for level in range(depth):
        content += inner(first_new + level + 1)
    content += leaf
    content[28:32] = (len(content) // PAGE_BYTES).to_bytes(4, "big")
    file.write_bytes(content)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("table", ["files", "chunks", "vectors", "details"])
def test_a_tree_that_leads_in_circles_is_damage_and_not_followed_for_ever(root, table):
    """Walking it would take longer than the universe is old; it ends, and is built anew."""
    file = database(root)
    file.with_suffix(".seal").unlink()
    circular(file, table)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from codebuddy.errors import IndexingError\n"
        "from codebuddy.index.search import RepositoryIndex\n"
        "from codebuddy.settings import Settings\n"
        "from codebuddy.vcs.repository import open_repository\n"
        "opened = RepositoryIndex.open(open_repository(Path(sys.argv[1])), Settings())\n"
        "for ask in (opened.stats, opened.count_files, lambda: opened.search('name_3'),\n"
        "            lambda: opened.search('what is it', channel='dense')):\n"
        "    try:\n"
        "        ask()\n"
        "    except IndexingError as error:\n"
        "        print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, str(root)],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    # Of the other two, these questions read single rows alone.
    assert table not in ("files", "vectors") or "in circles" in done.stdout, done.stdout
    index(root)
    assert "m3.py" in search(root)
