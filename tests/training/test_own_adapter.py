"""An adapter of a repository from the command to the suggestion, on the small model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from codebuddy.vcs.repository import open_repository
from codebuddy.vcs.worktrees import adapters_folder
from tests.commands.test_complete import codebuddy
from tests.commands.test_json_keys import KEYS
from tests.support.index import make_repository, run_git
from tests.support.toy_repository import make_house, module_of

# Never taken: few steps end it, on a busy machine too, and few holes compare.
MINUTES = "30"
MODEL = ("--model", "smollm2-135m")
FEW = """\
from codebuddy.cli import main
from codebuddy.training.own import cutting, fitting, judging, run

cutting._WATCHED, cutting._JUDGED, cutting._ELSEWHERE = 1, 2, 2
run._MOST_GROUPS, fitting.PASSES, fitting._LOOKS = 12, 1.4, 2
judging.PER_KIND = 5
main()
"""
COMMAND = [sys.executable, "-P", "-c", FEW, "train", "adapter", *MODEL]

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def no_giving_way(monkeypatch):
    """A machine that runs tests is busy."""
    monkeypatch.setenv("CODEBUDDY_TRAIN_GIVE_WAY", "false")


def train(root, *arguments, timeout_s=2400):
    """The command's answer."""
    done = subprocess.run(
        [*COMMAND, "--minutes", MINUTES, "--json", *arguments],
        cwd=root,
        capture_output=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert sorted(found) == KEYS["train adapter"]
    return found


def stop_once(root, file, sign):
    """Begin to train, and end the process once `file` is there."""
    process = subprocess.Popen(
        [*COMMAND, "--minutes", MINUTES],
        cwd=root,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 600
    while not list(root.glob(f".git/codebuddy/adapters/unfinished-*/{file}")):
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(sign)
    return process.communicate(timeout=60)[1].decode(), process.returncode


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_repository_teaches_the_model_its_own_ways(tmp_path):
    """Killed, gone on with, better than the base, used here and nowhere else."""
    root = make_house(tmp_path / "house")
    stop_once(root, "plan.json", signal.SIGKILL)
    [work] = root.glob(".git/codebuddy/adapters/unfinished-*")

    outcome = train(root)
    assert outcome["kept"], outcome
    assert outcome["loss"]["held_out"]["after"] < outcome["loss"]["held_out"]["before"]
    arms = outcome["compared"]["arms"]
    assert arms["own"]["edit_similarity"] > arms["base"]["edit_similarity"]
    assert outcome["compared"]["holes"] >= 12
    assert not work.exists()

    folder = adapters_folder(open_repository(root))
    assert folder is not None
    assert all(file.stat().st_mode & 0o077 == 0 for file in (folder, *folder.iterdir()))
    told = json.loads(codebuddy(root, "adapters", "list", "--json").stdout)["adapters"]
    assert [(each["name"], each["used"]) for each in told] == [(outcome["adapter"], True)]
    asked = ("complete", "house/tickets.py:12", *MODEL, "--retrieve", "never", "--json")
    found = json.loads(codebuddy(root, *asked).stdout)
    assert found["adapter"]["name"] == outcome["adapter"]
    other = make_house(tmp_path / "elsewhere")
    assert json.loads(codebuddy(other, *asked).stdout)["adapter"]["name"] == "smollm2-135m"

    # Nothing is new.
    again = train(root)
    assert (again["steps"], again["adapter"]) == (None, outcome["adapter"])


@pytest.mark.model
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"data.json": "{}"}, "0 files are left to learn from"),
        ({"one.py": module_of("one")}, "1 files are left to learn from, 0 to judge by"),
        ({"house/a_pb2.py": module_of("one")}, "left out: generated 1"),
    ],
)
def test_too_little_code_is_said(tmp_path, files, said):
    """Data only, a single file, nothing that was written by hand: one sentence, nothing left."""
    root = make_repository(tmp_path / "small", files)
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Start")
    done = subprocess.run([*COMMAND, "--minutes", "1"], cwd=root, capture_output=True, timeout=250)
    assert done.returncode == 1
    assert said in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert not list(root.glob(".git/codebuddy/adapters/unfinished-*"))


def test_the_extra_is_named_where_it_is_missing(tmp_path):
    """One sentence and the command, before anything is loaded."""
    root = make_repository(tmp_path / "small")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name in ('peft', 'gguf') else real(name, *a)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "codebuddy", "train", "adapter"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | {"PYTHONPATH": f"{hidden}{os.pathsep}{os.pathsep.join(sys.path)}"},
    )
    assert done.returncode == 1
    assert "peft, gguf are not installed" in done.stderr
    assert "pip install 'codebuddy[train]'" in done.stderr


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (("CODEBUDDY_MODEL_URL", "http://127.0.0.1:9"), "a model server's weights"),
        (("CODEBUDDY_MODEL_NAME", "echo"), "no weights to adapt"),
    ],
)
def test_some_models_cannot_be_adapted(tmp_path, monkeypatch, model, said):
    """A server's, and none at all."""
    root = make_repository(tmp_path / "small", {"one.py": "x = 1\n"})
    monkeypatch.setenv(*model)
    done = codebuddy(root, "train", "adapter")
    assert done.returncode in (1, 2)
    assert said in done.stderr.decode()
