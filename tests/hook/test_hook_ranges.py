"""A range that cannot be reviewed is refused: never another one in its place."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.hook import Project

pytestmark = pytest.mark.process

LEFTOVER = "def f():\n    breakpoint()\n    return 1\n"


@pytest.fixture
def origin(tmp_path):
    """Two branches that parted long ago; only `main` has what the hook would blame."""
    origin = Project(tmp_path / "origin", {"a.py": "x = 1\n", "old.py": "y = 1\n"})
    for number in range(6):
        origin.stage({"a.py": f"x = {number + 2}\n"})
        origin.git("commit", "-qm", f"Shared {number}")
    origin.git("checkout", "-q", "-b", "topic")
    for number in range(4):
        origin.stage({"own.py": f"z = {number}\n"})
        origin.git("commit", "-qm", f"Own {number}")
    origin.git("checkout", "-q", "main")
    for number in range(4):
        origin.stage({f"other{number}.py": LEFTOVER, "old.py": LEFTOVER})
        origin.git("commit", "-qm", f"Other {number}")
    origin.index()
    return origin


def clone(origin, tmp_path, *options):
    """A clone with both branches, as CI makes it, `topic` checked out."""
    root = tmp_path / "clone"
    subprocess.run(
        ["git", "clone", "-q", "--no-single-branch", *options, f"file://{origin.root}", str(root)],
        check=True,
        env=os.environ,
    )
    cloned = Project.__new__(Project)
    cloned.root = root
    cloned.git("checkout", "-q", "topic")
    cloned.index()
    return cloned


def run(project, *arguments, **environment):
    return project.codebuddy("hook", "run", "--no-update", "--strict", *arguments, **environment)


def test_two_reviews_at_once_are_refused(origin):
    """`--all` is no part of a range."""
    done = run(origin, "--all", "--range", "main..topic")
    assert done.returncode == 2
    assert "two different reviews" in done.stderr


def test_a_shallow_clone_without_the_merge_base_is_refused(origin, tmp_path):
    """The error names what is missing and how to get it; after that the same call works."""
    shallow = clone(origin, tmp_path, "--depth=2")
    done = run(shallow, "--range", "origin/main...topic")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "origin/main...topic cannot be reviewed" in done.stderr
    assert "merge base" in done.stderr
    assert "shallow clone" in done.stderr
    assert "git fetch --unshallow" in done.stderr
    assert "--deepen" in done.stderr
    shallow.git("fetch", "-q", "--unshallow")
    done = run(shallow, "--range", "origin/main...topic")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_unrelated_histories_are_refused(origin):
    """In a whole clone there is nothing to fetch: the two-dot range is what is left."""
    origin.git("checkout", "-q", "--orphan", "alone")
    origin.git("commit", "-qm", "Alone")
    done = run(origin, "--range", "main...alone")
    assert done.returncode == 1
    assert "no common ancestor" in done.stderr
    assert "unshallow" not in done.stderr
    assert "A..B" in done.stderr
    assert run(origin, "--range", "main..alone").returncode == 0


@pytest.mark.parametrize("side", ["gone..HEAD", "HEAD..gone", "gone...HEAD", "HEAD~3..HEAD"])
def test_a_revision_that_a_shallow_clone_does_not_have_is_named(origin, tmp_path, side):
    shallow = clone(origin, tmp_path, "--depth=2")
    done = run(shallow, "--range", side)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "is not a commit of the shallow clone" in done.stderr
    assert "git fetch --unshallow" in done.stderr


def test_a_branch_that_names_no_commit_does_not_make_all_files_new(origin):
    """A branch file that a crash emptied, or that names a lost commit, is no empty repository."""
    branch = origin.root / ".git" / "refs" / "heads" / "main"
    whole = branch.read_text()
    for content in ("", "no commit\n", "1" * 40 + "\n"):
        branch.write_text(content)
        done = run(origin, "--staged")
        assert (done.returncode, done.stdout) == (1, ""), content
        assert "HEAD" in done.stderr
        assert "cannot be read" in done.stderr
    branch.write_text(whole)
    assert run(origin, "--staged").returncode == 0


def test_before_the_first_commit_everything_is_new(tmp_path):
    """An unborn branch is no damage."""
    project = Project(tmp_path / "project", {"a.py": "x = 1\n"})
    project.git("checkout", "-q", "--orphan", "first/of/all")
    project.write({"a.py": LEFTOVER})
    project.git("add", "-A")
    project.index()
    assert "a.py:2:5 CB108" in run(project, "--staged").stdout


def lose(project, name):
    """Take a content out of the object store."""
    object_id = project.git("rev-parse", name).strip()
    (project.root / ".git" / "objects" / object_id[:2] / object_id[2:]).unlink()


@pytest.mark.parametrize("side", ["HEAD~1:old.py", "HEAD:old.py"])
def test_a_content_that_git_does_not_have_blames_nobody_and_is_told(tmp_path, side):
    """Without the older text all lines would be new; what was not looked at is not in order."""
    project = Project(tmp_path / "project", {"old.py": LEFTOVER, "b.py": "x = 1\n"})
    project.stage({"old.py": LEFTOVER + "\n\nx = 1\n"})
    project.git("commit", "-qm", "Add a line")
    project.index()
    lose(project, side)
    done = run(project, "--range", "HEAD~1..HEAD")
    assert done.stdout == ""
    assert "warning: old.py was not reviewed" in done.stderr
    assert done.returncode == 1
    answer = run(project, "--range", "HEAD~1..HEAD", "--json").stdout
    assert '"missing": ["old.py"]' in answer
