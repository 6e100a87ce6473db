"""What a deleted file leaves behind on disk after the next update: nothing."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pytest

from codebuddy import paths
from codebuddy.config import load_settings
from codebuddy.engine.client import stop_engine
from codebuddy.heads import personal_labels_file
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.second_tier import body_text, head_text
from codebuddy.index.vector_cache import VectorCache
from codebuddy.private_files import make_folder, write_file
from codebuddy.saved_kv import (
    MARKER_NAME,
    READER_NAME,
    UNKNOWN,
    drop_left_behind,
    forget,
    forgotten_at,
    reader_id,
)
from codebuddy.training.head.examples import append_example, read_examples, write_header
from codebuddy.training.own.keeping import alone
from codebuddy.vcs.repository import open_repository
from codebuddy.vcs.worktrees import adapters_folder
from tests.completion.test_head import synthetic_examples
from tests.conftest import SMALL_MODEL
from tests.support.engine import codebuddy, json_of
from tests.support.index import make_repository

MARKER = "zqxmarker"
SECRET = (
    f"def {MARKER}_total(items):\n"
    f'    """Sums what {MARKER}docstring says."""\n'
    f"    {MARKER}_local = [item.{MARKER}_price for item in items]\n"
    f"    return sum({MARKER}_local)\n"
)
OTHER = "def other_total(items):\n    return sum(item.price for item in items)\n"


def shop(tmp_path, n_files=3):
    """A repository of some files, one of them with markers."""
    files: dict[str, str | bytes] = {f"m{n}.py": OTHER * 4 for n in range(n_files)}
    return make_repository(tmp_path / "shop", files | {"secret.py": SECRET})


def on_disk(*folders) -> bytes:
    """Every byte of every file below."""
    files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]
    return b"\0".join(file.read_bytes() for file in files)


def packed_rows(database) -> list[bytes]:
    """The middles of the packed columns that hold the file's text, as they lie on the disk."""
    connection = sqlite3.connect(database)
    query = "SELECT {} FROM {} WHERE file_id = (SELECT id FROM files WHERE path = ?)"
    found = [
        bytes(row[0])
        for column, table in (("text", "chunks"), ("data", "details"), ("data", "vectors"))
        for row in connection.execute(query.format(column, table), (b"secret.py",))
    ]
    connection.close()
    return [blob[8:40] for blob in found]


def test_texts_terms_names_and_vectors_are_gone_from_the_bytes(tmp_path):
    """Searched for in the plain and as they are packed, in a database that has room to spare."""
    root = shop(tmp_path, n_files=40)
    repository, settings = open_repository(root), load_settings(root).settings
    update_index(repository, settings)
    folder = repository.index_folder
    needles = [MARKER.encode(), *packed_rows(folder / "index.db")]
    before = on_disk(folder)
    assert len(needles) > 2
    assert all(needle in before for needle in needles)

    (root / "secret.py").unlink()
    report = update_index(repository, settings)
    assert report.removed == 1
    after = on_disk(folder)
    assert [needle for needle in needles if needle in after] == []
    with RepositoryIndex.open(repository, settings) as index:
        assert index.chunks_of("m0.py")
        assert not index.search(MARKER, 5)


def test_what_only_changed_is_forgotten_too(tmp_path):
    """A line that is taken out of a file leaves the database with the next update."""
    root = shop(tmp_path)
    repository, settings = open_repository(root), load_settings(root).settings
    update_index(repository, settings)
    (root / "secret.py").write_text(OTHER)
    update_index(repository, settings)
    assert MARKER.encode() not in on_disk(repository.index_folder)


def test_the_second_tiers_vectors_of_the_file_go_and_its_labels_stay(tmp_path):
    """Labels hold no code, and a switch of branches is no reason to lose hours of a model."""
    root = shop(tmp_path)
    repository, settings = open_repository(root), load_settings(root).settings
    update_index(repository, settings)
    labels = personal_labels_file(repository)
    write_header(labels, {"repository": "shop"})
    rows = synthetic_examples(12)
    for row in rows:
        append_example(labels, row)
    gone = rows[3].path
    (root / gone).parent.mkdir(parents=True, exist_ok=True)
    (root / gone).write_text(SECRET.replace(MARKER, "other"))
    update_index(repository, settings)
    with RepositoryIndex.open(repository, settings) as index:
        chunks = [index.chunks_of(path)[0] for path in ("secret.py", gone)]
    kept, lost = [head_text(chunks[0]), body_text(chunks[0])], body_text(chunks[1])
    cache = VectorCache(repository.index_folder / "reranker.db", "a", 2)
    cache.put([*kept, lost], np.array([[0.5, 1.0], [0.5, 1.0], [0.123, 0.456]]))
    number = np.array([0.123, 0.456], np.float16).tobytes()
    assert number in on_disk(repository.index_folder)
    (root / gone).unlink()
    update_index(repository, settings)
    assert list(cache.get([*kept, lost])) == [0, 1]
    assert number not in on_disk(repository.index_folder)
    assert read_examples(labels)[1] == rows


def test_unfinished_trainings_go_but_not_under_a_training_that_runs(tmp_path):
    """Their samples are texts of files."""
    root = shop(tmp_path)
    repository, settings = open_repository(root), load_settings(root).settings
    update_index(repository, settings)
    adapters = adapters_folder(repository)
    assert adapters is not None
    works = [adapters / f"{each}-1" for each in ("unfinished", "federated", "audit")]
    for work in works:
        work.mkdir(parents=True)
    with alone(repository):
        (root / "m0.py").unlink()
        update_index(repository, settings)
    assert all(work.exists() for work in works)
    (root / "secret.py").unlink()
    update_index(repository, settings)
    assert not any(work.exists() for work in works)


def test_a_kill_before_all_is_forgotten_is_made_up_for(tmp_path, monkeypatch):
    """The file has left the index already; the next update still deletes what else is of it."""
    root = shop(tmp_path)
    repository, settings = open_repository(root), load_settings(root).settings
    update_index(repository, settings)
    cache = repository.index_folder / "reranker.db"
    cache.write_bytes(b"vectors")
    (root / "secret.py").unlink()
    with monkeypatch.context() as patched:
        patched.setattr("codebuddy.index.forgetting.leave_nothing", _killed)
        with pytest.raises(KeyboardInterrupt):
            update_index(repository, settings)
    assert cache.exists()
    update_index(repository, settings)
    assert not cache.exists()
    cache.write_bytes(b"vectors")
    update_index(repository, settings)
    assert cache.exists()


def _killed(*_arguments):
    raise KeyboardInterrupt


@pytest.mark.model
@pytest.mark.usefixtures("engine")
def test_what_a_model_has_read_is_not_kept_once_a_file_is_gone(tmp_path):
    """Saved KV of before is deleted, and an engine that read the file saves none."""
    root = shop(tmp_path)
    state = paths.engine_state_folder()
    arguments = [
        "complete",
        "secret.py:4",
        "--model",
        str(SMALL_MODEL),
        "--max-tokens",
        "4",
        "--json",
    ]
    json_of(codebuddy(root, *arguments))
    stop_engine()
    [saved] = state.glob("*.kv")
    tokens = json.loads(saved.read_bytes().split(b"\n")[1])["slots"][0]["tokens"]
    assert len(tokens) > 20
    # Files of another repository, and what was typed there, have nothing to do with it.
    lose_a_file(tmp_path / "other")
    assert saved.exists()

    json_of(codebuddy(root, *arguments))
    (root / "secret.py").unlink()
    json_of(codebuddy(root, "index", "--json"))
    assert not list(state.glob("*.kv"))
    stop_engine()
    assert not [file for file in state.iterdir() if not file.name.startswith(MARKER_NAME)]


def lose_a_file(folder):
    """A repository there, indexed, with an id; one of its files goes. The folder of its index."""
    files: dict[str, str | bytes] = {f"n{n}.py": OTHER * 4 for n in range(3)}
    root = make_repository(folder, files)
    repository, settings = open_repository(root), load_settings(root).settings
    update_index(repository, settings)
    if not (repository.index_folder / READER_NAME).exists():
        # What is there is of ids from before: as if this repository had been here all along.
        write_file(repository.index_folder / READER_NAME, b"0123456789abcdef")
    (root / "n1.py").unlink()
    update_index(repository, settings)
    return repository.index_folder


def kept(name, *readers):
    """Saved KV whose head names these repositories."""
    folder = make_folder(paths.engine_state_folder())
    head = json.dumps({"identity": {}, "readers": list(readers), "slots": []})
    file = folder / name
    write_file(file, f"codebuddy kv 1\n{head}\nbytes".encode())
    return file


def half_written(repository_id):
    """What a process that is killed while it saves leaves behind."""
    whole = kept("killed.kv", repository_id)
    return whole.rename(whole.with_name(".killed.kv.x1y2z3.tmp"))


def test_half_written_kv_is_forgotten_too(tmp_path):
    """A worker that was killed while it saved leaves code of the repository as well."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    ids = [reader_id(each) for each in (mine, other)]
    left = half_written(ids[0])
    forget(other)
    assert left.exists()
    forget(mine)
    assert not left.exists()
    left = half_written(ids[1])
    left.write_bytes(b"codebuddy k")
    forget(mine)
    assert not left.exists()


def test_an_engine_that_starts_sweeps_what_killed_ones_left(tmp_path):
    """Also what a worker crashed on while it took it up; what is whole stays."""
    reader = reader_id(tmp_path / "mine")
    gone = half_written(reader), kept("crashed.taken", reader)
    whole = kept("whole.kv", reader)
    drop_left_behind()
    assert [each.exists() for each in (*gone, whole)] == [False, False, True]


def test_saved_kv_goes_where_the_repository_was_read_or_nobody_knows(tmp_path):
    """By the ids in its head; what has none, is damaged, or is older than the id may be of any."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    ids = [reader_id(each) for each in (mine, other)]
    assert ids == [reader_id(each) for each in (mine, other)]
    assert ids[0] != ids[1]
    both = kept("both.kv", *ids)
    his = kept("his.kv", ids[1])
    nobody = kept("nobody.taken", UNKNOWN)
    old = kept("old.kv")
    old.write_bytes(b"codebuddy kv 1\n{}\nbytes")
    before = [forgotten_at(each) for each in (*ids, UNKNOWN)]
    forget(mine)
    assert [file.exists() for file in (both, his, nobody, old)] == [False, True, False, False]
    after = [forgotten_at(each) for each in (*ids, UNKNOWN)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, False]
    # Whose id is gone was read under one that nobody knows any more.
    (mine / READER_NAME).unlink()
    reader_id(mine)
    assert not his.exists()
    his = kept("his.kv", ids[1])
    (mine / READER_NAME).write_text("../../no-id")
    forget(mine)
    assert not his.exists()
