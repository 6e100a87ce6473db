"""Several indexers and readers at once: one writer at a time, no lost file, no error."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from codebuddy import platforms
from codebuddy.errors import IndexingError
from codebuddy.index import schema
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.seeding import LOCK_NAME
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.engine import wait_until
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


def _indexers(root: Path, count: int) -> list[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return [
        subprocess.Popen(
            [sys.executable, "-P", "-m", "codebuddy", "index", "--jobs", "1", "--json"],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(count)
    ]


@pytest.mark.process
@pytest.mark.parametrize("count", [2, 4])
def test_indexers_at_once_all_succeed_and_lose_nothing(tmp_path, count):
    """Every one ends with 0 and the whole index, whichever of them did the work."""
    root = make_repository(tmp_path / "r", {f"m{i}.py": module(f"name_{i}") for i in range(50)})
    processes = _indexers(root, count)
    outcomes = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * count, outcomes
    assert all('"files": 50' in answer for answer, _ in outcomes)
    assert sum('"added": 50' in answer for answer, _ in outcomes) == 1
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")


def test_a_second_indexer_says_that_it_waits_and_then_finds_it_done(tmp_path):
    """Waiting is told in a sentence, and nothing is read twice."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha")})
    index(root)
    lock = database(root).parent / LOCK_NAME
    told: list[str] = []
    with platforms.exclusive_lock(lock, 1):
        waiting = threading.Thread(target=index_told, args=(root, told))
        waiting.start()
        assert wait_until(lambda: told or not waiting.is_alive(), 60)
    waiting.join(60)
    assert told == ["another process is updating the index; waiting for it"]


def test_a_lock_that_is_held_too_long_is_a_clear_error(tmp_path):
    """The lock gives up after its time with TimeoutError, and a freed one is taken."""
    lock = tmp_path / "index.lock"
    second = platforms.exclusive_lock(lock, 0.1)
    with platforms.exclusive_lock(lock, 1), pytest.raises(TimeoutError), second:
        raise AssertionError("two holders")
    with platforms.exclusive_lock(lock, 0.1):
        assert lock.stat().st_mode & 0o777 == 0o600


def test_a_reader_sees_whole_states_while_the_index_is_written(tmp_path):
    """Searches during forty commits always find the word that every state has, and never fail."""
    root = make_repository(tmp_path / "r", {f"m{i}.py": module(f"name_{i}") for i in range(10)})
    index(root)
    repository = open_repository(root)
    done = threading.Event()
    failures: list[BaseException] = []
    counts: list[int] = []

    def read() -> None:
        try:
            with RepositoryIndex.open(repository, Settings()) as opened:
                while not done.is_set():
                    counts.append(len(opened.lexical(["holder"], 100)))
                    assert opened.definitions(["name_9"])
        except BaseException as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for round_ in range(40):
        write(root, {f"m{round_ % 9}.py": module(f"round_{round_}")})
        index(root, force=round_ % 10 == 9)
    done.set()
    reader.join(60)
    assert failures == []
    assert set(counts) == {10}


def test_a_reader_follows_the_index_when_it_changes_or_is_replaced(tmp_path):
    """An open index answers from the newest state, after updates and after a rebuild."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha")})
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as opened:
        assert opened.definitions(["beta"]) == {}
        write(root, {"b.py": module("beta")})
        index(root)
        assert [each.path for each in opened.definitions(["beta"])["beta"]] == ["b.py"]
        write(root, {"c.py": module("gamma")})
        index(root, force=True)
        assert [each.path for each in opened.definitions(["gamma"])["gamma"]] == ["c.py"]
        (found,) = opened.lexical(["gamma"], 1)
        assert found.chunk.path == "c.py"
        (root / "c.py").unlink()
        index(root)
        assert opened.chunks([found.chunk.id]) == [], "an old id is no damage"
        assert index(root).is_rebuilt is False


@pytest.mark.slow
def test_a_locked_database_is_reported_as_busy(tmp_path, monkeypatch):
    """When another program holds the file itself, a reader says busy after its time."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha")})
    index(root)
    monkeypatch.setitem(schema.connect.__kwdefaults__, "timeout_s", 0.1)
    connection = schema.connect(database(root), is_writer=True)
    connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(IndexingError, match="is busy") as caught:
        RepositoryIndex.open(open_repository(root), Settings())
    connection.execute("ROLLBACK")
    connection.close()
    assert caught.value.hint == "try again in a moment"
