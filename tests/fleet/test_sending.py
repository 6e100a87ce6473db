"""Code that goes to the worker that has its task: what travels, what comes back, what is left."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

from codebuddy import heads, paths
from codebuddy.errors import CodebuddyError
from codebuddy.fleet import sending
from codebuddy.fleet.tasks import Job, run_task
from codebuddy.index.schema import DATABASE_NAME
from codebuddy.inference import own_adapters, stamps
from codebuddy.inference.adapter import read_adapter
from codebuddy.inference.gguf import read_header
from codebuddy.private_files import make_folder
from codebuddy.training.adapter.export import write_adapter, write_card
from codebuddy.training.own.keeping import alone
from codebuddy.vcs.repository import open_repository
from codebuddy.vcs.worktrees import shared_folder
from tests.fleet.test_run import JOB
from tests.support.index import index, make_repository, module, run_git
from tests.support.tiny_model import random_weights, write_base


@pytest.fixture
def root(tmp_path) -> Path:
    found = make_repository(tmp_path / "here" / "shop", {"a.py": module("a_thing")})
    run_git(found, "add", "-A")
    run_git(found, "commit", "-qm", "x")
    return found


def test_a_task_on_sent_code_makes_what_it_would_have_made_here(root):
    """Nothing of the code is left there, and an index that comes home is up to date."""
    found = sending.run_sent(str(root), JOB.as_json(), sending.pack_for(str(root), "index"))
    assert found["error"] == ""
    assert found["root"] == str(root)
    assert found["result"]["files"] == 1
    assert list(paths.fleet_work_folder().iterdir()) == []
    folder = open_repository(root).index_folder
    assert not (folder / DATABASE_NAME).exists()
    sending.take_home(str(root), "index", found["files"])
    report = index(root, embedder="none")
    assert (report.files, report.added, report.updated) == (1, 0, 0)
    assert not list(folder.glob("index.new*"))


def test_labels_go_along_and_come_back(root, monkeypatch):
    """So that a labelling goes on wherever its next worker is."""
    folder = open_repository(root).index_folder
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / heads.LABELS_NAME).write_text("known\n")
    seen = []

    def label(place, _job):
        file = open_repository(Path(place)).index_folder / heads.LABELS_NAME
        seen.append((file.read_text(), Path(place).name))
        file.write_text("known\nmore\n")
        return {"root": place, "result": {}, "error": "", "hint": ""}

    monkeypatch.setattr(sending, "run_task", label)
    parcel = sending.pack_for(str(root), "train head")
    found = sending.run_sent(str(root), {"verb": "train head"}, parcel)
    assert seen == [("known\n", "shop")]
    sending.take_home(str(root), "train head", found["files"])
    assert (folder / heads.LABELS_NAME).read_text() == "known\nmore\n"


def test_what_goes_wrong_there_is_the_repository_s_own_and_leaves_nothing(root):
    """A parcel that is none; a task that fails."""
    broken = sending.pack_for(str(root), "index") | {"code": (b"none", b"")}
    assert sending.run_sent(str(root), JOB.as_json(), broken)["error"]
    old = Job("index", {}, {}, "0.0.0").as_json()
    found = sending.run_sent(str(root), old, sending.pack_for(str(root), "index"))
    assert "0.0.0" in found["error"]
    assert list(paths.fleet_work_folder().iterdir()) == []


def test_what_a_killed_worker_left_is_deleted_by_the_next(root):
    """What a living one is at stays."""
    with sending._own_folder("shop") as living:
        dead = paths.fleet_work_folder() / "task-dead"
        (dead / "code").mkdir(parents=True)
        for each in (dead, living.parents[1]):
            os.utime(each, (1, 1))
        with sending._own_folder("shop"):
            assert not dead.exists()
            assert living.exists()


def test_copies_that_a_task_makes_of_the_code_go_with_its_folder(root, monkeypatch):
    """As that without documentation, which `eval --retrieval-only` searches: a kill leaves it."""
    seen = []

    def task(place, _job):
        scratch = tempfile.mkdtemp(prefix="codebuddy-eval-")
        seen.append(Path(scratch).is_relative_to(Path(place).parents[1]))
        return {"root": place, "result": {}, "error": "", "hint": ""}

    monkeypatch.setattr(sending, "run_task", task)
    before = tempfile.gettempdir()
    sending.run_sent(str(root), {"verb": "eval"}, sending.pack_for(str(root), "eval"))
    assert seen == [True]
    assert tempfile.gettempdir() == before
    assert list(paths.fleet_work_folder().iterdir()) == []


def test_a_worker_that_sends_other_files_or_a_damaged_index_changes_nothing(root):
    """The index that is there stays in use."""
    index(root, embedder="none")
    file = open_repository(root).index_folder / DATABASE_NAME
    before = file.read_bytes()
    for files in ({"../config": b"x"}, {heads.HEAD_NAME: b"x"}, {DATABASE_NAME: b"x" * 5000}):
        with pytest.raises(CodebuddyError):
            sending.take_home(str(root), "index", files)
    assert file.read_bytes() == before


def test_another_commit_under_the_same_path_is_elsewhere(root):
    """And the same one is not sent."""
    head = sending.head_of(str(root))
    assert sending.run_where_it_lies(str(root), JOB.as_json(), "0" * 40) == {"is_elsewhere": True}
    assert sending.run_where_it_lies(str(root), JOB.as_json(), head)["result"]["files"] == 1


def test_an_adapter_that_was_trained_elsewhere_lies_here_as_one_s_own(tmp_path, root):
    """Trusted, and used where the worker's verdict says so; other files are refused."""
    base = write_base(tmp_path / "tiny.gguf")
    digest = stamps.hash_file(base).sha256
    there = open_repository(make_repository(tmp_path / "there" / "shop"))
    folder = make_folder(shared_folder(there) / "adapters", 2)
    file = folder / "shop-1234.gguf"
    write_adapter(file, random_weights(rank=8), "qwen2", 16.0)
    write_card(file, [digest], 8, 16.0, {"commit": "1234"}, {})
    own_adapters.use(folder, digest, "shop-1234")
    (folder / "training.lock").touch()
    files = sending._made_by(there, "train adapter")
    assert sorted(files) == [
        f"adapters/{name}" for name in ("shop-1234.gguf", "shop-1234.json", "use.state")
    ]
    with pytest.raises(CodebuddyError, match="nobody asked for"):
        sending.take_home(str(root), "train adapter", files | {"adapters/../x.gguf": b""})
    sending.take_home(str(root), "train adapter", files)
    here = shared_folder(open_repository(root)) / "adapters"
    (stored,) = own_adapters.stored(here)
    assert stored.card["made_by"] == {"commit": "1234"}
    assert own_adapters.used(here, digest) == "shop-1234"
    assert own_adapters.is_trusted(stored.sha256)
    assert read_adapter(stored.file, read_header(base)).sha256 == stored.sha256


def test_an_adapter_in_use_and_other_choices_stay(root):
    """What comes home under its name gets a number."""
    here = make_folder(shared_folder(open_repository(root)) / "adapters", 2)
    (here / "shop-1.gguf").write_bytes(b"mine")
    base, other = "a" * 64, "b" * 64
    for each in (base, other):
        own_adapters.use(here, each, "shop-1")
    use = json.dumps({base: "shop-1", other: "not-sent"}).encode()
    files = {"shop-1.gguf": b"new", "shop-1.json": b"{}", "use.state": use}
    files = {f"adapters/{name}": content for name, content in files.items()}
    with alone(open_repository(root)), pytest.raises(CodebuddyError, match="another training"):
        sending.take_home(str(root), "train adapter", files)
    sending.take_home(str(root), "train adapter", files)
    assert (here / "shop-1.gguf").read_bytes() == b"mine"
    assert (here / "shop-1-2.gguf").read_bytes() == b"new"
    assert own_adapters.uses_in(here) == {base: "shop-1-2", other: "shop-1"}


def test_a_failed_task_brings_nothing_home(root, monkeypatch):
    """Neither the worker sends it, nor is it taken."""
    parcel = sending.pack_for(str(root), "index")
    found = sending.run_sent(str(root), Job("index", {}, {}, "0.0.0").as_json(), parcel)
    assert "files" not in found
    found |= {"files": {DATABASE_NAME: b"x"}}
    outcome = sending.outcome_of(found, str(root), 1, "index", str(root))
    assert "0.0.0" in outcome.error
    assert not (open_repository(root).index_folder / DATABASE_NAME).exists()


@pytest.mark.parametrize(
    "answer",
    [None, [], {"odd": 1}, {"error": 1}, {"files": []}, {"seconds": "x"}, {"is_elsewhere": True}],
)
def test_an_answer_that_is_none_is_the_repository_s_failure(root, answer):
    """Also one that asks again for code that was sent."""
    with pytest.raises(CodebuddyError, match="makes no sense"):
        sending.outcome_of(answer, str(root), 1, "index", str(root))


def test_code_is_not_sent_unasked():
    """One sentence, and the option."""
    with pytest.raises(CodebuddyError, match="has not got") as told:
        sending.outcome_of({"is_elsewhere": True}, "/srv/shop", 1, "index")
    assert "--send-code" in told.value.hint


def test_training_an_adapter_is_that_of_the_command(tmp_path, root, monkeypatch):
    """Its own sentence where there is too little code."""
    file = write_base(tmp_path / "tiny.gguf")
    stamps.write_stamp(file, stamps.hash_file(file))
    monkeypatch.setenv("CODEBUDDY_INDEX_EMBEDDER", "none")
    monkeypatch.setenv("CODEBUDDY_TRAIN_GIVE_WAY", "false")
    options = {"minutes": 0.1, "seed": 0, "is_fresh": False}
    job = Job("train adapter", options, {"model.name": str(file)})
    found = run_task(str(root), job.as_json())
    assert "too little code to learn from" in found["error"]
