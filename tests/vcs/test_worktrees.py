"""A new work tree takes over the index of another one of its repository, and is then its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from codebuddy import platforms
from codebuddy.index import damage_marker, file_checksum, seeding
from codebuddy.index.search import RepositoryIndex
from codebuddy.service.context import RepositoryContext
from codebuddy.service.repositories import RepositoryCache
from codebuddy.settings import IndexSettings, Settings
from codebuddy.vcs.repository import open_repository
from codebuddy.vcs.worktrees import other_work_trees
from tests.support.engine import codebuddy, json_of
from tests.support.hook import Project
from tests.support.index import (
    clean_dump,
    database,
    dump,
    index,
    index_told,
    make_repository,
    module,
    run_git,
    write,
)

N_FILES = 40


def _committed(root: Path) -> Path:
    run_git(root, "add", "-A")
    run_git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x")
    return root


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """An indexed repository with a commit."""
    files: dict[str, str | bytes] = {f"m{i}.py": module(f"name_{i}") for i in range(N_FILES)}
    root = _committed(make_repository(tmp_path / "main", files))
    index(root)
    return root


def _worktree(main: Path, name: str = "wt") -> Path:
    root = main.parent / name
    run_git(main, "worktree", "add", "-q", "-b", name, str(root))
    return root


def test_a_new_work_tree_reads_its_files_and_analyses_none_that_is_known(main, tmp_path):
    """The seeded index equals a clean build; only what differs from the other is analysed."""
    root = _worktree(main)
    write(root, {"m1.py": module("changed"), "new.py": module("fresh")})
    (root / "m2.py").unlink()
    report, told = index_told(root)
    assert report.seeded_from == str(main)
    assert not report.is_rebuilt
    assert (report.added, report.updated, report.removed) == (1, 1, 1)
    assert report.as_json()["seeded_from"] == str(main)
    assert len(told) == 1
    assert f"taking over the index of {main}" in told[0]
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")
    assert file_checksum.is_current(database(root))
    again = index(root)
    assert (again.added, again.updated, again.removed, again.seeded_from) == (0, 0, 0, "")
    assert "seeded_from" not in again.as_json()
    assert dump(database(main)) == clean_dump(main, tmp_path / "clean of main")


def test_the_vectors_come_along(main):
    """Those of contents that are known are not computed again."""
    root = _worktree(main)
    report, _ = index_told(main)
    seeded, _ = index_told(root)
    assert seeded.vectors == report.vectors
    if report.vectors:
        assert seeded.vectors_made == 0


def test_of_several_indexes_the_most_similar_is_taken(main):
    """By path and size of the files, wherever the work tree was made from."""
    other = _worktree(main, "other")
    for number in range(10, 30):
        (other / f"m{number}.py").unlink()
    write(other, {f"o{i}.py": module(f"other_{i}") for i in range(30)})
    _committed(other)
    index(other)
    root = main.parent / "third"
    run_git(other, "worktree", "add", "-q", "-b", "third", str(root))
    report = index(root)
    assert report.seeded_from == str(other)
    assert (report.added, report.updated, report.removed) == (0, 0, 0)
    assert index(_worktree(main, "fourth")).seeded_from == str(main)


def test_the_main_work_tree_takes_over_too(main):
    """Also from a work tree whose folder is gone."""
    root = _worktree(main)
    index(root)
    shutil.rmtree(root)
    shutil.rmtree(main / ".git" / "codebuddy")
    assert [each.root for each in other_work_trees(open_repository(main))] == [root]
    report = index(main)
    assert report.seeded_from == str(root)
    assert (report.added, report.updated, report.removed) == (0, 0, 0)


def test_another_repository_gives_nothing(main, tmp_path):
    """Neither a clone nor a repository inside one is another work tree."""
    run_git(tmp_path, "clone", "-q", str(main), str(tmp_path / "clone"))
    inner = make_repository(main / "inner", {"a.py": module("inner")})
    for each in (tmp_path / "clone", inner):
        assert other_work_trees(open_repository(each)) == []
        assert index(each).seeded_from == ""


def _damage(main: Path) -> None:
    file = database(main)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _made_by_another_version(main: Path) -> None:
    from codebuddy.index import schema
    from codebuddy.index.writer import IndexWriter

    writer = IndexWriter(database(main), schema.connect(database(main), is_writer=True))
    with writer.transaction():
        writer.put_meta("analysis", b"0.0.1 1 1 1")
    writer.write_checksum_and_close()


@pytest.mark.parametrize(
    ("spoil", "reason"), [(_damage, "damaged"), (_made_by_another_version, "another version")]
)
def test_an_index_that_cannot_be_taken_over_is_named(main, tmp_path, spoil, reason):
    """With the reason; then one is built from the files, and nothing of the other is left."""
    spoil(main)
    root = _worktree(main)
    report, told = index_told(root)
    assert report.is_rebuilt
    assert report.added == N_FILES
    assert len(told) == 1
    assert f"the index of {main} cannot be taken over: " in told[0]
    assert reason in told[0]
    assert "building one from the files" in told[0]
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")
    names = {each.name for each in database(root).parent.iterdir()}
    assert seeding.NEW_NAME not in names


def test_an_index_under_its_writer_is_not_copied(main, monkeypatch):
    """Who holds its lock may be in the middle of it; it is not waited for long."""
    monkeypatch.setattr(seeding, "_LOCK_TIMEOUT_S", 0.1)
    root = _worktree(main)
    with platforms.exclusive_lock(database(main).parent / seeding.LOCK_NAME, 5.0):
        report, told = index_told(root)
    assert report.is_rebuilt
    assert "it is being updated" in told[0]


@pytest.mark.parametrize("spoil", ["mode", "link", "suspect"])
def test_an_index_that_is_not_to_be_trusted_is_passed_over(main, tmp_path, spoil):
    """One that others may write, a link, and one that a reader found damaged."""
    file = database(main)
    if spoil == "mode":
        file.chmod(0o666)
    elif spoil == "link":
        file.rename(tmp_path / "elsewhere.db")
        file.symlink_to(tmp_path / "elsewhere.db")
    else:
        damage_marker.mark_damaged(file.parent)
    report = index(_worktree(main))
    assert report.seeded_from == ""
    assert report.added == N_FILES


def test_what_a_killed_seeding_left_is_not_in_the_way(main):
    """Half a copy is thrown away by the next one."""
    root = _worktree(main)
    repository = open_repository(root)
    repository.index_folder.mkdir()
    (repository.index_folder / seeding.NEW_NAME).write_bytes(b"half")
    with seeding.open_or_seed(repository, Settings()) as opened:
        assert opened.count_files() == N_FILES
    assert index(root).updated == 0


def test_without_an_update_the_other_index_serves_as_it_stands(main):
    """As for who types: a copy at once, brought up to date by the next update."""
    root = _worktree(main)
    write(root, {"new.py": module("fresh_word")})
    place = RepositoryCache()
    repository_context = RepositoryContext(
        open_repository(root), Settings(index=IndexSettings(jobs=1))
    )
    with place.lease_index(repository_context) as found:
        assert [each.chunk.path for each in found.search("name_7", 1, "symbol")] == ["m7.py"]
        assert index(root).added == 1
        assert [each.chunk.path for each in found.search("fresh_word", 1)] == ["new.py"]


@pytest.mark.process
def test_the_commands_work_in_a_new_work_tree(main):
    """Each as the first one there."""
    searches: list[tuple[str, ...]] = [
        ("search", "name_7", "--no-engine", "--json"),
        ("search", "name_7", "--no-engine", "--no-update", "--json"),
    ]
    for number, command in enumerate(searches):
        found = json_of(codebuddy(_worktree(main, f"w{number}"), *command))
        assert found["results"][0]["path"] == "m7.py"
    root = _worktree(main, "completing")
    write(root, {"use.py": "from m7 import name_7\n\nname_7(\n"})
    call = ("complete", "use.py:3", "--no-engine", "--model", "echo", "--retrieve", "always")
    done = codebuddy(root, *call, "--json")
    assert "m7.py" in {each["path"] for each in json_of(done)["chunks"]}
    done = codebuddy(_worktree(main, "indexing"), "index", "--json")
    report = json.loads(done.stdout)
    assert report["seeded_from"]
    assert (report["files"], report["added"], report["updated"]) == (N_FILES, 0, 0)


def test_the_engine_serves_a_new_work_tree(engine, main):
    """The first search waits for the copy alone."""
    found = json_of(codebuddy(_worktree(main), "search", "name_7", "--json"))
    assert found["results"][0]["path"] == "m7.py"
    assert found["warnings"] == [] if "warnings" in found else True


CALLED = {
    "lib.py": "def price(amount):\n    return amount * 2\n",
    "use.py": "from lib import price\n\nprint(price(3))\n",
}


@pytest.mark.process
def test_the_hook_in_a_new_work_tree_finds_what_it_finds_in_the_main_one(tmp_path):
    """With the main one's index; `hook status` says so, and what makes one of its own."""
    project = Project(tmp_path / "main", CALLED)
    project.codebuddy("hook", "install")
    root = tmp_path / "linked"
    project.git("worktree", "add", "-q", "-b", "linked", str(root))
    status = json_of(codebuddy(root, "hook", "status", "--json"))["index"]
    assert (status["state"], status["shared_from"]) == ("shared", str(tmp_path / "main"))
    told = codebuddy(root, "hook", "status").stdout
    assert f"index: that of {tmp_path / 'main'}" in told
    assert "codebuddy index" in told
    (root / "lib.py").write_text("def price(amount, currency):\n    return amount * 2\n")
    run_git(root, "add", "-A")
    run_git(root, "commit", "-q", "-m", "Charge in a currency")
    committed = codebuddy(root, "hook", "run", "--range", "HEAD~1..HEAD", "--no-update", "--json")
    assert "CB101" in {each["rule"] for each in json_of(committed)["findings"]}
    status = json_of(codebuddy(root, "hook", "status", "--json"))["index"]
    assert status["state"] == "own"


@pytest.mark.process
def test_a_commit_in_a_new_work_tree_is_reviewed(tmp_path):
    """git runs the hook there, and what it says is what it says anywhere."""
    import subprocess

    project = Project(tmp_path / "main", CALLED)
    project.codebuddy("hook", "install")
    root = tmp_path / "linked"
    project.git("worktree", "add", "-q", "-b", "linked", str(root))
    (root / "lib.py").write_text("def price(amount, currency):\n    return amount * 2\n")
    done = subprocess.run(
        ["git", "-C", str(root), "commit", "-am", "Charge"], capture_output=True, check=True
    )
    assert b"CB101" in done.stdout + done.stderr


@pytest.mark.process
def test_without_any_index_the_status_says_so(tmp_path):
    """With the remedy."""
    root = make_repository(tmp_path / "r", {"a.py": "x = 1\n"})
    status = json_of(codebuddy(root, "hook", "status", "--json"))["index"]
    assert status["state"] == "none"
    assert "codebuddy index" in status["message"]
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()):
        told = codebuddy(root, "hook", "status").stdout
    assert "index: of this work tree, 1 file" in told


@pytest.mark.process
def test_the_status_of_the_hooks_is_told_where_the_index_fails(tmp_path):
    """A damage that only reading shows is told in the index's own line."""
    import sqlite3

    root = make_repository(tmp_path / "r", {"a.py": "x = 1\n"})
    index(root)
    folder = open_repository(root).index_folder
    connection = sqlite3.connect(folder / "index.db")
    page = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'files_by_path'"
    ).fetchone()
    n_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    (folder / "index.seal").unlink()
    with (folder / "index.db").open("rb+") as stream:
        stream.seek((page[0] - 1) * n_bytes)
        stream.write(b"\0" * n_bytes)
    status = json_of(codebuddy(root, "hook", "status", "--json"))
    assert status["index"]["state"] == "none"
    assert "damaged" in status["index"]["message"]
    assert status["hooks"]
