"""`codebuddy train all`: both stages in turn, each by itself, and a report of what changed.

The model is one of two layers with random weights, which is trained and asked as any other: what
it says is nonsense, so that nothing here depends on which stage is kept.
"""

from __future__ import annotations

import json

import pytest

from codebuddy import heads
from codebuddy.commands.train_all import command
from codebuddy.inference import own_adapters, stamps
from codebuddy.vcs.repository import open_repository
from codebuddy.vcs.worktrees import adapters_folder
from tests.commands.test_complete import codebuddy
from tests.commands.test_json_keys import KEYS
from tests.support.index import make_repository, run_git
from tests.support.tiny_model import write_base
from tests.support.toy_repository import make_house

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def no_giving_way(monkeypatch):
    """A machine that runs tests is busy, where two threads of torch wait for each other."""
    monkeypatch.setenv("CODEBUDDY_TRAIN_GIVE_WAY", "false")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def answer_of(root, monkeypatch, capsys):
    """What the command answers and says, called in this process."""
    monkeypatch.chdir(root)
    command.main(["--minutes", "0.2", "--json"], standalone_mode=False)
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert sorted(found) == KEYS["train all"]
    return found, told.err


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_both_are_trained_one_after_the_other(tmp_path, monkeypatch, capsys):
    """Each stage answers as its own command does, and leaves its work where that goes on."""
    file = write_base(tmp_path / "tiny.gguf")
    stamps.write_stamp(file, stamps.hash_file(file))
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", str(file))
    monkeypatch.setenv("CODEBUDDY_TRAIN_REPLAY", "0")
    # A library of few files: all else is as in a training of an hour.
    monkeypatch.setattr("codebuddy.training.own.cutting._LIBRARY_FILES", 5)
    root = make_house(tmp_path / "house")
    found, said = answer_of(root, monkeypatch, capsys)
    assert sorted(found["adapter"]) == KEYS["train adapter"]
    assert set(KEYS["train head"]) <= set(found["head"])
    assert found["adapter"]["steps"] > 0
    assert found["seconds"]["adapter"] > 0
    assert said.index("the model's adapter") < said.index("the decision whether to look up")
    repository = open_repository(root)
    folder = adapters_folder(repository)
    assert folder is not None
    assert [each.name for each in own_adapters.stored(folder)] == [found["adapter"]["adapter"]]
    # A machine that is busy enough labels none in its time.
    if n_holes := found["head"]["holes"]:
        labels = heads.personal_labels_file(repository).read_text("utf-8").splitlines()
        assert len(labels) == 1 + n_holes


def test_where_one_cannot_be_trained_the_other_is(tmp_path, monkeypatch, capsys):
    """The echo has no weights: that is said, and the decision has its turn."""
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", "echo")
    root = make_house(tmp_path / "house")
    found, _ = answer_of(root, monkeypatch, capsys)
    assert "no weights to adapt" in found["adapter"]["error"]
    assert set(KEYS["train head"]) <= set(found["head"])


def test_where_neither_can_be_trained_the_report_and_the_status_say_so(tmp_path, monkeypatch):
    """Data only: both reasons, and no trace."""
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", "echo")
    root = make_repository(tmp_path / "data", {"data.json": "{}"})
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Start")
    done = codebuddy(root, "train", "all", "--minutes", "0.1")
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False), done.stderr.decode()
    told = done.stdout.decode().splitlines()
    assert told[0].startswith("the model's adapter (")
    assert told[1].startswith("  not trained: echo has no weights")
    assert any(line.startswith("the decision whether to look up (") for line in told)
    assert sum(line.startswith("  not trained: ") for line in told) == 2
    assert told[-1] == "nothing changed here"
