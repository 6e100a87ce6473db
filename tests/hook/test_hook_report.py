"""How findings are written, limited, applied, and asked for by range."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.support.hook import Project

pytestmark = pytest.mark.process

SUMS = (
    "def add_up(items):\n    total = 0\n    for item in items:\n"
    "        total += item\n    return total\n"
)


@pytest.fixture
def project(tmp_path):
    """A repository in which a function was renamed and its user was not."""
    project = Project(
        tmp_path / "p",
        {"sums.py": SUMS, "main.py": "from sums import add_up\n\nx = add_up([1])\n"},
    )
    project.index()
    project.stage({"sums.py": SUMS.replace("add_up", "sum_of")})
    return project


def run(project, *arguments):
    """`codebuddy hook run` on the index as it stands."""
    return project.codebuddy("hook", "run", "--no-update", *arguments)


def test_text_is_a_line_and_its_evidence(project):
    """`path:line:col ID message`, what shows it, and how to apply the remedy."""
    done = run(project)
    lines = done.stdout.split("\n")
    assert lines[0] == (
        "main.py:1:18 CB102 add_up is renamed to sum_of in sums.py, and is still used here"
    )
    assert lines[1] == "    main.py:1: from sums import add_up"
    assert lines[2] == "    main.py:3: x = add_up([1])"
    assert lines[3].startswith("    to apply: codebuddy hook apply ")
    assert (done.returncode, done.stderr) == (0, "")


def test_json_has_stable_keys(project):
    """Programs find rule, place, evidence and whether there is a patch."""
    answer = json.loads(run(project, "--format", "json").stdout)
    (finding,) = answer["findings"]
    assert answer["found"] == 1
    assert finding.pop("id").isalnum()
    assert finding == {
        "rule": "CB102",
        "name": "removed-but-used",
        "level": "error",
        "path": "main.py",
        "line": 1,
        "column": 18,
        "message": "add_up is renamed to sum_of in sums.py, and is still used here",
        "confidence": 1.0,
        "evidence": [
            {"path": "main.py", "line": 1, "text": "from sums import add_up"},
            {"path": "main.py", "line": 3, "text": "x = add_up([1])"},
        ],
        "more_evidence": 0,
        "has_patch": True,
    }


def test_sarif_is_what_the_standard_says(project):
    """Version, tool, rules and results refer to each other; paths are addresses."""
    project.stage({"a b%.py": "breakpoint()\n"})
    answer = json.loads(run(project, "--format", "sarif").stdout)
    assert answer["version"] == "2.1.0"
    (sarif_run,) = answer["runs"]
    driver = sarif_run["tool"]["driver"]
    assert [rule["id"] for rule in driver["rules"]] == ["CB102", "CB108"]
    for result in sarif_run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
    place = sarif_run["results"][1]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b%25.py"
    assert place["region"] == {"startLine": 1, "startColumn": 1}


def test_sarif_of_nothing_is_a_run_without_results(project):
    """CI uploads the file whatever was found."""
    project.git("reset", "-q", "--hard")
    answer = json.loads(run(project, "--format", "sarif").stdout)
    assert answer["runs"][0]["results"] == []


def test_github_annotations_are_escaped(project):
    """Properties and message cannot be broken out of by a file's name."""
    project.stage({"a,b:c%.py": "breakpoint()\n"})
    lines = run(project, "--format", "github").stdout.strip().split("\n")
    assert lines[0].startswith("::error file=main.py,line=1,col=18,title=CB102 removed-but-used::")
    assert lines[1].startswith("::warning file=a%2Cb%3Ac%25.py,line=1,col=1,title=CB108")


def test_strict_gives_an_exit_status_and_max_a_limit(project):
    """Without findings 0; with them 1 if asked; at most as many as wanted are shown."""
    for number in range(7):
        project.stage({f"f{number}.py": "breakpoint()\n"})
    done = run(project, "--strict")
    assert done.returncode == 1
    assert done.stdout.count(" CB1") == 5
    assert done.stderr == "and 3 more; --max 0 shows all\n"
    assert run(project, "--max", "0").stdout.count(" CB1") == 8
    assert run(project, "--max", "2").stdout.count(" CB1") == 2
    project.git("reset", "-q", "--hard")
    done = run(project, "--strict")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "nothing found\n")


def test_a_range_is_reviewed_as_its_last_commit_is(project):
    """`A..B` judges what the commits changed, whatever is staged or in the work tree."""
    project.git("commit", "-qm", "Rename")
    project.stage({"main.py": "x = 1\n"})
    project.git("commit", "-qm", "Forget")
    assert "CB102" in run(project, "--range", "HEAD~2..HEAD~1").stdout
    assert run(project, "--range", "HEAD~2..HEAD").stdout == ""
    assert run(project, "--range", "HEAD~1..").stdout == ""
    assert "CB102" in run(project, "--range", "HEAD~2...HEAD~1").stdout


@pytest.mark.parametrize(
    ("commits", "status", "sentence"),
    [
        ("HEAD", 2, "HEAD is not a range of commits"),
        ("nowhere..HEAD", 1, "nowhere is not a commit"),
        ("--output=x..HEAD", 1, "--output=x is not a commit"),
        ("..", 2, ".. is not a range of commits"),
        ("a\0b..HEAD", 2, ""),
    ],
)
def test_a_bad_range_is_an_error(project, commits, status, sentence):
    """What is no range, or names no commit, is said in a sentence."""
    if "\0" in commits:
        with pytest.raises(ValueError, match="null byte"):
            run(project, "--range", commits)
        return
    done = run(project, "--range", commits)
    assert done.returncode == status
    assert sentence in done.stderr


def test_all_looks_at_every_staged_file(project):
    """`--all` judges old files too."""
    project.stage({"old.py": "breakpoint()\n"})
    project.git("commit", "-qm", "Old")
    assert "old.py" not in run(project).stdout
    assert "old.py:1:1 CB108" in run(project, "--all").stdout


def test_apply_writes_the_work_tree_and_nothing_else(project):
    """The patch changes the file; index and HEAD stay; the rest of the file keeps its bytes."""
    project.write({"main.py": "from sums import add_up\r\n\r\nx = add_up([1])\n\tend"})
    run(project)
    before = project.git("ls-files", "-s"), project.git("rev-parse", "HEAD")
    done = project.codebuddy("hook", "apply", "CB102")
    assert (done.returncode, done.stdout) == (0, "CB102: changed main.py (not staged)\n")
    content = (project.root / "main.py").read_bytes()
    # Each line keeps its own ending, here a bare line feed among others.
    assert content == b"from sums import sum_of\r\n\r\nx = sum_of([1])\n\tend"
    assert (project.git("ls-files", "-s"), project.git("rev-parse", "HEAD")) == before


def test_apply_takes_a_line_out(project):
    """A leftover goes, with its line ending."""
    project.stage({"a.py": "x = 1\nbreakpoint()\ny = 2\n"})
    run(project)
    assert project.codebuddy("hook", "apply", "CB108").returncode == 0
    assert (project.root / "a.py").read_text() == "x = 1\ny = 2\n"


def test_apply_finds_lines_that_moved_and_refuses_what_changed(project):
    """The lines are looked for elsewhere if they are there once; otherwise nothing is written."""
    run(project)
    project.write({"main.py": "# new\nfrom sums import add_up\n\nx = add_up([1])\n"})
    assert project.codebuddy("hook", "apply", "CB102").returncode == 0
    assert (
        project.root / "main.py"
    ).read_text() == "# new\nfrom sums import sum_of\n\nx = sum_of([1])\n"
    project.write({"main.py": "from sums import add_up as total\n"})
    done = project.codebuddy("hook", "apply", "CB102")
    assert done.returncode == 1
    assert "no longer holds the lines that the patch replaces" in done.stderr
    assert (project.root / "main.py").read_text() == "from sums import add_up as total\n"


def test_apply_of_what_is_unknown_or_several_is_a_usage_error(project):
    """The error says which there are."""
    done = project.codebuddy("hook", "apply", "12345678")
    assert (done.returncode, "no patch called 12345678" in done.stderr) == (2, True)
    assert "after the commit, 'codebuddy hook run --range HEAD~1..HEAD'" in done.stderr
    project.stage({"a.py": "x = 1\nbreakpoint()\n", "b.py": "x = 1\nbreakpoint()\n"})
    run(project)
    done = project.codebuddy("hook", "apply", "CB108")
    assert (done.returncode, "CB108 has several patches" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "content",
    [
        "", "[", "{}", "[1]", '[{"id": "x", "rule": "CB108"}]',
        '[{"id": "x", "rule": 1, "edits": [1]}]',
        '[{"id": "x", "rule": "r", "edits": [{"path": "../../out", "first_line": 1, "last_line": 1,'
        ' "old": "a", "new": "b"}]}]',
        '[{"id": "x", "rule": "r", "edits": [{"path": ".git/config", "first_line": 1,'
        ' "last_line": 1, "old": "[core]", "new": "b"}]}]',
    ],
)  # fmt: skip
def test_a_planted_record_is_refused(project, content):
    """What codebuddy did not write is an error, and nothing outside the work tree is touched."""
    (project.root.parent / "out").write_text("a\n")
    (project.root / ".git" / "codebuddy" / "hook.json").write_text(content)
    config = (project.root / ".git" / "config").read_text()
    done = project.codebuddy("hook", "apply", "x")
    assert done.returncode in (1, 2)
    assert "bug" not in done.stderr
    assert (project.root.parent / "out").read_text() == "a\n"
    assert (project.root / ".git" / "config").read_text() == config


def test_the_pre_commit_frameworks_entry_runs(project):
    """The command of `.pre-commit-hooks.yaml` exists and takes its options."""
    from pathlib import Path

    text = (Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    entries = [line.partition(":")[2].split() for line in text.split("\n") if "entry:" in line]
    assert [each[0] for each in entries] == ["codebuddy", "codebuddy"]
    status = [project.codebuddy(*each[1:]).returncode for each in entries]
    assert status == [0, 1]


def test_outside_a_repository_the_verbs_say_so(tmp_path):
    """A usage error, not a trace."""
    project = Project.__new__(Project)
    project.root = tmp_path
    for verb in (["install"], ["uninstall"], ["status"], ["run"], ["apply", "x"]):
        done = project.codebuddy("hook", *verb)
        assert done.returncode == 2
        assert "not inside a git repository" in done.stderr


def test_importing_the_command_imports_nothing_heavy():
    """The command's module and the script's way to its guards load no heavy library."""
    import sys

    program = (
        "import sys, codebuddy.commands.hook, codebuddy.hook.commit; print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0
    heavy = {"git", "numpy", "tree_sitter", "sqlite3", "psutil", "rich", "llama_cpp"}
    assert not heavy & set(done.stdout.split())
