"""Installing and uninstalling: nobody's hook is lost, and nobody else's folder is written to."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

from codebuddy.hook import stub
from tests.hook_support import Project

THEIRS = "#!/bin/sh\necho theirs ran\nexit ${THEIR_STATUS:-0}\n"


@pytest.fixture
def project(tmp_path):
    """A repository with one file."""
    return Project(tmp_path / "project", {"a.py": "x = 1\n"})


def hook_file(project, name="pre-commit"):
    """Where git looks for the hook."""
    return project.root / ".git" / "hooks" / name


def put_theirs(project, text=THEIRS, mode=0o755):
    """Somebody else's pre-commit hook."""
    file = hook_file(project)
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def test_install_status_uninstall(project):
    """What install writes, status sees and uninstall takes away; nothing else changes."""
    before = sorted(each.name for each in hook_file(project).parent.iterdir())
    done = project.codebuddy("hook", "install", "--message")
    assert done.returncode == 0
    assert "installed" in done.stdout
    for name in stub.HOOKS:
        text = hook_file(project, name).read_text()
        assert stub.version_of(text) == stub.VERSION
        assert hook_file(project, name).stat().st_mode & stat.S_IXUSR
    assert "pre-commit: installed (" in project.codebuddy("hook", "status").stdout
    done = project.codebuddy("hook", "uninstall")
    assert done.stdout == "uninstalled pre-commit, prepare-commit-msg\n"
    assert sorted(each.name for each in hook_file(project).parent.iterdir()) == before
    done = project.codebuddy("hook", "uninstall")
    assert done.stdout == "no hook of codebuddy's is installed\n"


def test_a_hook_that_was_there_is_chained_and_restored(project):
    """Their hook runs first, its exit status counts, and uninstall puts it back bit for bit."""
    file = put_theirs(project)
    assert "runs first" in project.codebuddy("hook", "install").stdout
    project.stage({"a.py": "x = 2\n"})
    run = ["git", "-C", str(project.root), "commit", "-m", "Change"]
    refused = subprocess.run(
        run, capture_output=True, text=True, env={**os.environ, "THEIR_STATUS": "3"}, check=False
    )
    assert refused.returncode == 1
    assert "theirs ran" in refused.stderr
    assert project.git("log", "--format=%s").split() == ["Begin"]
    accepted = subprocess.run(run, capture_output=True, text=True, check=False)
    assert accepted.returncode == 0
    assert "theirs ran" in accepted.stderr
    project.codebuddy("hook", "uninstall")
    assert file.read_text() == THEIRS
    assert stat.S_IMODE(file.stat().st_mode) == 0o755
    assert not file.with_name("pre-commit.codebuddy-legacy").exists()


def test_installing_twice_keeps_the_chain(project):
    """A second install does not take our own hook for somebody else's."""
    put_theirs(project)
    project.codebuddy("hook", "install")
    project.codebuddy("hook", "install")
    legacy = hook_file(project).with_name("pre-commit.codebuddy-legacy")
    assert legacy.read_text() == THEIRS
    project.codebuddy("hook", "uninstall")
    assert hook_file(project).read_text() == THEIRS


def test_a_hook_that_git_would_not_run_is_not_run(project):
    """A hook without the executable bit was off, and stays off."""
    put_theirs(project, mode=0o644)
    project.codebuddy("hook", "install")
    project.stage({"a.py": "x = 2\n"})
    done = subprocess.run(
        ["git", "-C", str(project.root), "commit", "-m", "Change"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "theirs ran" not in done.stderr


def test_a_hook_that_is_a_link_is_moved_as_a_link(project):
    """A link to a tracked script stays one."""
    project.write({"scripts/check.sh": THEIRS})
    (project.root / "scripts" / "check.sh").chmod(0o755)
    hook_file(project).symlink_to("../../scripts/check.sh")
    project.codebuddy("hook", "install")
    legacy = hook_file(project).with_name("pre-commit.codebuddy-legacy")
    assert str(legacy.readlink()) == "../../scripts/check.sh"
    project.codebuddy("hook", "uninstall")
    assert str(hook_file(project).readlink()) == "../../scripts/check.sh"


def test_two_hooks_in_the_way_are_never_overwritten(project):
    """Where the place to move to is taken, nothing is changed."""
    project.codebuddy("hook", "install")
    put_theirs(project)
    legacy = hook_file(project).with_name("pre-commit.codebuddy-legacy")
    legacy.write_text("#!/bin/sh\necho older\n")
    done = project.codebuddy("hook", "install")
    assert done.returncode == 1
    assert "cannot be moved aside" in done.stderr
    assert hook_file(project).read_text() == THEIRS
    assert "older" in legacy.read_text()


@pytest.mark.parametrize("scope", ["--local", "--global"])
def test_a_hooks_path_elsewhere_is_explained_and_not_written(project, tmp_path, scope):
    """`core.hooksPath` may serve other repositories: the remedy is a line to add there."""
    folder = tmp_path / "shared-hooks"
    folder.mkdir()
    project.git("config", scope, "core.hooksPath", str(folder))
    done = project.codebuddy("hook", "install")
    assert done.returncode == 1
    assert f"core.hooksPath sends git to {folder}" in done.stderr
    assert "codebuddy hook run --staged || true" in done.stderr
    assert list(folder.iterdir()) == []
    assert not hook_file(project).exists()


def test_a_hooks_path_within_the_git_folder_is_used(project):
    """A folder of this repository's own is where the hook goes."""
    project.git("config", "core.hooksPath", ".git/my-hooks")
    assert project.codebuddy("hook", "install").returncode == 0
    assert (project.root / ".git" / "my-hooks" / "pre-commit").exists()


def test_husky_is_told_apart(project):
    """husky's folder belongs to husky; the line goes into its pre-commit file."""
    (project.root / ".husky" / "_").mkdir(parents=True)
    project.git("config", "core.hooksPath", ".husky/_")
    done = project.codebuddy("hook", "install")
    assert done.returncode == 1
    assert "husky keeps the hooks" in done.stderr
    assert f"add this line to {project.root / '.husky' / 'pre-commit'}" in done.stderr
    assert list((project.root / ".husky" / "_").iterdir()) == []


def test_a_hook_is_taken_away_after_hooks_were_sent_elsewhere(project):
    """Husky may come later; what was left in the usual place is still ours to remove."""
    project.codebuddy("hook", "install", "--message")
    project.git("config", "core.hooksPath", ".husky/_")
    done = project.codebuddy("hook", "uninstall")
    assert (done.returncode, done.stdout) == (0, "uninstalled pre-commit, prepare-commit-msg\n")
    again = project.codebuddy("hook", "uninstall")
    assert again.returncode == 1
    assert "husky keeps the hooks" in again.stderr
    project.git("config", "--unset", "core.hooksPath")
    assert "pre-commit: not installed" in project.codebuddy("hook", "status").stdout


def test_a_hooks_folder_that_is_a_link_is_not_followed(project, tmp_path):
    """A link out of the git folder leads to somebody else's."""
    folder = tmp_path / "tracked-hooks"
    folder.mkdir()
    hooks = project.root / ".git" / "hooks"
    for each in hooks.iterdir():
        each.unlink()
    hooks.rmdir()
    hooks.symlink_to(folder)
    done = project.codebuddy("hook", "install")
    assert done.returncode == 1
    assert "is a link to" in done.stderr
    assert list(folder.iterdir()) == []


def test_worktrees_share_the_hook(project, tmp_path):
    """Installed from a linked worktree, the hook lies where git looks for all of them."""
    project.git("worktree", "add", "-q", str(tmp_path / "linked"))
    linked = Project.__new__(Project)
    linked.root = tmp_path / "linked"
    assert linked.codebuddy("hook", "install").returncode == 0
    assert stub.version_of(hook_file(project).read_text()) == stub.VERSION


def test_a_submodule_has_its_own_hook(project, tmp_path):
    """In a submodule the hook lies in the submodule's git folder."""
    inner = Project(tmp_path / "inner", {"b.py": "y = 1\n"})
    project.git("submodule", "add", "-q", str(inner.root), "sub")
    sub = Project.__new__(Project)
    sub.root = project.root / "sub"
    assert sub.codebuddy("hook", "install").returncode == 0
    assert (project.root / ".git" / "modules" / "sub" / "hooks" / "pre-commit").exists()
    assert not hook_file(project).exists()


def test_a_hooks_folder_that_cannot_be_written_is_named(project):
    """A file where the folder should be stands for a folder that cannot be written."""
    folder = hook_file(project).parent
    for each in folder.iterdir():
        each.unlink()
    folder.rmdir()
    folder.write_text("")
    done = project.codebuddy("hook", "install")
    assert done.returncode == 1
    assert f"the hook cannot be written in {folder}" in done.stderr
    assert folder.read_text() == ""


def test_status_tells_a_hook_whose_interpreter_is_gone(project):
    """After the environment was deleted, status says so and what to do."""
    project.codebuddy("hook", "install")
    file = hook_file(project)
    file.write_text(stub.script("pre-commit", project.root / "gone" / "python", 2))
    told = project.codebuddy("hook", "status").stdout
    assert "python is gone; 'codebuddy hook install' renews it" in told
    assert project.codebuddy("hook", "install").returncode == 0
    assert "pre-commit: installed (" in project.codebuddy("hook", "status").stdout


def test_the_script_is_posix_and_its_python_is_read_back(tmp_path):
    """dash accepts the script whatever the path holds, and the path comes back as it was."""
    python = tmp_path / "it's a $(touch x) `path`" / "python"
    for name in stub.HOOKS:
        text = stub.script(name, python, 2)
        done = subprocess.run(["dash", "-n"], input=text, text=True, capture_output=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert stub.python_of(text) == python
        assert stub.version_of(text) == stub.VERSION
    assert stub.version_of(THEIRS) is None
