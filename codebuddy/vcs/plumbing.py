"""git for the hooks: what is staged, and contents by name, with nothing that runs other programs.

A commit waits for every millisecond here, so git is run directly: GitPython alone takes longer
to import (0.07 to 0.13 s) than all these calls together. What may be asked and with which
options is the same as in `repository.py`, whose tables are used. It knows nothing of rules.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from codebuddy.errors import RepositoryError
from codebuddy.vcs.repository import (
    GIT_TIMEOUT_S,
    SAFE_CONFIG,
    SAFE_ENVIRONMENT,
    Repository,
    git_environment,
    git_executable,
    index_folder_of,
    open_repository,
    translated,
)

# Rename detection compares contents pair by pair; above so many it only compares names.
_RENAME_LIMIT = 200
_INDEX_VARIABLE = "GIT_INDEX_FILE"


@dataclass(frozen=True, slots=True)
class RawChange:
    """One changed path: `status` is A, M, D, R (renamed), C (copied) or T (type changed).

    `old_path` differs from `path` only where the file was renamed or copied. Object ids are
    empty where there is no content on that side; modes are as git writes them (`100644`).
    """

    status: str
    old_path: bytes
    path: bytes
    old_mode: str
    new_mode: str
    old_object: str
    new_object: str


@dataclass(frozen=True, slots=True)
class Revision:
    """A state of the repository that contents are read from.

    `commit` is a commit's id, or empty for the staged state; that one lies in `index_file`,
    or in git's usual place where that is `None`.
    """

    commit: str = ""
    index_file: Path | None = None

    def name_of(self, path: bytes) -> bytes:
        """The name under which git finds the content of `path`."""
        return self.commit.encode() + b":" + path


def open_repository_quickly(start: Path) -> Repository:
    """As `open_repository`, by one call of git where nothing is unusual.

    Raises:
        UsageError: `start` is in no work tree.
        RepositoryError: git refuses or is missing.
    """
    start = Path(os.path.realpath(start))
    try:
        out = run(
            start,
            "rev-parse",
            "--is-bare-repository",
            "--is-inside-work-tree",
            "--is-shallow-repository",
            "--show-toplevel",
            "--absolute-git-dir",
            "--git-path",
            "codebuddy",
        )
    except RepositoryError:
        out = b""
    lines = out.split(b"\n")
    # Another number of lines: a path holds a line break, or git refused. The slow way decides.
    if len(lines) != 7 or lines[:2] != [b"false", b"true"]:
        return open_repository(start)
    root, git_folder, own_place = (Path(os.fsdecode(line)) for line in lines[3:6])
    return Repository(
        root=root,
        git_folder=git_folder,
        index_folder=index_folder_of(Path(os.path.normpath(start / own_place))),
        is_shallow=lines[2] == b"true",
    )


def staged_index_file(repository: Repository, *, is_from_git: bool) -> Path | None:
    """The index file that holds what is being committed, if it is not the usual one.

    git hands a hook the file in a variable: `commit -a` and `commit PATH` stage into one of
    their own. Without git as the caller the variable may have leaked from another
    repository's hook, and counts only if it names a file of this repository.
    """
    named = os.environ.get(_INDEX_VARIABLE, "")
    if not named:
        return None
    file = Path(os.path.abspath(named))  # noqa: PTH100 (links are not to be resolved)
    if is_from_git or Path(os.path.realpath(file.parent)) == repository.git_folder:
        return file
    return None


def head_commit(repository: Repository) -> str:
    """The commit that is checked out, or an empty text before the first one.

    Raises:
        RepositoryError: There is one, and it cannot be read: all files would seem to be new.
    """
    try:
        out = run(repository.root, "rev-parse", "--quiet", "--verify", "HEAD^{commit}")
    except RepositoryError as error:
        if _is_unborn(repository):
            return ""
        raise RepositoryError(
            f"the commit that HEAD of {repository.root} names cannot be read",
            hint="see 'git fsck'; in a partial or shallow clone 'git fetch' may bring it",
        ) from error
    return out.decode("ascii", "replace").strip()


def _is_unborn(repository: Repository) -> bool:
    """Whether HEAD names a branch that has no commit yet."""
    try:
        branch = run(repository.root, "symbolic-ref", "--quiet", "HEAD").strip()
    except RepositoryError:
        return False
    name = os.fsdecode(branch)
    with suppress(RepositoryError):
        run(repository.root, "show-ref", "--verify", "--quiet", "--", name)
        return False
    # A file that is there and names no commit is damaged: git makes it whole at once.
    place = run(repository.root, "rev-parse", "--git-path", name).removesuffix(b"\n")
    return not os.path.lexists(repository.root / os.fsdecode(place))


def commit_named(repository: Repository, name: str) -> str:
    """The id of the commit that `name` means.

    Raises:
        RepositoryError: There is none.
    """
    try:
        arguments = ("--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")
        out = run(repository.root, "rev-parse", *arguments)
    except (RepositoryError, ValueError) as error:
        hint = _FETCH_MORE if repository.is_shallow else "see 'git log --oneline'"
        raise RepositoryError(
            f"{name} is not a commit of {_described(repository)}", hint=hint
        ) from error
    return out.decode("ascii", "replace").split()[-1]


def merge_base(repository: Repository, one: str, other: str) -> str:
    """The best common ancestor of two commits.

    Raises:
        RepositoryError: They have none, or none that this clone knows.
    """
    try:
        out = run(repository.root, "merge-base", one, other)
    except RepositoryError as error:
        hint = _FETCH_MORE if repository.is_shallow else "compare them as they are: A..B"
        raise RepositoryError(
            f"{one[:12]} and {other[:12]} have no common ancestor (merge base) in "
            f"{_described(repository)}",
            hint=hint,
        ) from error
    return out.decode("ascii", "replace").strip()


_FETCH_MORE = (
    "fetch more history: 'git fetch --unshallow', or 'git fetch --deepen=100' of both branches"
)


def _described(repository: Repository) -> str:
    kind = "the shallow clone " if repository.is_shallow else ""
    return f"{kind}{repository.root}"


def changes_between(repository: Repository, old: str, new: Revision) -> list[RawChange]:
    """What differs between the commit or tree `old` and the state `new`, by path.

    Only trees and, to recognise renames, contents are compared. No filter, textconv or
    external diff program runs, and no file of the work tree is looked at.

    Raises:
        RepositoryError: git failed.
    """
    options = ("--raw", "-z", "-r", "--no-ext-diff", "--no-textconv", "--full-index")
    renames = ("-M", f"-l{_RENAME_LIMIT}", "--ignore-submodules=dirty")
    if new.commit:
        out = run(repository.root, "diff-tree", *options, *renames, old, new.commit)
    else:
        call = ("diff-index", "--cached", *options[:2], *options[3:], *renames, old)
        out = run(repository.root, *call, index_file=new.index_file)
    return _parsed(out)


def paths_of(repository: Repository, revision: Revision) -> frozenset[bytes]:
    """Every path of the state `revision`, from its trees or its index file alone.

    Raises:
        RepositoryError: git failed.
    """
    if revision.commit:
        out = run(repository.root, "ls-tree", "-r", "-z", "--name-only", revision.commit)
    else:
        call = ("ls-files", "-z", "--cached", "--full-name")
        out = run(repository.root, *call, index_file=revision.index_file)
    return frozenset(out.split(b"\0")) - {b""}


def empty_tree(repository: Repository) -> str:
    """The id of the tree without entries, which every repository knows."""
    out = run(repository.root, "hash-object", "-t", "tree", os.devnull)
    return out.decode("ascii", "replace").strip()


def setting(repository: Repository, name: str) -> str:
    """A value of git's configuration, or an empty text."""
    try:
        out = run(repository.root, "config", "--null", "--get", name)
    except RepositoryError:
        return ""
    return out.split(b"\0")[0].decode("utf-8", "replace")


def recent_subjects(repository: Repository, count: int) -> list[str]:
    """The first lines of the last commits' messages, the newest first."""
    options = ("--no-show-signature", "--no-merges", f"--max-count={count}", "-z", "--format=%s")
    try:
        out = run(repository.root, "log", *options, "HEAD", "--")
    except RepositoryError:
        return []
    return [part.decode("utf-8", "replace") for part in out.split(b"\0") if part]


def _parsed(out: bytes) -> list[RawChange]:
    found: list[RawChange] = []
    fields = iter(out.split(b"\0"))
    for head in fields:
        if not head.startswith(b":"):
            continue
        old_mode, new_mode, old, new, status = head[1:].decode("ascii", "replace").split(" ")
        path = next(fields, b"")
        other = next(fields, b"") if status[0] in "RC" else path
        found.append(
            RawChange(status[0], path, other, old_mode, new_mode, _object(old), _object(new))
        )
    return found


def _object(text: str) -> str:
    return "" if not text.strip("0") else text


class ObjectReader:
    """Contents by name, from one `git cat-file` that stays open; safe from several threads.

    Sizes are asked for first, so that nothing large is ever taken in.
    """

    def __init__(self, repository: Repository, index_file: Path | None = None) -> None:
        self._repository = repository
        self._index_file = index_file
        self._sizes: subprocess.Popen[bytes] | None = None
        self._contents: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> ObjectReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End git."""
        for process in (self._sizes, self._contents):
            if process is not None:
                process.kill()
                process.communicate()
        self._sizes = self._contents = None

    def size_of(self, name: bytes) -> int | None:
        """Bytes of the content called `name` (an object id or `COMMIT:PATH`), `None` if none."""
        if b"\n" in name or not name:
            # git reads one name a line; older versions have no other separator.
            return None
        with self._lock:
            if self._sizes is None:
                self._sizes = self._started("--batch-check=%(objecttype) %(objectsize)")
            fields = self._ask(self._sizes, name).split()
        return int(fields[1]) if len(fields) == 2 and fields[0] == b"blob" else None

    def read(self, name: bytes, max_bytes: int) -> bytes | None:
        """The content called `name`; `None` if there is none or it is larger."""
        size = self.size_of(name)
        if size is None or size > max_bytes:
            return None
        with self._lock:
            if self._contents is None:
                self._contents = self._started("--batch=%(objecttype) %(objectsize)")
            fields = self._ask(self._contents, name).split()
            if len(fields) != 2:
                return None
            stream = _stream(self._contents.stdout)
            content = stream.read(int(fields[1]) + 1)
        return content[:-1] if len(content) == int(fields[1]) + 1 else None

    def _ask(self, process: subprocess.Popen[bytes], name: bytes) -> bytes:
        try:
            question = _stream(process.stdin)
            question.write(name + b"\n")
            question.flush()
            # An answer that is no blob's is one line; its words are counted by the caller.
            answer = _stream(process.stdout).readline()
        except OSError:
            return b""
        return b"" if answer.endswith((b" missing\n", b" ambiguous\n")) else answer

    def _started(self, batch: str) -> subprocess.Popen[bytes]:
        return _start(self._repository.root, ("cat-file", batch), self._index_file)


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def run(folder: Path, *arguments: str, index_file: Path | None = None) -> bytes:
    """git's stdout.

    Raises:
        UsageError: `folder` is in no repository.
        RepositoryError: git failed, timed out or is missing; the message is git's own.
    """
    process = _start(folder, arguments, index_file)
    try:
        out, complaint = process.communicate(timeout=GIT_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.communicate()
        raise RepositoryError(
            f"git {arguments[0]} in {folder} took more than {GIT_TIMEOUT_S:.0f} s"
        ) from error
    if process.returncode != 0:
        raise translated(folder, complaint.decode("utf-8", "surrogateescape"))
    return out


def _start(
    folder: Path, arguments: Sequence[str], index_file: Path | None
) -> subprocess.Popen[bytes]:
    options = [part for setting in SAFE_CONFIG for part in ("-c", setting)]
    environment = git_environment(os.environ)
    environment.update(SAFE_ENVIRONMENT)
    if index_file is not None:
        environment[_INDEX_VARIABLE] = str(index_file)
    try:
        return subprocess.Popen(
            [
                git_executable(),
                "-C",
                str(folder),
                *options,
                "--no-optional-locks",
                "--literal-pathspecs",
                *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if arguments[0] != "cat-file" else subprocess.DEVNULL,
            env=environment,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RepositoryError(f"git cannot be started: {reason}") from error
