"""What git says of a repository, and nothing that a hostile repository could make git run.

The only module that imports git. A repository's own configuration can name programs that
git runs on mere reads (`core.fsmonitor`, filters, textconv, hooks); every call here is one
that runs none of them, with the rest switched off besides. It does not read files and
does not know what an index is, only where it belongs.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from codebuddy import paths, platforms
from codebuddy.errors import NotInRepositoryError, RepositoryError, UsageError
from codebuddy.isolation import clean_environment
from codebuddy.private_files import remedy_for, why_not_private

GIT_TIMEOUT_S = 60.0
# 5,000 commits of the largest repositories tried take 0.3 s.
HISTORY_TIMEOUT_S = 20.0
_MAX_HISTORY_BYTES = 64 << 20

# Command-line configuration wins over the repository's own.
SAFE_CONFIG = (
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "safe.bareRepository=explicit",
)
SAFE_ENVIRONMENT = {
    "GIT_NO_LAZY_FETCH": "1",
    # Where git is too old for that: a fetch of a missing object could run a program that the
    # repository's own configuration names.
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    # UTF-8, so that names are not quoted away; C, so that messages can be recognised.
    "LC_ALL": "C.UTF-8",
}
# The user's own choices. Every other GIT_* variable may have leaked from a hook or an alias
# and would point git at some other repository, index or program.
_KEPT_VARIABLES = frozenset(
    {
        "GIT_CEILING_DIRECTORIES",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_CONFIG_SYSTEM",
        "GIT_DISCOVERY_ACROSS_FILESYSTEM",
        "GIT_EXEC_PATH",
    }
)
_EXECUTABLE_VARIABLE = "GIT_PYTHON_GIT_EXECUTABLE"
_environment_lock = threading.Lock()
_COMMIT = re.compile(rb"\x01([0-9a-f]{40,64})(?:\n(.+))?", re.DOTALL)


@dataclass(frozen=True)
class Repository:
    """A work tree that git recognises.

    `git_folder` is the work tree's own (a linked worktree's lies in the main one's);
    `index_folder` is where derived data of this work tree belongs.
    """

    root: Path
    git_folder: Path
    index_folder: Path
    is_shallow: bool

    @property
    def refused_folder(self) -> str:
        """A sentence where the git folder has a place for derived data that is not used.

        Empty where the place instead of it cannot be made either, which is an error of its own.
        """
        own_place, place = self.git_folder / paths.APP, self.index_folder
        is_elsewhere = place.parent == paths.fallback_indexes_folder()
        reason = why_not_private(own_place) if is_elsewhere else ""
        nearest = next(each for each in (place, *place.parents) if each.exists())
        if not reason or not nearest.is_dir():
            return ""
        remedy = remedy_for(own_place)
        return f"the folder {own_place} is not used: {reason}; {place} is used instead ({remedy})"

    @cached_property
    def root_bytes(self) -> bytes:
        """The root as the system's own bytes."""
        return os.fsencode(self.root)

    def list_files(self) -> list[bytes]:
        """Paths of tracked and untracked-not-ignored files, relative to the root, sorted.

        A path may be gone from the work tree, or be a submodule's folder. Objects are not
        read, so that missing or damaged ones do no harm.
        """
        return self._listed("--cached", "--others")

    def list_ignored_files(self) -> list[bytes]:
        """Paths of files that git ignores, relative to the root, sorted."""
        return self._listed("--others", "--ignored")

    def list_tracked_files(self) -> list[bytes]:
        """Paths of files that git tracks, relative to the root, sorted."""
        return self._listed("--cached")

    def _listed(self, *selection: str) -> list[bytes]:
        out = _run(self.root, "ls_files", "-z", *selection, "--exclude-standard", "--full-name")
        # Conflicted files are listed once a stage; an embedded repository ends with a slash.
        return sorted({path.rstrip(b"/") for path in out.split(b"\0")} - {b""})

    def head_commit(self) -> str:
        """The commit that is checked out, or an empty text before the first commit."""
        try:
            out = _run(self.root, "rev_parse", "--quiet", "--verify", "HEAD")
        except RepositoryError:
            return ""
        return out.decode("ascii", "replace").strip()

    def recent_changes(self, max_commits: int) -> list[tuple[str, list[bytes]]]:
        """Commits from `HEAD` back that added or changed files, each with the paths of those.

        Empty where there is no history or it cannot be read; fewer where their paths take
        more than 64 MB. Only trees are compared: no content is read, and renames are not
        looked for.
        """
        try:
            out = _run(
                self.root,
                "log",
                "-z",
                "--name-only",
                f"--max-count={max_commits}",
                "--no-renames",
                "--diff-filter=d",
                # A repository's configuration could make git run a program for each of these.
                "--no-show-signature",
                "--no-ext-diff",
                "--no-textconv",
                "--format=format:%x01%H",
                "HEAD",
                "--",
                timeout_s=HISTORY_TIMEOUT_S,
                max_bytes=_MAX_HISTORY_BYTES,
            )
        except RepositoryError:
            return []
        commits: list[tuple[str, list[bytes]]] = []
        for part in out.split(b"\0"):
            # The first path stands on the line below its commit's.
            if begun := _COMMIT.fullmatch(part):
                commits.append((begun[1].decode(), [begun[2]] if begun[2] else []))
            elif part and commits:
                commits[-1][1].append(part)
        return commits


def subjects_by_commit(repository: Repository, max_commits: int) -> dict[str, str]:
    """Commits from `HEAD` back, each with the first line of its message; empty without history."""
    return _by_commit(repository, max_commits, "%s")


def authors_by_commit(repository: Repository, max_commits: int) -> dict[str, str]:
    """Commits from `HEAD` back, each with its author's address; empty without history."""
    return _by_commit(repository, max_commits, "%ae")


def _by_commit(repository: Repository, max_commits: int, what: str) -> dict[str, str]:
    try:
        out = _run(
            repository.root,
            "log",
            "-z",
            f"--max-count={max_commits}",
            "--no-show-signature",
            f"--format=format:%H {what}",
            "HEAD",
            "--",
            timeout_s=HISTORY_TIMEOUT_S,
            max_bytes=_MAX_HISTORY_BYTES,
        )
    except RepositoryError:
        return {}
    lines = (each.decode("utf-8", "replace").partition(" ") for each in out.split(b"\0"))
    return {commit: subject for commit, _, subject in lines if commit}


def open_repository(start: Path) -> Repository:
    """The repository whose work tree holds the folder `start`.

    Raises:
        NotInRepositoryError: `start` is outside any repository.
        UsageError: It is in a bare one, or not in a work tree.
        RepositoryError: git refuses (another owner, damaged configuration) or is missing.
    """
    start = Path(os.path.realpath(start))
    if not start.is_dir():
        raise UsageError(f"{start} is not a folder")
    flags = _run(
        start,
        "rev_parse",
        "--is-bare-repository",
        "--is-inside-work-tree",
        "--is-shallow-repository",
    ).split()
    if flags[:1] == [b"true"]:
        raise UsageError(
            f"{start} is a bare repository, which has no files to read",
            hint="run it in a clone or a worktree of it",
        )
    if flags[1:2] != [b"true"]:
        raise UsageError(f"{start} is not inside a work tree", hint="go to the repository's files")
    root = _path(_run(start, "rev_parse", "--show-toplevel"))
    git_folder = _path(_run(root, "rev_parse", "--absolute-git-dir"))
    own_place = root / _path(_run(root, "rev_parse", "--git-path", "codebuddy"))
    return Repository(
        root=root,
        git_folder=git_folder,
        index_folder=index_folder_of(own_place),
        is_shallow=flags[2:3] == [b"true"],
    )


def index_folder_of(own_place: Path) -> Path:
    """`own_place` if only this user can write it; else a folder in the cache folder."""
    nearest = own_place if own_place.exists() else own_place.parent
    if why_not_private(own_place) or not platforms.is_writable_folder(nearest):
        name = hashlib.sha256(os.fsencode(own_place)).hexdigest()[:32]
        return paths.fallback_indexes_folder() / name
    return own_place


def _path(out: bytes) -> Path:
    """A path that git printed; only the final newline is git's, others are the path's own."""
    return Path(os.fsdecode(out.removesuffix(b"\n")))


def _run(
    folder: Path,
    command: str,
    *arguments: str,
    timeout_s: float = GIT_TIMEOUT_S,
    max_bytes: int = 0,
) -> bytes:
    """git's stdout; its first `max_bytes` if it has more, unless that is 0.

    Raises:
        UsageError: `folder` is in no repository.
        RepositoryError: git failed, timed out or is missing; the message is git's own.
    """
    git_class, missing_error = _gitpython(git_executable())
    git = git_class()
    # GitPython expands $VARIABLES in a working folder's name; `-C` takes it literally.
    git.set_persistent_git_options(C=str(folder), c=list(SAFE_CONFIG), no_optional_locks=True)
    git.update_environment(**SAFE_ENVIRONMENT)
    try:
        with _without_leaked_variables():
            process: Any = getattr(git, command)(*arguments, as_process=True)
    except missing_error as error:
        raise _git_missing() from error
    except OSError as error:
        raise RepositoryError(f"git cannot be started: {error.strerror}") from error
    try:
        if max_bytes:
            out, complaint, is_cut = _read_part(process.proc, timeout_s, max_bytes)
        else:
            out, complaint = process.proc.communicate(timeout=timeout_s)
            is_cut = False
    except subprocess.TimeoutExpired as error:
        process.proc.kill()
        process.proc.communicate()
        raise RepositoryError(
            f"git {command.replace('_', '-')} in {folder} took more than {timeout_s:.0f} s"
        ) from error
    if process.proc.returncode != 0 and not is_cut:
        raise translated(folder, complaint.decode("utf-8", "surrogateescape"))
    return bytes(out)


def _read_part(process: Any, timeout_s: float, max_bytes: int) -> tuple[bytes, bytes, bool]:
    """What of a process's stdout fits `max_bytes`, its stderr, and whether there was more.

    Output that is cut ends after a NUL, as records of `-z` do.

    Raises:
        subprocess.TimeoutExpired: It was not done in time.
    """
    has_timed_out = threading.Event()

    def give_up() -> None:
        has_timed_out.set()
        process.kill()

    timer = threading.Timer(timeout_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        out = process.stdout.read(max_bytes + 1)
        is_cut = len(out) > max_bytes
        if is_cut:
            process.kill()
        _, complaint = process.communicate()
    finally:
        timer.cancel()
    if has_timed_out.is_set():
        raise subprocess.TimeoutExpired("git", timeout_s)
    return out[: out.rfind(b"\0", 0, max_bytes) + 1] if is_cut else out, complaint, is_cut


def git_executable() -> str:
    """git's absolute path; a relative entry of PATH could name a program of the repository."""
    found = platforms.find_program("git")
    if found is None:
        raise _git_missing()
    return found


def _gitpython(executable: str) -> tuple[Any, Any]:
    """GitPython's `Git` and its error for a missing program, set to run `executable`."""
    # Costs 0.13 s, so only commands that need git pay for it. The import itself runs
    # `git version`, with the program that this variable names.
    before = os.environ.get(_EXECUTABLE_VARIABLE)
    os.environ[_EXECUTABLE_VARIABLE] = executable
    try:
        from git.cmd import Git
        from git.exc import GitCommandNotFound
    except ImportError as error:
        raise _git_missing() from error
    finally:
        if before is None:
            del os.environ[_EXECUTABLE_VARIABLE]
        else:
            os.environ[_EXECUTABLE_VARIABLE] = before
    Git.GIT_PYTHON_GIT_EXECUTABLE = executable
    return Git, GitCommandNotFound


def _git_missing() -> RepositoryError:
    return RepositoryError("git is not installed", hint="install git and make sure PATH finds it")


def translated(folder: Path, complaint: str) -> UsageError | RepositoryError:
    """git's complaint as an error of ours."""
    text = complaint.strip()
    lowered = text.lower()
    if "not a git repository" in lowered:
        return NotInRepositoryError(
            f"{folder} is not inside a git repository", hint="go to one, or run 'git init'"
        )
    if "safe.barerepository" in lowered or "must be run in a work tree" in lowered:
        return UsageError(
            f"{folder} is a bare repository, which has no files to read",
            hint="run it in a clone or a worktree of it",
        )
    first, _, rest = text.partition("\n")
    return RepositoryError(
        f"git refuses to read {folder}: {first.removeprefix('fatal: ') or 'it gave no reason'}",
        hint=" ".join(rest.split()),
    )


def is_users_own_variable(name: str) -> bool:
    """Whether a variable of the environment is none of git's that may have leaked."""
    return not name.upper().startswith("GIT_") or name.upper() in _KEPT_VARIABLES


def git_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of `environment` git gets: nothing that leaked, and no place in the working folder."""
    clean = clean_environment(dict(environment))
    return {name: value for name, value in clean.items() if is_users_own_variable(name)}


@contextmanager
def _without_leaked_variables() -> Iterator[None]:
    """The clean environment without GIT_* variables while a child starts: GitPython copies
    `os.environ` and can only add."""
    with _environment_lock:
        before = dict(os.environ)
        wanted = git_environment(before)
        changed = {name for name, value in before.items() if wanted.get(name) != value}
        for name in changed:
            del os.environ[name]
            if name in wanted:
                os.environ[name] = wanted[name]
        try:
            yield
        finally:
            os.environ.update({name: before[name] for name in changed})
