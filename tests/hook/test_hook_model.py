"""What only the model says: a body for a stub as a patch, a message as comment lines."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.hook import Project

pytestmark = pytest.mark.process

# `echo` answers with the last line before the cursor, here a body that is a text.
STUB = "def clean(name):\n    'Go'\n    pass\n"


@pytest.fixture
def project(tmp_path, engine, monkeypatch):
    """A repository with both hooks, and an engine that runs the model `echo`."""
    for name, value in {
        "CODEBUDDY_MODEL_NAME": "echo",
        "CODEBUDDY_HOOK_LIMIT_MS": "60000",
        "CODEBUDDY_HOOK_BUDGET_S": "60",
    }.items():
        monkeypatch.setenv(name, value)
    project = Project(tmp_path / "project", {"a.py": "x = 1\n"})
    project.index()
    assert project.codebuddy("hook", "install", "--message").returncode == 0
    assert project.codebuddy("engine", "start").returncode == 0
    return project


def commit(project, *arguments, editor="true"):
    """Commit and return what was said."""
    done = subprocess.run(
        ["git", "-C", str(project.root), "commit", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_EDITOR": editor},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_stub_gets_a_body_as_a_patch(project):
    """The commit keeps the stub; the patch goes to the work tree when it is asked for."""
    project.stage({"b.py": STUB})
    told = commit(project, "-m", "Add a stub")
    assert "b.py:3:5 CB106 clean() is a stub; the model has a body for it" in told
    assert project.git("show", "HEAD:b.py") == STUB
    assert project.codebuddy("hook", "apply", "CB106").returncode == 0
    assert (project.root / "b.py").read_text() == STUB.replace("pass", "'Go'")


EMPTY_ON_PURPOSE = (
    "def clean(name):\n    'Go'\n    return name\n",
    "from abc import ABC\n\n\nclass A(ABC):\n    def clean(self):\n        'Go'\n        ...\n",
    "@abstractmethod\ndef clean(name):\n    'Go'\n    pass\n",
    "def on_close(name):\n    'Go'\n    pass\n",
    "def clean(name): pass\n",
    "class Failed(Exception):\n    'Go'\n    pass\n",
    "def clean(\n",
)


def test_what_is_empty_on_purpose_is_no_stub(project):
    """Interfaces, callbacks, exceptions and finished functions are left alone."""
    project.stage({f"b{number}.py": text for number, text in enumerate(EMPTY_ON_PURPOSE)})
    project.stage({"stub.py": STUB})
    told = commit(project, "-m", "Add it")
    assert [line.split(":")[0] for line in told.split("\n") if "CB106" in line] == ["stub.py"]


def test_by_hand_the_model_speaks_if_it_is_waited_for(project):
    """`hook run --wait` has the time that a commit has not; without it the model is left out."""
    project.stage({"b.py": STUB})
    assert "CB106" not in project.codebuddy("hook", "run").stdout
    told = project.codebuddy("hook", "run", "--wait", "60").stdout
    assert "b.py:3:5 CB106 clean() is a stub; the model has a body for it" in told


def test_an_old_stub_is_no_news(project):
    """Only new code is completed."""
    project.stage({"b.py": STUB})
    commit(project, "-m", "Add a stub", "--no-verify")
    project.stage({"b.py": STUB + "\n\nx = 1\n"})
    assert "CB106" not in commit(project, "-m", "Add more")


def test_without_a_budget_the_model_is_not_asked(project, monkeypatch):
    """`hook.budget_s = 0` switches the model off for commits."""
    monkeypatch.setenv("CODEBUDDY_HOOK_BUDGET_S", "0")
    project.stage({"b.py": STUB})
    assert "CB106" not in commit(project, "-m", "Add a stub")


def test_a_message_is_offered_as_a_comment(project):
    """The editor shows the proposal; the message is what the author wrote."""
    seen = project.root.parent / "seen"
    project.stage({"a.py": "x = 2\n"})
    commit(project, editor=f'sh -c \'cp "$0" {seen}; sed -i 1iMine "$0"\'')
    assert "\n# codebuddy suggests: " in seen.read_text()
    assert project.git("log", "-1", "--format=%B").strip() == "Mine"


def test_a_message_that_is_not_asked_for_is_not_offered(project):
    """A given, taken or amended message, and modes that keep comments, stay as they are."""
    for number, (arguments, setting) in enumerate(
        [
            (["-m", "Given"], "strip"),
            (["--amend"], "strip"),
            (["-C", "HEAD"], "strip"),
            ([], "verbatim"),
            ([], "whitespace"),
        ]
    ):
        project.git("config", "commit.cleanup", setting)
        project.stage({"a.py": f"x = {number + 2}\n"})
        commit(project, *arguments, editor="sed -i 1iMine")
        assert "codebuddy suggests" not in project.git("log", "-1", "--format=%B")
        written = project.root / ".git" / "COMMIT_EDITMSG"
        assert "codebuddy suggests" not in written.read_text()


# Also where the file is empty.
WRITES_FIRST = """sh -c 'text=$(cat "$0"); printf "Mine\\n%s\\n" "$text" >"$0"'"""
TEMPLATE = "Say what\n\n- [ ] tests\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["commit", "--cleanup=whitespace"],
        ["commit", "--cleanup", "verbatim"],
        ["commit", "--clean=scissors"],
        ["-c", "commit.cleanup=whitespace", "commit"],
        ["-c", "commit.status=false", "commit", "-t", "../template"],
        ["-c", "commit.status=false", "commit", "--cleanup=whitespace"],
        ["-c", "alias.ci=commit --cleanup=whitespace", "ci"],
        ["-c", "core.commentChar=;", "-c", "commit.cleanup=verbatim", "commit"],
    ],
)
def test_what_git_would_keep_is_not_written(project, arguments):
    """Modes and templates of this call alone: nothing is added that stays in the commit."""
    (project.root.parent / "template").write_text(TEMPLATE)
    project.stage({"a.py": "x = 2\n"})
    done = subprocess.run(
        ["git", "-C", str(project.root), *arguments],
        env={**os.environ, "GIT_EDITOR": WRITES_FIRST},
        check=False,
    )
    assert done.returncode == 0
    assert "codebuddy suggests" not in project.git("log", "-1", "--format=%B")
    written = project.root / ".git" / "COMMIT_EDITMSG"
    assert "codebuddy suggests" not in written.read_text()


def test_another_comment_character_is_kept_to(project):
    """The proposal begins as git's own comment lines do."""
    project.git("config", "core.commentChar", ";")
    seen = project.root.parent / "seen"
    project.stage({"a.py": "x = 2\n"})
    commit(project, editor=f'sh -c \'cp "$0" {seen}; sed -i 1iMine "$0"\'')
    assert "\n; codebuddy suggests: " in seen.read_text()
    assert project.git("log", "-1", "--format=%B").strip() == "Mine"
