"""A repository that may only be read: the review speaks and nothing in it changes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from tests.support.hook import Project

_CALL = """
    import os
    import sys
    from codebuddy.cli import main

    import codebuddy.hook.commit

    def run(folder, *arguments):
        os.chdir(folder)
        sys.argv = ["codebuddy", "hook", "run", *arguments]
        try:
            return main()
        except SystemExit as ending:
            return ending.code or 0

    # Loads every library, which the other user may not be able to read.
    run({warm!r})
    if os.geteuid() == 0:
        os.setuid(65534)
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        os.environ[name] = {cache!r}
    os.environ["HOME"] = "/nonexistent"
    print("---", flush=True)
    sys.exit(run({root!r}, *{arguments!r}))
"""


def changed(project):
    """A staged leftover and a caller that was forgotten."""
    project.stage({"a.py": "def f(x):\n    breakpoint()\n    return x\n"})


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments",
    [[], ["--from-git", "pre-commit"]],
    ids=["by hand", "from git"],
)
def test_a_repository_that_may_only_be_read(tmp_path, arguments, monkeypatch):
    """Findings are told, without a patch that could not be kept, and the folder stays as it is."""
    monkeypatch.setenv("CODEBUDDY_HOOK_LIMIT_MS", "60000")
    # A folder that another user may read, which the test's own is not.
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        base.chmod(0o755)
        (base / "cache").mkdir(mode=0o777)
        (base / "cache").chmod(0o777)
        (base / "gitconfig").write_text("[safe]\n    directory = *\n")
        project = Project(base / "project", {"a.py": "def f():\n    return 1\n"})
        changed(project)
        warm = Project(tmp_path / "warm", {"a.py": "def f():\n    return 1\n"})
        changed(warm)
        folders = [project.root, *(each for each in project.root.rglob("*") if each.is_dir())]
        for each in folders:
            each.chmod(0o555)
        before = {file: file.stat().st_mtime_ns for file in project.root.rglob("*")}
        values = {"warm": str(warm.root), "root": str(project.root), "cache": str(base / "cache")}
        code = textwrap.dedent(_CALL.format(arguments=arguments, **values))
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "GIT_CONFIG_GLOBAL": str(base / "gitconfig"),
            },
            check=False,
        )
        after = {file: file.stat().st_mtime_ns for file in project.root.rglob("*")}
        for each in folders:
            each.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert "a.py:2:5 CB108" in done.stdout.partition("---")[2]
    assert after == before
