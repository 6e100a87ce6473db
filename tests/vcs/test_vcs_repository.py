"""git is asked safely: hostile configuration runs nothing, refusals are git's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from codebuddy.errors import RepositoryError, UsageError
from codebuddy.vcs.repository import open_repository
from tests.support.index import clean_dump, database, dump, index, make_repository, module, write
from tests.support.index import run_git as git


def _names(root: Path) -> set[str]:
    return {os.fsdecode(path) for path in open_repository(root).list_files()}


def _commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-qm", "state")


def test_files_are_those_that_git_sees(tmp_path):
    """Tracked, staged and untracked files count; ignored and deleted ones do not."""
    root = make_repository(tmp_path / "r", {"kept.py": "", "gone.py": "", ".gitignore": "*.log\n"})
    _commit(root)
    write(root, {"new.py": "", "noise.log": "", "sub/staged.py": ""})
    git(root, "add", "sub/staged.py")
    git(root, "rm", "-q", "gone.py")
    assert _names(root) == {"kept.py", ".gitignore", "new.py", "sub/staged.py"}


def test_a_staged_deletion_of_a_file_that_stays_is_still_seen(tmp_path):
    """`git rm --cached` leaves an untracked file, which counts once."""
    root = make_repository(tmp_path / "r", {"a.py": "x = 1\n"})
    _commit(root)
    git(root, "rm", "-q", "--cached", "a.py")
    assert open_repository(root).list_files() == [b"a.py"]
    assert index(root).files == 1


def test_outside_a_repository_is_a_usage_error(tmp_path):
    """The sentence names the folder, the exit code is 2."""
    with pytest.raises(UsageError, match="is not inside a git repository") as caught:
        open_repository(tmp_path)
    assert caught.value.exit_code == 2
    assert str(tmp_path) in caught.value.message


def test_a_bare_repository_is_a_usage_error(tmp_path):
    """A bare repository has no files; so has the inside of a git folder."""
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    root = make_repository(tmp_path / "r", {"a.py": ""})
    for folder in (tmp_path / "bare.git", root / ".git"):
        with pytest.raises(UsageError, match=r"bare repository|not inside a work tree"):
            open_repository(folder)


def test_a_bare_repository_embedded_in_another_is_refused(tmp_path):
    """A folder that looks like a repository, planted in a clone, configures nothing."""
    root = make_repository(tmp_path / "r", {"a.py": ""})
    marker = tmp_path / "ran"
    git(root, "init", "-q", "--bare", "planted")
    git(root / "planted", "config", "core.fsmonitor", f"touch {marker}")
    with pytest.raises(UsageError, match="bare repository"):
        open_repository(root / "planted")
    assert index(root).files >= 1
    assert not marker.exists()


def test_hostile_configuration_runs_nothing(tmp_path):
    """Every program that a repository can name for git to run on reads stays unrun."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha"), "b.txt": "words\n"})
    write(root, {".gitattributes": "* filter=evil diff=evil merge=evil\n"})
    _commit(root)
    marker = tmp_path / "ran"
    script = tmp_path / "evil.sh"
    script.write_text(f"#!/bin/sh\necho $0 $@ >> {marker}\ncat\n")
    script.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in (
        "post-index-change",
        "post-checkout",
        "fsmonitor-watchman",
        "reference-transaction",
    ):
        shutil.copy(script, hooks / name)
    for key in (
        "core.fsmonitor filter.evil.clean filter.evil.smudge filter.evil.process"
        " diff.evil.textconv diff.evil.command merge.evil.driver core.pager core.editor"
        " core.sshCommand core.askPass credential.helper diff.external interactive.diffFilter"
        " gpg.program core.alternateRefsCommand uploadpack.packObjectsHook pager.ls-files"
        " alias.ls-files alias.rev-parse"
    ).split():
        git(root, "config", key, str(script))
    git(root, "config", "core.hooksPath", str(hooks))
    git(root, "config", "filter.evil.required", "true")
    git(root, "config", "log.showSignature", "true")
    # An edit of the same size makes git ask the clean filter wherever it compares content.
    write(root, {"b.txt": "sword\n"})
    index(root)
    index(root, force=True)
    open_repository(root).head_commit()
    open_repository(root).list_ignored_files()
    assert open_repository(root).recent_changes(5)
    assert not marker.exists(), marker.read_text()
    subprocess.run(["git", "-C", root, "status"], capture_output=True)
    assert marker.exists(), "the trap itself must work"


@pytest.mark.process
def test_modules_planted_in_the_repository_are_not_imported(tmp_path):
    """Neither this process nor its workers run Python of the repository they stand in."""
    marker = tmp_path / "ran"
    trap = f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n"
    planted = "numpy codebuddy sqlite3 json pickle zlib tree_sitter git pathspec rank_bm25".split()
    root = make_repository(tmp_path / "r", {f"{name}.py": trap for name in planted})
    write(root, {f"{name}/__init__.py": trap for name in ("codebuddy", "numpy", "encodings")})
    write(root, {f"m{i}.py": module(f"name_{i}") for i in range(70)})
    done = subprocess.run(
        [sys.executable, "-P", "-m", "codebuddy", "index", "--jobs", "2"],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("83 files, ")
    assert not marker.exists()


def test_leaked_variables_do_not_lead_elsewhere(tmp_path, monkeypatch):
    """In a hook's environment of another repository, this one is still the one that is read."""
    other = make_repository(tmp_path / "other", {"secret_plan.py": ""})
    _commit(other)
    root = make_repository(tmp_path / "r", {"a.py": ""})
    _commit(root)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other / ".git" / "objects"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.worktree")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(other))
    found = open_repository(root)
    assert (found.root, found.list_files()) == (root, [b"a.py"])
    assert os.environ["GIT_DIR"] == str(other / ".git"), "the process keeps its own environment"


def test_a_linked_worktree_has_its_own_index(tmp_path):
    """Main tree and worktree lie in one repository and share neither files nor index."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha")})
    _commit(root)
    git(root, "worktree", "add", "-q", str(tmp_path / "w"), "-b", "topic")
    write(tmp_path / "w", {"only_here.py": module("beta")})
    main, linked = open_repository(root), open_repository(tmp_path / "w")
    assert linked.root == tmp_path / "w"
    assert main.index_folder == root / ".git" / "codebuddy"
    assert linked.index_folder == root / ".git" / "worktrees" / "w" / "codebuddy"
    assert (index(root).files, index(tmp_path / "w").files) == (1, 2)
    assert git(root, "status", "--porcelain") == ""


def test_a_submodule_is_left_out_and_is_a_repository_of_its_own(tmp_path):
    """The outer index skips the submodule's folder; inside it the submodule has its own."""
    inner = make_repository(tmp_path / "inner", {"inner.py": module("inner")})
    _commit(inner)
    root = make_repository(tmp_path / "r", {"outer.py": module("outer")})
    git(root, "submodule", "--quiet", "add", str(inner), "sub")
    _commit(root)
    report = index(root)
    assert (report.files, report.skipped) == (2, {"submodule": 1})
    sub = open_repository(root / "sub")
    assert sub.root == root / "sub"
    assert sub.index_folder == root / ".git" / "modules" / "sub" / "codebuddy"
    assert index(root / "sub").files == 1


@pytest.mark.parametrize(
    "name",
    [
        b"new\nline.py",
        b"tab\there.py",
        b"not-utf8-\xff\xfe.py",
        b"-option.py",
        b"--",
        b"q\"uo'te.py",
    ]
    + [b"sp ace/$HOME.py", "naïve-查.py".encode(), b"esc\x1b[2J.py"],
    ids=repr,
)
def test_any_file_name_is_indexed_under_its_own_bytes(tmp_path, name):
    """Newlines, tabs, broken encodings and options are names like others."""
    root = make_repository(tmp_path / "r")
    path = os.fsencode(root) + b"/" + name
    file = Path(os.fsdecode(path))
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"value = 1\n")
    _commit(root)
    assert open_repository(root).list_files() == [name]
    assert index(root).files == 1
    assert list(dump(database(root))["files"]) == [repr(name)]


def test_names_that_differ_in_case_or_normal_form_are_distinct(tmp_path):
    """Two files stay two, however alike their names look."""
    names = ["a.py", "A.py", "caf\u00e9.py", "cafe\u0301.py"]
    root = make_repository(tmp_path / "r", {name: f"x = {name!r}\n" for name in names})
    assert index(root).files == 4


def test_a_root_with_a_dollar_or_newline_in_its_name_is_taken_literally(tmp_path):
    """No variable is expanded and no line is cut in the repository's own path."""
    root = make_repository(tmp_path / "$HOME\nand ~more", {"a.py": ""})
    assert open_repository(root).root == root
    assert index(root).files == 1


def test_a_stale_lock_of_git_is_no_obstacle_and_stays(tmp_path):
    """`index.lock` of a crashed git is neither waited for nor deleted."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha")})
    _commit(root)
    lock = root / ".git" / "index.lock"
    lock.write_bytes(b"")
    assert index(root).files == 1
    assert lock.exists()


def test_missing_objects_are_not_needed(tmp_path):
    """A repository that lost its objects is indexed from the work tree."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha"), "b/c.py": module("beta")})
    _commit(root)
    commit = git(root, "rev-parse", "HEAD").strip()
    shutil.rmtree(root / ".git" / "objects")
    (root / ".git" / "objects").mkdir()
    found = open_repository(root)
    assert (found.list_files(), found.head_commit()) == ([b"a.py", b"b/c.py"], commit)
    assert index(root).files == 2


def test_a_merge_in_progress_is_indexed_as_it_stands(tmp_path):
    """A conflicted file counts once, with its markers."""
    root = make_repository(tmp_path / "r", {"a.py": "value = 1\n"})
    _commit(root)
    git(root, "checkout", "-qb", "topic")
    write(root, {"a.py": "value = 2\n"})
    _commit(root)
    git(root, "checkout", "-q", "-")
    write(root, {"a.py": "value = 3\n"})
    _commit(root)
    merge = subprocess.run(["git", "-C", root, "merge", "topic"], capture_output=True)
    assert merge.returncode != 0
    assert open_repository(root).list_files() == [b"a.py"]
    assert index(root).files == 1
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")


def test_a_shallow_clone_is_recognised(tmp_path):
    """`is_shallow` says so, and nothing is fetched."""
    root = make_repository(tmp_path / "r", {"a.py": ""})
    _commit(root)
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{root}", "shallow")
    assert open_repository(tmp_path / "shallow").is_shallow is True
    assert open_repository(root).is_shallow is False


def test_no_commit_yet_has_no_head(tmp_path):
    """Before the first commit the head is empty and files are still seen."""
    root = make_repository(tmp_path / "r", {"a.py": ""})
    assert open_repository(root).head_commit() == ""
    assert open_repository(root).list_files() == [b"a.py"]


def test_damaged_configuration_is_told_in_gits_words(tmp_path):
    """The message carries git's own reason and is a known error."""
    root = make_repository(tmp_path / "r", {"a.py": ""})
    (root / ".git" / "config").write_text("[core\n")
    with pytest.raises(RepositoryError, match=r"git refuses to read .*bad config") as caught:
        open_repository(root)
    assert caught.value.exit_code == 1


@pytest.mark.process
def test_another_owners_repository_is_refused_by_git(tmp_path):
    """git's refusal is shown; `safe.directory` is not edited."""
    root = make_repository(tmp_path / "r", {"a.py": ""})
    before = Path(os.environ["GIT_CONFIG_GLOBAL"]).read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", _AS_OTHER_OWNER, str(root)], capture_output=True, text=True
    )
    assert done.stdout == "RepositoryError: dubious ownership\n", done.stderr
    assert Path(os.environ["GIT_CONFIG_GLOBAL"]).read_bytes() == before


# git compares owners with GIT_TEST_ASSUME_DIFFERENT_OWNER set as if they differed, but our
# scrubbing removes it, so a wrapper named git sets it: what runs behind it is the real one.
_AS_OTHER_OWNER = """
import os, shutil, stat, sys, tempfile
from pathlib import Path
folder = Path(tempfile.mkdtemp())
real = shutil.which("git")
wrapper = folder / "git"
wrapper.write_text(f'#!/bin/sh\\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {real} "$@"\\n')
wrapper.chmod(0o755)
os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
from codebuddy.errors import RepositoryError
from codebuddy.vcs.repository import open_repository
try:
    open_repository(Path(sys.argv[1]))
except RepositoryError as error:
    print(f"RepositoryError: {'dubious ownership' if 'dubious' in error.message else error}")
shutil.rmtree(folder)
"""


def test_git_that_is_missing_is_named(tmp_path, monkeypatch):
    """Without git on PATH the error says so, with the remedy."""
    root = make_repository(tmp_path / "r", {"a.py": ""})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RepositoryError, match="git is not installed"):
        open_repository(root)


@pytest.mark.process
def test_a_git_planted_in_the_repository_is_not_run(tmp_path):
    """A relative entry of PATH does not make the repository's own `git` run."""
    root = make_repository(tmp_path / "r", {"a.py": ""})
    marker = tmp_path / "ran"
    (root / "git").write_text(f"#!/bin/sh\ntouch {marker}\n")
    (root / "git").chmod(0o755)
    # A process of its own, because the first import of the git library already runs git.
    code = (
        "from pathlib import Path; from codebuddy.vcs.repository import open_repository\n"
        "print(open_repository(Path.cwd()).list_files())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f".{os.pathsep}{os.environ['PATH']}"},
    )
    assert done.stdout == "[b'a.py', b'git']\n", done.stderr
    assert not marker.exists()


def test_recent_changes_are_the_commits_from_the_head_back(tmp_path):
    """Each commit comes with the files it added or changed, names untouched; deletions do not."""
    root = make_repository(tmp_path / "r", {"a.py": "1", "two\nlines.py": "2"})
    assert open_repository(root).recent_changes(10) == []
    _commit(root)
    git(root, "commit", "-qm", "nothing", "--allow-empty")
    write(root, {"a.py": "3"})
    git(root, "rm", "-q", "two\nlines.py")
    _commit(root)
    found = open_repository(root).recent_changes(10)
    assert [paths for _, paths in found] == [[b"a.py"], [b"a.py", b"two\nlines.py"]]
    assert found[0][0] == open_repository(root).head_commit()
    assert len(open_repository(root).recent_changes(1)) == 1
