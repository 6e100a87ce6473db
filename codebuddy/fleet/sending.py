"""A repository's code sent to the worker that has its task, where the worker has not got it.

The driver packs what is committed, the worker unpacks it into a folder of its own, does the task
there and deletes the folder, whatever came of it. What the task made beside the index comes back
with the answer, and the driver puts it where the repository's own command would have.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from codebuddy import heads, paths, platforms
from codebuddy.errors import CodebuddyError, RepositoryError
from codebuddy.fleet.tasks import Outcome, run_task
from codebuddy.index.schema import DATABASE_NAME
from codebuddy.inference import own_adapters
from codebuddy.private_files import make_folder, read_file, write_file
from codebuddy.vcs.repository import Repository, open_repository
from codebuddy.vcs.worktrees import adapters_folder

# What each verb leaves beside the index, and what of it a further run goes on from.
_MADE: dict[str, Sequence[str]] = {
    "index": (DATABASE_NAME,),
    "train head": (heads.LABELS_NAME, heads.HEAD_NAME),
}
_GONE_ON_FROM: dict[str, Sequence[str]] = {"train head": (heads.LABELS_NAME, heads.HEAD_NAME)}
_MAX_MADE_BYTES = 512 << 20
_ADAPTERS = "adapters"
_LOCK_NAME = "in-use.lock"
_INDEX_WAIT_S, _NEW_S = 60.0, 60.0


def head_of(root: str) -> str:
    """The commit that is checked out; empty where it cannot be told."""
    try:
        return open_repository(Path(root)).head_commit()
    except CodebuddyError:
        return ""


def run_where_it_lies(root: str, job: Mapping[str, Any], head: str) -> dict[str, Any]:
    """As `run_task`, if the repository lies there for this worker, too.

    Args:
        root: The repository's path for the driver.
        job: What is to be done.
        head: The commit that is checked out there; another one is another repository.

    Returns:
        The outcome, or `{"is_elsewhere": True}`.
    """
    if head and head_of(root) != head:
        return {"is_elsewhere": True}
    return run_task(root, job)


def pack_for(root: str, verb: str) -> dict[str, Any]:
    """What the worker needs of the repository.

    Raises:
        CodebuddyError: It cannot be packed, or is too large.
    """
    from codebuddy.vcs.parcels import pack

    repository = open_repository(Path(root))
    return {
        "name": Path(root).name,
        "code": pack(Path(root)),
        "files": _files_of(repository, _GONE_ON_FROM.get(verb, ())),
    }


def run_sent(root: str, job: Mapping[str, Any], parcel: Mapping[str, Any]) -> dict[str, Any]:
    """As `run_task` on code that was sent; `files` of the answer are what came of it besides."""
    from codebuddy.vcs.parcels import unpack

    try:
        with _own_folder(str(parcel["name"])) as folder:
            unpack(parcel["code"], folder)
            repository = open_repository(folder)
            make_folder(repository.index_folder)
            for name, content in parcel["files"].items():
                write_file(repository.index_folder / name, content)
            found = run_task(str(folder), job)
            found["files"] = _made_by(repository, job["verb"])
    except CodebuddyError as error:
        found = Outcome(root, error=error.message, hint=error.hint).as_json()
    except OSError as error:
        said = f"its worker has no room for the code: {error.strerror}"
        found = Outcome(root, error=said, hint="set XDG_CACHE_HOME there").as_json()
    return found | {"root": root}


def take_home(root: str, verb: str, files: Mapping[str, bytes]) -> None:
    """Put what a worker made beside the repository's own index.

    Raises:
        CodebuddyError: It cannot be written, or is not what the verb makes.
    """
    adapters = {
        name: content
        for name, content in files.items()
        if verb == "train adapter"
        and name.startswith(f"{_ADAPTERS}/")
        and _is_adapters(name.partition("/")[2])
    }
    if unknown := set(files) - set(_MADE.get(verb, ())) - set(adapters):
        raise RepositoryError(f"the worker sent files that nobody asked for: {sorted(unknown)}")
    if not files:
        return
    repository = open_repository(Path(root))
    folder = repository.index_folder
    try:
        make_folder(folder)
        if adapters:
            _take_adapters(repository, adapters)
        for name in set(files) - set(adapters):
            if name == DATABASE_NAME:
                _take_index(folder, files[name])
            else:
                write_file(folder / name, files[name])
    except (OSError, TimeoutError) as error:
        raise RepositoryError(
            f"what its worker made cannot be kept in {folder}: {error}",
            hint=paths.remedy_for(folder),
        ) from error


def _take_index(folder: Path, content: bytes) -> None:
    from codebuddy.index import schema
    from codebuddy.index.in_place import put_in_place
    from codebuddy.index.seeding import LOCK_NAME, NEW_NAME

    with platforms.exclusive_lock(folder / LOCK_NAME, _INDEX_WAIT_S):
        new = folder / NEW_NAME
        try:
            write_file(new, content)
            schema.connect(new, is_writer=False).close()
            put_in_place(folder)
        finally:
            new.unlink(missing_ok=True)


def _files_of(repository: Repository, names: Sequence[str]) -> dict[str, bytes]:
    """The files of these names beside the index, of those that are there.

    Raises:
        OSError: One cannot be read, or is too large to be sent.
    """
    found = {}
    for name in names:
        with suppress(FileNotFoundError):
            found[name] = read_file(repository.index_folder / name, _MAX_MADE_BYTES)
    return found


def _made_by(repository: Repository, verb: str) -> dict[str, bytes]:
    """All that the verb leaves beside the index.

    Raises:
        OSError: A file cannot be read, or is too large to be sent.
    """
    found = _files_of(repository, _MADE.get(verb, ()))
    return found | _adapters_of(repository) if verb == "train adapter" else found


def _adapters_of(repository: Repository) -> dict[str, bytes]:
    """The files of the repository's adapters, as `_ADAPTERS/NAME`.

    Raises:
        OSError: One cannot be read, or is too large to be sent.
    """
    folder = adapters_folder(repository)
    if folder is None or not folder.is_dir():
        return {}
    wanted = [file for file in folder.iterdir() if _is_adapters(file.name)]
    return {f"{_ADAPTERS}/{file.name}": read_file(file, _MAX_MADE_BYTES) for file in wanted}


def _is_adapters(name: str) -> bool:
    return name == own_adapters.USE_NAME or own_adapters.is_file_name(name)


def _take_adapters(repository: Repository, files: Mapping[str, bytes]) -> None:
    """Keep adapters as if they had been trained here; what is used follows the worker's verdict."""
    folder = adapters_folder(repository)
    assert folder is not None
    make_folder(folder, 2)
    own_last = sorted(files, key=lambda name: name.endswith(own_adapters.USE_NAME))
    for name in own_last:
        write_file(folder / name.rpartition("/")[2], files[name])
        if name.endswith(".gguf"):
            own_adapters.trust(hashlib.sha256(files[name]).hexdigest())


@contextmanager
def _own_folder(name: str) -> Iterator[Path]:
    """A private folder called `name`, deleted at the end; what killed workers left goes, too."""
    work = make_folder(paths.fleet_work_folder())
    for left in work.iterdir():
        # A new one may not be locked yet.
        if time.time() - left.stat().st_mtime < _NEW_S:
            continue
        with suppress(OSError), platforms.exclusive_lock(left / _LOCK_NAME, 0.0):
            shutil.rmtree(left, ignore_errors=True)
    own = Path(tempfile.mkdtemp(prefix="task-", dir=work))
    try:
        with platforms.exclusive_lock(own / _LOCK_NAME, 0.0):
            yield make_folder(own / "code" / (name.strip("./\\") or "repository"), 2)
    finally:
        shutil.rmtree(own, ignore_errors=True)
