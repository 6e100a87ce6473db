"""The promises of the commit hook: what is committed is what was staged, and nothing is in the way.

Each commit is made twice from the same state, without the hook and with it; the trees must be
the same. The staged changes hold a leftover `breakpoint()`, so that the hook has something to
say, and says it where it runs at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.hook import Project

pytestmark = pytest.mark.process

LEFTOVER = "def f():\n    x = 1\n    breakpoint()\n    return x\n"


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A hook that takes its time, so that a busy machine changes no answer."""
    monkeypatch.setenv("CODEBUDDY_HOOK_LIMIT_MS", "60000")
    monkeypatch.setenv("CODEBUDDY_HOOK_BUDGET_S", "0")


def fresh(folder: Path) -> Project:
    """A repository with a history of two branches and a hook-less past."""
    project = Project(folder, {"a.py": "x = 1\n", "b.py": "y = 1\n", "c.py": "z = 1\n"})
    project.git("switch", "-q", "-c", "side")
    project.stage({"side.py": "side = 1\n"})
    project.git("commit", "-qm", "Side")
    project.git("switch", "-q", "main")
    project.index()
    return project


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file of a folder with its digest, but for codebuddy's own."""
    left_out = (".git", "codebuddy")
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.relative_to(folder).parts[0] not in left_out
    }


def plain(project):
    """git commit."""
    project.stage({"a.py": LEFTOVER})
    return ["commit", "-m", "Change"]


def all_tracked(project):
    """git commit -a, which stages into an index file of its own."""
    project.write({"a.py": LEFTOVER, "b.py": "y = 2\n"})
    return ["commit", "-am", "Change"]


def some_hunks(project):
    """git commit -p: one hunk of two."""
    lines = "".join(f"line_{n} = {n}\n" for n in range(30))
    project.stage({"a.py": lines})
    project.git("commit", "-qm", "Lines", "--no-verify")
    project.write({"a.py": LEFTOVER + lines + "last = 1\n"})
    return ["commit", "-p", "-m", "Change"]


def one_path(project):
    """git commit PATH: what is staged besides stays staged."""
    project.stage({"b.py": "y = 3\n"})
    project.write({"a.py": LEFTOVER})
    return ["commit", "-m", "Change", "a.py"]


def included_path(project):
    """git commit -i PATH: the path and what is staged."""
    project.stage({"b.py": "y = 3\n"})
    project.write({"a.py": LEFTOVER})
    return ["commit", "-i", "-m", "Change", "a.py"]


def partly_staged(project):
    """The work tree holds more than what is staged."""
    project.stage({"a.py": LEFTOVER})
    project.write({"a.py": LEFTOVER + "unstaged = 1\n", "b.py": None})
    return ["commit", "-m", "Change"]


def amend(project):
    """git commit --amend with a change."""
    project.stage({"a.py": LEFTOVER})
    return ["commit", "--amend", "-m", "Changed"]


def amend_message(project):
    """git commit --amend of the message alone: what is in the commit was reviewed before."""
    project.stage({"a.py": LEFTOVER})
    project.git("commit", "-qm", "Main", "--no-verify")
    return ["commit", "--amend", "-m", "Main again"]


def merge(project):
    """git merge, which makes its commit itself."""
    project.stage({"a.py": LEFTOVER})
    project.git("commit", "-qm", "Main", "--no-verify")
    return ["merge", "--no-edit", "side"]


def concluded_merge(project):
    """git commit after a merge that stopped."""
    project.stage({"side.py": LEFTOVER})
    project.git("commit", "-qm", "Main", "--no-verify")
    subprocess.run(["git", "-C", str(project.root), "merge", "side"], capture_output=True)
    project.stage({"side.py": LEFTOVER})
    return ["commit", "--no-edit"]


def rebase(project):
    """git rebase."""
    project.stage({"a.py": LEFTOVER})
    project.git("commit", "-qm", "Main", "--no-verify")
    return ["rebase", "side"]


def cherry_pick(project):
    """git cherry-pick."""
    return ["cherry-pick", "side"]


def revert(project):
    """git revert."""
    project.stage({"a.py": LEFTOVER})
    project.git("commit", "-qm", "Main", "--no-verify")
    return ["revert", "--no-edit", "HEAD"]


SAYS_SOMETHING = [plain, all_tracked, some_hunks, one_path, included_path, partly_staged, amend]
SAYS_NOTHING = [amend_message, merge, concluded_merge, rebase, cherry_pick, revert]


def committed(project, arrange, *, has_hook):
    """Arrange, commit, and return the tree, the leftovers of the state, and what was said."""
    command = arrange(project)
    if has_hook:
        assert project.codebuddy("hook", "install").returncode == 0
    done = subprocess.run(
        ["git", "-C", str(project.root), *command],
        input="y\nn\n",
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_EDITOR": "true"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tree = project.git("rev-parse", "HEAD^{tree}")
    staged = project.git("ls-files", "-s")
    files = {
        str(file.relative_to(project.root)): file.read_bytes()
        for file in sorted(project.root.rglob("*"))
        if file.is_file() and ".git" not in file.parts
    }
    return (tree, staged, files), done.stdout + done.stderr


@pytest.mark.parametrize("arrange", SAYS_SOMETHING + SAYS_NOTHING, ids=lambda each: each.__name__)
def test_the_commit_is_what_it_would_be_without_the_hook(tmp_path, arrange):
    """Tree, index and work tree are the same with the hook; it speaks only of what people wrote."""
    without, _ = committed(fresh(tmp_path / "without"), arrange, has_hook=False)
    with_hook, told = committed(fresh(tmp_path / "with"), arrange, has_hook=True)
    assert with_hook == without
    assert ("CB108" in told) == (arrange in SAYS_SOMETHING), told


def test_a_commit_in_a_worktree_is_what_was_staged(tmp_path):
    """A linked worktree has its own index file; the hook reads that one."""
    project = fresh(tmp_path / "project")
    project.git("worktree", "add", "-q", "-b", "linked", str(tmp_path / "linked"))
    linked = Project.__new__(Project)
    linked.root = tmp_path / "linked"
    assert linked.codebuddy("hook", "install").returncode == 0
    linked.index()
    linked.stage({"a.py": LEFTOVER})
    expected = linked.git("write-tree")
    done = linked_commit = subprocess.run(
        ["git", "-C", str(linked.root), "commit", "-m", "Change"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "a.py:3:5 CB108" in linked_commit.stderr
    assert linked.git("rev-parse", "HEAD^{tree}") == expected


def test_a_commit_in_a_submodule_is_what_was_staged(tmp_path):
    """In a submodule the hook speaks of the submodule's files."""
    inner = Project(tmp_path / "inner", {"a.py": "x = 1\n"})
    outer = Project(tmp_path / "outer", {"b.py": "y = 1\n"})
    outer.git("submodule", "add", "-q", str(inner.root), "sub")
    sub = Project.__new__(Project)
    sub.root = outer.root / "sub"
    assert sub.codebuddy("hook", "install").returncode == 0
    sub.stage({"a.py": LEFTOVER})
    expected = sub.git("write-tree")
    done = subprocess.run(
        ["git", "-C", str(sub.root), "commit", "-m", "Change"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "a.py:3:5 CB108" in done.stderr
    assert sub.git("rev-parse", "HEAD^{tree}") == expected


def test_the_first_commit_of_a_repository(tmp_path):
    """Without a commit, everything staged is new."""
    root = tmp_path / "project"
    project = Project(root, {})
    shutil.rmtree(root / ".git")
    project.git("init", "-q")
    project.codebuddy("hook", "install")
    project.stage({"a.py": LEFTOVER})
    done = subprocess.run(
        ["git", "-C", str(root), "commit", "-m", "First"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "a.py:3:5 CB108" in done.stderr


def test_a_retired_rule_that_is_switched_on_is_told_at_a_commit(tmp_path):
    """Settings of an earlier version cost one line, and no finding."""
    settings = "[hook]\nenable = ['CB107']\ndisable = ['CB105']\n"
    project = Project(tmp_path / "project", {"b.py": "y = 1\n", ".codebuddy.toml": settings})
    project.codebuddy("hook", "install")
    for files, is_found in (({"a.py": LEFTOVER}, True), ({"c.py": "z = 1\n"}, False)):
        project.stage(files)
        done = subprocess.run(
            ["git", "-C", str(project.root), "commit", "-m", "Change"],
            capture_output=True,
            text=True,
        )
        lines = done.stderr.splitlines()
        assert (done.returncode, "a.py:3:5 CB108" in done.stderr) == (0, is_found)
        assert lines[-1] == (
            "codebuddy: CB107 is retired and finds nothing any more: "
            "take it out of hook.enable and hook.disable"
        )


def test_the_hook_changes_nothing_in_the_git_folder(tmp_path):
    """Refs, configuration, stash and everything else outside codebuddy's folder stay."""
    project = fresh(tmp_path / "project")
    project.write({"b.py": "y = 9\n"})
    project.git("stash", "push", "-q")
    project.stage({"a.py": LEFTOVER})
    project.codebuddy("hook", "install")
    before = fingerprint(project.root / ".git"), fingerprint(project.root)
    index = (project.root / ".git" / "index").read_bytes()
    done = subprocess.run(
        [str(project.root / ".git" / "hooks" / "pre-commit")],
        cwd=project.root,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "CB108" in done.stdout) == (0, True)
    assert (fingerprint(project.root / ".git"), fingerprint(project.root)) == before
    assert (project.root / ".git" / "index").read_bytes() == index


def test_a_leaked_index_of_another_repository_is_not_read_by_hand(tmp_path):
    """By hand, a GIT_INDEX_FILE of some other repository does not count."""
    project = fresh(tmp_path / "project")
    other = Project(tmp_path / "other", {"a.py": "x = 1\n"})
    other.stage({"a.py": LEFTOVER})
    done = project.codebuddy(
        "hook", "run", "--format", "json", GIT_INDEX_FILE=str(other.root / ".git" / "index"),
        GIT_DIR=str(other.root / ".git"), GIT_WORK_TREE=str(other.root),
    )  # fmt: skip
    assert '"found": 0' in done.stdout


def test_two_commits_at_once_in_two_worktrees(tmp_path):
    """Each of them is what was staged there."""
    project = fresh(tmp_path / "project")
    project.codebuddy("hook", "install")
    roots = [project.root]
    for name in ("one", "two"):
        project.git("worktree", "add", "-q", "-b", name, str(tmp_path / name))
        roots.append(tmp_path / name)
    trees = []
    for root in roots:
        (root / "a.py").write_text(LEFTOVER + f"name = {root.name!r}\n")
        project.git("-C", str(root), "add", "-A")
        trees.append(project.git("-C", str(root), "write-tree"))
    running = [
        subprocess.Popen(
            ["git", "-C", str(root), "commit", "-qm", "Change"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for root in roots
    ]
    told = [each.communicate()[1] for each in running]
    assert [each.returncode for each in running] == [0, 0, 0]
    assert all(b"CB108" in each for each in told)
    assert [project.git("-C", str(root), "rev-parse", "HEAD^{tree}") for root in roots] == trees


def test_a_hostile_configuration_runs_nothing(tmp_path):
    """Every key of git that names a program is armed; the review runs none of them."""
    project = fresh(tmp_path / "project")
    ran = tmp_path / "ran"
    program = tmp_path / "program.sh"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {ran}\ncat\n')
    program.chmod(0o755)
    project.write({".gitattributes": "*.py filter=evil diff=evil merge=evil\n"})
    project.stage({"a.py": LEFTOVER})
    for key in (
        "core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "filter.evil.process",
        "diff.evil.textconv", "diff.evil.command", "diff.external", "merge.evil.driver",
        "core.pager", "core.editor", "core.sshCommand", "credential.helper", "gpg.program",
    ):  # fmt: skip
        project.git("config", key, str(program))
    project.git("config", "log.showSignature", "true")
    # A planted module beside the files must not be imported in the place of a real one.
    project.write({"click.py": f"open({str(ran)!r}, 'w')\n", "codebuddy.py": "raise SystemExit\n"})
    done = project.codebuddy("hook", "run", "--from-git", "pre-commit")
    assert (done.returncode, "CB108" in done.stdout) == (0, True)
    assert not ran.exists()


def test_message_hook_leaves_a_message_alone_without_a_model(tmp_path):
    """Nothing is offered where no engine runs; the message is what the author gave."""
    project = fresh(tmp_path / "project")
    project.codebuddy("hook", "install", "--message", CODEBUDDY_HOOK_BUDGET_S="2")
    project.stage({"a.py": "x = 2\n"})
    for arguments in (["-m", "Given"], []):
        editor = "sed -i 1iEdited"
        done = subprocess.run(
            ["git", "-C", str(project.root), "commit", "--allow-empty", *arguments],
            capture_output=True,
            env={**os.environ, "GIT_EDITOR": editor, "CODEBUDDY_HOOK_BUDGET_S": "2"},
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert project.git("log", "--format=%B", "-2").split() == ["Edited", "Given"]
