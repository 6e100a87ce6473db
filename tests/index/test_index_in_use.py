"""A healthy index is never thrown away: only damage is damage, and nobody closes what is in use."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from codebuddy import paths, platforms
from codebuddy.engine.indexer import IndexWorker
from codebuddy.errors import IndexingError
from codebuddy.index import damage_marker, schema
from codebuddy.index.schema import DamagedIndexError
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.seeding import LOCK_NAME
from codebuddy.index.store import Store
from codebuddy.service import repositories as repositories_module
from codebuddy.service.context import RepositoryContext
from codebuddy.service.repositories import RepositoryCache
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.index import database, dump, index, make_repository, module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An indexed repository."""
    found = make_repository(tmp_path / "r", {f"m{i}.py": module(f"name_{i}") for i in range(6)})
    index(found)
    return found


def _is_healthy(root: Path) -> bool:
    """Whether nobody asked for a rebuild, and the next update makes none."""
    is_suspect = damage_marker.is_marked_damaged(open_repository(root).index_folder)
    return not is_suspect and not index(root).is_rebuilt


def test_a_search_after_close_is_an_error_and_no_damage(root):
    """The index stays as it is, and the next update reads only what changed."""
    opened = RepositoryIndex.open(open_repository(root), Settings())
    opened.close()
    opened.close()
    with pytest.raises(IndexingError, match="closed") as caught:
        opened.search("name")
    assert not isinstance(caught.value, DamagedIndexError)
    with pytest.raises(IndexingError, match="closed"), opened.lease():
        pass
    assert _is_healthy(root)


def test_a_connection_closed_under_a_reader_is_no_damage(root):
    """As by another thread in the middle of a search."""
    opened = RepositoryIndex.open(open_repository(root), Settings())

    def read() -> None:
        with opened._snapshot():
            opened._store.connection.close()
            opened._store.paths()

    with pytest.raises(IndexingError) as caught:
        read()
    assert not isinstance(caught.value, DamagedIndexError)
    assert _is_healthy(root)


def test_a_lease_outlives_close(root):
    """What is in use is closed by the last one who uses it."""
    opened = RepositoryIndex.open(open_repository(root), Settings())
    with opened.lease() as one:
        with opened.lease():
            opened.close()
        assert one.search("name_1")
    with pytest.raises(sqlite3.ProgrammingError):
        opened._store.connection.execute("SELECT 1")


def _full(connection: sqlite3.Connection) -> None:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("INSERT INTO meta VALUES ('big', ?, 0)", (bytes(1_000_000),))


def _interrupted(connection: sqlite3.Connection) -> None:
    connection.set_progress_handler(lambda: 1, 1)
    connection.execute("SELECT count(*) FROM files a, files b, files c").fetchone()


def _begun_twice(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    connection.execute("BEGIN")


def _wrong_statement(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT nothing FROM nowhere")


def _wrong_bindings(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT ?", ())


def _read_only(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute("DELETE FROM files")


def _closed(connection: sqlite3.Connection) -> None:
    connection.close()
    connection.execute("SELECT 1")


def _too_big(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT zeroblob(2000000000)").fetchone()


def _undecodable(connection: sqlite3.Connection) -> None:
    b"\xff".decode()


@pytest.mark.parametrize(
    "fail",
    [
        _full, _interrupted, _begun_twice, _wrong_statement, _wrong_bindings, _read_only, _closed,
        _too_big, _undecodable,
    ],
)  # fmt: skip
def test_what_sqlite_refuses_of_a_whole_database_is_no_damage(root, fail: Callable[..., None]):
    """Each is SQLite's own error on a real index: named, with a remedy, and nothing is rebuilt."""
    connection = schema.connect(database(root), is_writer=True)
    before = dump(database(root))

    def attempt() -> None:
        with schema.translated(database(root)):
            fail(connection)

    # In the main thread an interrupt would be taken for Ctrl-C.
    with pytest.raises(IndexingError) as caught, ThreadPoolExecutor(1) as threads:
        threads.submit(attempt).result()
    assert not isinstance(caught.value, DamagedIndexError), caught.value
    assert str(database(root)) in caught.value.message
    assert caught.value.hint
    connection.close()
    assert dump(database(root)) == before
    assert _is_healthy(root)


# SQLite's limit holds for its process and cannot be lifted again.
_OUT_OF_MEMORY = """
import sys
from pathlib import Path
from codebuddy.errors import IndexingError
from codebuddy.index import schema
file = Path(sys.argv[1])
connection = schema.connect(file, is_writer=False)
try:
    with schema.translated(file):
        connection.execute("PRAGMA hard_heap_limit = 1000").fetchall()
        connection.execute("SELECT group_concat(hex(text)) FROM chunks").fetchall()
except IndexingError as error:
    print(type(error).__name__, error.message)
"""


@pytest.mark.process
def test_no_memory_is_no_damage(root):
    """SQLite's own refusal for want of memory is named."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _OUT_OF_MEMORY, str(database(root))],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout.startswith("IndexingError there is not enough memory"), done
    assert _is_healthy(root)


def test_a_locked_database_is_busy_and_not_damaged(root):
    """Another process's lock is waited for, and then named."""
    holder = sqlite3.connect(database(root), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(IndexingError, match="busy") as caught:
        schema.connect(database(root), is_writer=False, timeout_s=0.05)
    assert not isinstance(caught.value, DamagedIndexError)
    holder.close()
    assert _is_healthy(root)


def test_an_unclear_error_of_a_damaged_file_is_damage(root):
    """The file itself decides, where the error says little."""
    opened = RepositoryIndex.open(open_repository(root), Settings())

    def read() -> None:
        with opened._snapshot():
            with database(root).open("r+b") as stream:
                stream.seek(100)
                stream.write(b"\xff" * 2000)
            opened._store.connection.execute("SELECT nothing FROM nowhere")

    with pytest.raises(DamagedIndexError):
        read()
    assert damage_marker.is_marked_damaged(open_repository(root).index_folder)
    assert index(root).is_rebuilt


@pytest.mark.process
def test_a_file_exchanged_while_it_is_opened_is_opened_again(root, monkeypatch):
    """A rebuild that ends in that moment must not look like a file of the wrong size."""
    other = root.parent / "other.db"
    index(make_repository(root.parent / "o", {f"n{i}.py": module(f"big_{i}") for i in range(60)}))
    other.write_bytes(database(root.parent / "o").read_bytes())
    set_up: Any = schema._set_up
    opened: list[sqlite3.Connection] = []

    def exchange(connection: sqlite3.Connection, *, is_writer: bool) -> None:
        set_up(connection, is_writer=is_writer)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not opened:
            other.replace(database(root))
        opened.append(connection)

    monkeypatch.setattr(schema, "_set_up", exchange)
    store = Store.open(database(root))
    with store.snapshot():
        assert len(store.paths()) == 60
    store.close()
    assert len(opened) == 2


def _surroundings(root: Path) -> RepositoryContext:
    return RepositoryContext(open_repository(root), Settings())


def test_an_index_that_others_push_out_is_closed_when_nobody_uses_it(root, tmp_path, monkeypatch):
    """More repositories than are kept open, while a search of the first one goes on."""
    monkeypatch.setattr(repositories_module, "_MAX_OPEN", 2)
    others = []
    for number in range(3):
        others.append(make_repository(tmp_path / f"o{number}", {"a.py": module(f"other_{number}")}))
        index(others[-1])
    place = RepositoryCache()
    with place.lease_index(_surroundings(root)) as kept:
        for other in others:
            with place.lease_index(_surroundings(other)) as found:
                assert found.search("other")
        assert kept.search("name_1")
        place.forget_index(_surroundings(root))
        with place.lease_index(_surroundings(root)) as again:
            assert again is not kept
        assert kept.search("name_2")
    with pytest.raises(IndexingError, match="closed"):
        kept.search("name_3")
    assert all(_is_healthy(each) for each in [root, *others])


def test_many_threads_over_more_indexes_than_are_kept(tmp_path, monkeypatch):
    """Each search is answered, and no index is noted as damaged."""
    monkeypatch.setattr(repositories_module, "_MAX_OPEN", 1)
    roots = [make_repository(tmp_path / f"r{i}", {"a.py": module(f"word_{i}")}) for i in range(4)]
    for each in roots:
        index(each)
    places = [_surroundings(each) for each in roots]
    place = RepositoryCache()
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(40):
                which = (number + step) % len(roots)
                with place.lease_index(places[which]) as found:
                    assert found.search(f"word_{which}")
                if step % 7 == 0:
                    place.forget_index(places[which])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert all(_is_healthy(each) for each in roots)


class _Answers:
    """The engine's end of the index worker: what was answered, in order."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.changed = threading.Condition()

    def send(self, message: dict[str, Any]) -> None:
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def send_error(self, request_id: object, error: Exception) -> None:
        self.send({"type": "error", "id": request_id, "error": error})

    def wait_for(self, ids: set[object]) -> None:
        """Until all of them have an answer."""
        with self.changed:
            assert self.changed.wait_for(
                lambda: ids <= {each["id"] for each in self.messages}, timeout=120
            ), self.messages


def _ask(
    number: int, root: Path, op: str = "search", **request: Any
) -> tuple[dict[str, Any], bytes]:
    given = {"folder": str(root), "near": "", "top_k": 3, "channel": "lexical", "max_per_file": 0}
    sources = {"environment": {}, "user_file": "/nonexistent"}
    return {"op": op, "id": number, "wish": given | request, "settings": sources}, b"name"


@pytest.mark.parametrize("op", ["search", "refresh"])
def test_a_search_waits_for_nothing_that_is_done_in_another_repository(root, tmp_path, op):
    """Twenty requests wait for the first build of one; a search of another is answered."""
    new = [make_repository(tmp_path / f"n{i}", {"a.py": module("name_new")}) for i in range(5)]
    said = _Answers()
    worker: Any = IndexWorker(said)  # type: ignore[arg-type]
    with contextlib.ExitStack() as held:
        for each in new:
            # As another process that builds it.
            folder = paths.ensure_folder(open_repository(each).index_folder)
            held.enter_context(platforms.exclusive_lock(folder / LOCK_NAME, 5.0, lambda: None))
        for number in range(20):
            worker._receive(*_ask(number, new[number % len(new)], op))
        for number in range(100, 110):
            worker._receive(*_ask(number, root))
        said.wait_for(set(range(100, 110)))
        early = list(said.messages)
    said.wait_for(set(range(20)))
    assert {each["id"] for each in early} == set(range(100, 110)), early
    assert all(each["type"] == "result" for each in said.messages), said.messages
    assert all(each["result"]["results"] for each in early)
