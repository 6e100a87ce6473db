"""`codebuddy eval` from the command line: its answer, its files, its ways to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import pytest

from codebuddy.evaluation.summary import Summary
from codebuddy.evaluation.tables import conclusion_lines
from codebuddy.terminal import safe_text
from tests.support.evaluation import commit, make_shop
from tests.support.index import make_repository, run_git, write

ROOT = Path(__file__).parents[2]


def _start(folder: Path, *arguments: str, path: str = "") -> subprocess.Popen[str]:
    python_path = os.pathsep.join(filter(None, [path, str(ROOT)]))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "codebuddy", "eval", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": python_path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _eval(folder: Path, *arguments: str, path: str = "") -> tuple[int, str, str]:
    process = _start(folder, *arguments, path=path)
    out, told = process.communicate(timeout=240)
    assert "Traceback" not in told
    return process.returncode, out, told


def _large(root: Path) -> Path:
    files: dict[str, str | bytes] = {
        f"work{i}.py": "".join(
            f"def step_{i}_{j}(value):\n    grown = value + {j}\n    return grown\n\n\n"
            for j in range(15)
        )
        for i in range(20)
    }
    return make_shop(root, files)


@pytest.mark.process
def test_the_json_has_the_agreed_keys(tmp_path):
    """Every key of the contract is there, with figures in their ranges."""
    root = make_shop(tmp_path / "r")
    code, out, _ = _eval(root, "--model", "echo", "--tasks", "2", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["repository"] == "r"
    assert report["commit"] == run_git(root, "rev-parse", "HEAD").strip()
    assert report["model"] == "echo"
    assert report["tasks"] == 6
    assert set(report["arms"]) == {"never", "always", "auto"}
    for arm in report["arms"].values():
        assert 0 <= arm["exact_match"] <= 1
        assert 0 <= arm["edit_similarity"] <= 100
        assert 0 < arm["latency_ms"]["p50"] <= arm["latency_ms"]["p95"]
        assert 0 <= arm["retrieval_rate"] <= 1
    assert set(report["head"]) >= {"auroc", "accuracy", "precision", "recall", "brier"}
    assert report["oracle"]["edit_similarity"] >= report["arms"]["never"]["edit_similarity"]
    assert 1 <= report["cqi"]["index"] <= 10


@pytest.mark.process
def test_the_answer_is_tables_and_the_run_is_kept(tmp_path):
    """A person reads tables; the run can be listed and compared with itself."""
    root = make_shop(tmp_path / "r")
    code, out, _ = _eval(root, "--model", "echo", "--tasks", "2")
    assert code == 0
    for word in ("never", "always", "auto", "oracle", "line: 2 tasks", "quality index"):
        assert word in out
    assert "6 tasks are few" in out
    code, out, _ = _eval(root, "--list")
    assert code == 0
    name = out.split()[0]
    assert "6 of 6 tasks" in out
    code, out, _ = _eval(root, "--compare", name, "last", "--json")
    compared = json.loads(out)
    assert (code, compared["tasks"]) == (0, 6)
    assert compared["arms"]["never"]["edit_similarity"]["difference"] == 0
    assert _eval(root, "--compare", name, name)[1].startswith("|")


@pytest.mark.parametrize(
    ("bounds", "n", "said"),
    [
        ((0.5, 9.0), 40, ["always looking up helps here: +4.0 [0.5, 9.0] edit similarity"]),
        ((-9.0, -0.5), 40, ["always looking up hurts here: +4.0 [-9.0, -0.5] edit similarity"]),
        (
            (-1.0, 9.0),
            1,
            [
                "whether always looking up helps here cannot be told from 1 task:"
                " +4.0 [-1.0, 9.0] edit similarity",
                "1 task is few: the intervals say more than the figures",
            ],
        ),
        (None, 0, []),
    ],
)
def test_a_sentence_says_whether_lookups_help(bounds, n, said):
    """The interval decides, and few tasks are called few."""
    difference = {"edit_similarity": 4.0, "intervals": {"edit_similarity": bounds}}
    summary = {"tasks": n, "differences": {"always-never": difference}}
    assert conclusion_lines(cast("Summary", summary)) == said


@pytest.mark.process
def test_retrieval_alone_needs_no_model(tmp_path, monkeypatch):
    """Without any weights the search is measured, as tables and as JSON."""
    monkeypatch.setenv("CODEBUDDY_MODEL_FOLDER", str(tmp_path / "none"))
    root = make_shop(tmp_path / "r")
    code, out, _ = _eval(root, "--retrieval-only", "--json")
    retrieval = json.loads(out)["retrieval"]
    assert code == 0
    assert retrieval["calls"]["channels"]["completion"]["recall_at_10"] == 1.0
    assert retrieval["docstrings"]["queries"] == 2
    code, out, _ = _eval(root, "--no-model")
    assert (code, "NDCG@10" in out) == (0, True)


@pytest.mark.process
@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_the_next_run_goes_on(tmp_path):
    """Interrupted: 130, a report of what there is, and only the rest is done later."""
    root = _large(tmp_path / "r")
    arguments = ("--model", "echo", "--kind", "line", "--tasks", "150", "--json")
    process = _start(root, *arguments)
    done = _wait_for_tasks(root, 3)
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=120)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    report = json.loads(out)
    assert done <= report["tasks"] < report["planned"] == 150
    assert "interrupted" in told
    code, out, _ = _eval(root, *arguments)
    again = json.loads(out)
    assert (code, again["tasks"], again["run"]) == (0, 150, report["run"])
    assert again["resumed"] == report["tasks"]


@pytest.mark.process
def test_a_killed_run_goes_on(tmp_path):
    """After SIGKILL the finished tasks count, and the rest is done."""
    root = _large(tmp_path / "r")
    arguments = ("--model", "echo", "--kind", "line", "--tasks", "150", "--json")
    process = _start(root, *arguments)
    done = _wait_for_tasks(root, 3)
    process.kill()
    process.communicate()
    code, out, _ = _eval(root, *arguments)
    report = json.loads(out)
    assert (code, report["tasks"]) == (0, 150)
    assert done - 1 <= report["resumed"] < 150


def _wait_for_tasks(root: Path, count: int) -> int:
    folder = root / ".git" / "codebuddy" / "eval"
    for _ in range(6000):
        found = sum(f.read_bytes().count(b"\n") - 1 for f in folder.glob("*.jsonl"))
        if found >= count:
            return found
        time.sleep(0.02)
    raise AssertionError("no task was finished")


@pytest.mark.process
def test_a_dirty_tree_is_measured_and_left_as_it_is(tmp_path):
    """Unsaved, staged and untracked work stays to the byte; nothing appears beside it."""
    root = make_shop(tmp_path / "r")
    write(root, {"loose.py": "def loose(a):\n    b = a\n    return b\n"})
    with (root / "shop/cart.py").open("a") as stream:
        stream.write("\n\nlate = 1\n")
    run_git(root, "add", "shop/cart.py")

    def snapshot():
        files = {
            str(file): file.read_bytes()
            for file in root.rglob("*")
            if file.is_file() and ".git" not in file.parts
        }
        return files, run_git(root, "status", "--porcelain")

    before = snapshot()
    assert _eval(root, "--model", "echo", "--tasks", "2")[0] == 0
    assert _eval(root, "--retrieval-only")[0] == 0
    assert snapshot() == before


@pytest.mark.process
@pytest.mark.parametrize("files", [{}, {"README.md": "# Words\n"}, {"a.json": "{}"}])
def test_repositories_without_code_are_told(tmp_path, files):
    """One sentence and exit 2 where there is nothing to complete; no search figures either."""
    root = make_repository(tmp_path / "r", files)
    code, out, told = _eval(root, "--model", "echo")
    assert (code, out) == (2, "")
    assert "no code to cut holes" in told
    code, out, told = _eval(root, "--retrieval-only")
    assert (code, out) == (0, "")
    assert "neither calls across files nor documented functions" in told


@pytest.mark.process
def test_a_repository_without_a_commit_can_be_measured(tmp_path):
    """Before the first commit the files of the work tree are what there is."""
    root = make_repository(tmp_path / "r", {"a.py": "def f(a):\n    b = a + 1\n    return b\n"})
    code, out, _ = _eval(root, "--model", "echo", "--tasks", "1", "--json")
    assert code == 0
    assert json.loads(out)["commit"] == ""


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--arms", "sometimes"), "--arms takes"),
        (("--arms", ","), "--arms takes"),
        (("--tasks", "0"), "--tasks"),
        (("--minutes", "0"), "--minutes"),
        (("--kind", "file"), "--kind"),
        (("--compare", "one", "two"), "there is no run"),
        (("--plot", "plot.gif"), "must end in .png or .svg"),
        (("--plot", "nowhere/plot.svg"), "does not exist"),
    ],
)
def test_wrong_wishes_are_usage_errors(tmp_path, arguments, message):
    """Each is told in a sentence before anything slow begins."""
    code, out, told = _eval(make_shop(tmp_path / "r"), *arguments)
    assert (code, out) == (2, "")
    assert message in told


@pytest.mark.process
def test_a_missing_model_is_told(tmp_path, monkeypatch):
    """Without the weights, one sentence says how to get them."""
    monkeypatch.setenv("CODEBUDDY_MODEL_FOLDER", str(tmp_path / "none"))
    code, _, told = _eval(make_shop(tmp_path / "r"), "--tasks", "1")
    assert code == 1
    assert "codebuddy models pull" in told


@pytest.mark.process
def test_damaged_runs_do_not_harm(tmp_path):
    """Junk among the runs is passed over by a new run, by the list and by a comparison."""
    root = make_shop(tmp_path / "r")
    assert _eval(root, "--model", "echo", "--tasks", "1")[0] == 0
    folder = root / ".git" / "codebuddy" / "eval"
    (folder / "junk.jsonl").write_bytes(os.urandom(2000))
    (folder / "empty.jsonl").write_bytes(b"")
    (run,) = [f for f in folder.iterdir() if "echo" in f.name]
    content = run.read_bytes()
    run.write_bytes(content[: len(content) * 2 // 3])
    code, out, _ = _eval(root, "--list")
    assert (code, out.count("\n")) == (0, 1)
    assert _eval(root, "--model", "echo", "--tasks", "1")[0] == 0
    code, _, told = _eval(root, "--compare", "junk", "last")
    assert code == 2
    assert "damaged" in told


@pytest.mark.process
def test_the_plot_is_drawn(tmp_path):
    """An SVG that is one, and a PNG by its first bytes; baselines have a place in it, too."""
    root = make_shop(tmp_path / "r")
    for name, *more in (("plot.svg", "--arm", "windows"), ("plot.png",)):
        code, _, _ = _eval(root, "--model", "echo", "--tasks", "2", "--plot", name, *more)
        assert code == 0
    assert ElementTree.parse(root / "plot.svg").getroot().tag.endswith("svg")
    assert (root / "plot.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.process
def test_a_missing_matplotlib_is_told_before_the_work(tmp_path):
    """Where the extra is not installed, the sentence names it and no run is begun."""
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "matplotlib.py").write_text("raise ImportError('not here')\n")
    root = make_shop(tmp_path / "r")
    code, _, told = _eval(root, "--model", "echo", "--plot", "p.svg", path=str(planted))
    assert code == 1
    assert "codebuddy[plot]" in told
    assert not (root / ".git" / "codebuddy" / "eval").exists()


@pytest.mark.process
def test_hostile_names_are_shown_safely(tmp_path):
    """Escape sequences in the names of files and repositories never reach the terminal."""
    root = make_shop(
        tmp_path / "r\x1b[31m", {"a\x1b]52;c;eA==\x07.py": "def f(a):\n    b = a\n    return b\n"}
    )
    commit(root)
    code, out, told = _eval(root, "--model", "echo", "--tasks", "2")
    assert code == 0
    assert safe_text(out + told) == out + told
