"""Installing and uninstalling: nobody's hook is lost, and nobody else's folder is written to."""

from __future__ import annotations

import json
import os
import stat
import subprocess

import pytest

from codebuddy.hook import stub
from tests.support.hook import Project

pytestmark = pytest.mark.process

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
    told = project.codebuddy("hook", "status")
    assert told.returncode == 0
    assert f"hooks: core.hooksPath sends git to {folder}" in told.stdout
    assert "codebuddy hook run --staged || true" in told.stdout
    assert "CB101 on " in told.stdout
    found = json.loads(project.codebuddy("hook", "status", "--json").stdout)
    assert found["hooks"] == []
    assert str(folder) in found["elsewhere"]


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


MINE = '# mine\nif [ -n "$LOUD" ]; then\n    echo mine ran\nfi\n'


def added(text, place):
    """The script with the user's own lines at its top, in its middle or at its end."""
    head, _, rest = text.partition("\n")
    if place == "top":
        return f"{head}\n{MINE}{rest}"
    if place == "end":
        return text + MINE
    before, guard, after = text.partition("[ -z ")
    return before + MINE + guard + after


@pytest.mark.parametrize("place", ["top", "middle", "end"])
def test_lines_of_the_user_survive_a_second_install(project, place):
    """They stay where they were, once, and the script is ours still."""
    project.codebuddy("hook", "install")
    file = hook_file(project)
    clean = file.read_text()
    file.write_text(added(clean, place))
    for _ in range(2):
        assert project.codebuddy("hook", "install").returncode == 0
        assert file.read_text() == added(clean, place)
    assert "pre-commit: installed (" in project.codebuddy("hook", "status").stdout
    done = subprocess.run(["dash", "-n", str(file)], capture_output=True)
    assert done.returncode == 0


@pytest.mark.parametrize("place", ["top", "middle", "end"])
@pytest.mark.parametrize("mode", [0o755, 0o700, 0o644])
def test_uninstall_leaves_the_lines_of_the_user(project, place, mode):
    """The script is theirs then: nothing of ours is in it, and its mode is what it was."""
    project.codebuddy("hook", "install")
    file = hook_file(project)
    file.write_text(added(file.read_text(), place))
    file.chmod(mode)
    done = project.codebuddy("hook", "uninstall")
    assert done.stdout == "uninstalled pre-commit\n"
    assert f"your own lines are kept in {file}" in done.stderr
    assert file.read_text() == f"#!/bin/sh\n{MINE}"
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert "pre-commit: somebody else's" in project.codebuddy("hook", "status").stdout


def test_uninstall_keeps_added_lines_beside_a_hook_that_comes_back(project):
    """The hook from before is put back bit for bit; what was added to ours lies beside it."""
    put_theirs(project)
    project.codebuddy("hook", "install")
    file = hook_file(project)
    file.write_text(file.read_text() + MINE)
    done = project.codebuddy("hook", "uninstall", "--json")
    kept = file.with_name("pre-commit.own-lines")
    assert json.loads(done.stdout) == {"uninstalled": ["pre-commit"], "own_lines": [str(kept)]}
    assert file.read_text() == THEIRS
    assert kept.read_text() == f"#!/bin/sh\n{MINE}"
    assert not kept.stat().st_mode & stat.S_IXUSR


def test_another_shell_of_the_user_stays(project):
    """Who added lines may have chosen their shell."""
    project.codebuddy("hook", "install")
    file = hook_file(project)
    text = file.read_text().replace("#!/bin/sh\n", f"#!/bin/bash\n{MINE}")
    file.write_text(text)
    project.codebuddy("hook", "install")
    assert file.read_text() == text
    project.codebuddy("hook", "uninstall")
    assert file.read_text() == f"#!/bin/bash\n{MINE}"


def test_a_script_with_windows_line_ends_is_known_as_ours(project):
    """An editor may have changed them; no shell runs such a script, so install mends it."""
    project.codebuddy("hook", "install")
    file = hook_file(project)
    clean = file.read_text()
    file.write_bytes((clean + MINE).replace("\n", "\r\n").encode())
    project.codebuddy("hook", "install")
    assert file.read_bytes() == (clean + MINE).encode()
    assert not file.with_name("pre-commit.codebuddy-legacy").exists()
    file.write_bytes(clean.replace("\n", "\r\n").encode())
    project.codebuddy("hook", "uninstall")
    assert not file.exists()


def test_bytes_that_are_no_utf8_are_kept(project):
    """A line of the user in an older encoding comes through as it is."""
    project.codebuddy("hook", "install")
    file = hook_file(project)
    file.write_bytes(file.read_bytes() + b"# caf\xe9\n")
    project.codebuddy("hook", "install")
    assert file.read_bytes().endswith(b"# caf\xe9\n")
    project.codebuddy("hook", "uninstall")
    assert file.read_bytes() == b"#!/bin/sh\n# caf\xe9\n"


@pytest.mark.parametrize("kind", ["symbolic", "hard"])
def test_our_script_behind_a_link_is_written_through_it(project, kind):
    """Who keeps hooks among other files, and links them, keeps both."""
    project.codebuddy("hook", "install")
    file = hook_file(project)
    other = project.root.parent / "dotfiles-hook"
    file.rename(other)
    if kind == "symbolic":
        file.symlink_to(other)
    else:
        os.link(other, file)
    other.write_text(other.read_text().replace("python=", "python=/gone"))
    assert project.codebuddy("hook", "install").returncode == 0
    assert file.is_symlink() == (kind == "symbolic")
    assert file.samefile(other)
    assert "python=/gone" not in other.read_text()
    project.codebuddy("hook", "uninstall")
    assert not os.path.lexists(file)
    assert other.exists()


def test_a_read_only_script_is_named(project):
    """Who took the right to write away has a reason."""
    project.codebuddy("hook", "install")
    file = hook_file(project)
    file.write_text(file.read_text() + MINE)
    file.chmod(0o555)
    before = file.read_text()
    for verb in ("install", "uninstall"):
        done = project.codebuddy("hook", verb)
        assert done.returncode == 1
        assert "read-only" in done.stderr
        assert file.read_text() == before


FORMER = """\
#!/bin/sh
# codebuddy-hook-3e0c1a7d 2
# Written by 'codebuddy hook install'; 'codebuddy hook uninstall' takes it away again.
# Suggests, and never stops a commit. 'git commit --no-verify' goes without it.

python=/usr/bin/python3
here=$(dirname -- "$0")
legacy=$here/pre-commit.codebuddy-legacy

# The hook that was here before decides as it always did.
if [ -x "$legacy" ]; then
    "$legacy" "$@" || exit $?
fi

# A commit made while this hook runs is none of its business.
[ -z "${_CODEBUDDY_HOOK:-}" ] || exit 0
_CODEBUDDY_HOOK=1
export _CODEBUDDY_HOOK
[ -x "$python" ] || exit 0

git_folder=$(git rev-parse --git-dir 2>/dev/null) || exit 0
for state in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD rebase-merge rebase-apply; do
    [ ! -e "$git_folder/$state" ] || exit 0
done

# Set before anything is started, and for what was started last until its number is known.
stop='kill -KILL "${child:-$!}" 2>/dev/null; kill "${watchdog:-$!}" 2>/dev/null; exit 0'
trap "$stop" INT TERM HUP
"$python" -P -m codebuddy hook run --from-git pre-commit </dev/null 2>/dev/null &
child=$!
(
    trap 'kill "${pause:-$!}" 2>/dev/null; exit 0' TERM
    sleep 3 &
    pause=$!
    wait "$pause" && kill -KILL "$child"
) </dev/null >/dev/null 2>&1 &
watchdog=$!
wait "$child" 2>/dev/null
kill "$watchdog" 2>/dev/null
exit 0
"""


# What the first version had in the place of the lines from `# Set before` on.
FIRST = (
    FORMER.partition("\n# Set before")[0].replace("7d 2", "7d 1")
    + """
"$python" -P -m codebuddy hook run --from-git pre-commit </dev/null 2>/dev/null &
child=$!
(
    sleep 3 &
    pause=$!
    trap 'kill "$pause" 2>/dev/null; exit 0' TERM
    wait "$pause" && kill -KILL "$child"
) </dev/null >/dev/null 2>&1 &
watchdog=$!
trap 'kill -KILL "$child" 2>/dev/null; kill "$watchdog" 2>/dev/null; exit 0' INT TERM HUP
wait "$child" 2>/dev/null
kill "$watchdog" 2>/dev/null
exit 0
"""
)


@pytest.mark.parametrize("former", [FIRST, FORMER], ids=["1", "2"])
@pytest.mark.parametrize("lines", ["", MINE])
def test_a_script_of_an_earlier_version_is_ours_but_for_added_lines(project, lines, former):
    """What an earlier codebuddy wrote is replaced and taken away whole."""
    file = put_theirs(project, former + lines)
    project.codebuddy("hook", "install")
    project.codebuddy("hook", "install")
    clean = file.read_text()
    assert clean.endswith(f"exit 0\n{lines}")
    assert 'here=$(dirname -- "$0")' not in clean or stub.VERSION == 2
    python = stub.python_of(clean)
    assert python is not None
    assert clean.removesuffix(lines) == stub.script(
        "pre-commit", python, int(clean.partition("    sleep ")[2].partition(" ")[0])
    )
    for text in (clean, former + lines):
        file.write_text(text)
        project.codebuddy("hook", "uninstall")
        assert (file.read_text() if file.exists() else "") == (f"#!/bin/sh\n{lines}" * bool(lines))
        project.codebuddy("hook", "uninstall")
