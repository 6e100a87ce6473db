"""A repository's code sent to the worker that has its task, where the worker has not got it.

The driver packs what is committed, the worker unpacks it into a folder of its own, does the task
there and deletes the folder, whatever came of it. What the task made beside the index comes back
with the answer, and the driver puts it where the repository's own command would have.
"""

from __future__ import annotations

import hashlib
import json
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
from codebuddy.inference.adapter_card import IMPORTED
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
_NO_ANSWER = "its worker's answer makes no sense"
_SAME_VERSION = "install the same version on every machine"
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
            if not found["error"]:
                found["files"] = _made_by(repository, job["verb"])
    except CodebuddyError as error:
        found = Outcome(root, error=error.message, hint=error.hint).as_json()
    except OSError as error:
        said = f"its worker has no room for the code: {error.strerror}"
        found = Outcome(root, error=said, hint="set XDG_CACHE_HOME there").as_json()
    return found | {"root": root}


def outcome_of(found: Any, root: str, attempts: int, verb: str, folder: str = "") -> Outcome:
    """The outcome that a worker's answer is, once what it made lies here.

    Args:
        found: The answer.
        root: The repository, as the list names it.
        attempts: How often it was tried.
        verb: What was done.
        folder: Where it lies here, if its code was sent.

    Raises:
        CodebuddyError: The worker has not got the repository, its answer is none, or what it made
            cannot be kept.
    """
    if isinstance(found, dict) and found.get("is_elsewhere") and not folder:
        raise RepositoryError(
            f"its worker has not got this commit of {root}",
            hint="--send-code gives the worker the code, or put it there under the same path",
        )
    try:
        files = found.pop("files", {})
        outcome = Outcome(**found | {"root": root, "attempts": attempts})
    except (AttributeError, TypeError) as error:
        raise RepositoryError(_NO_ANSWER, hint=_SAME_VERSION) from error
    if not (
        isinstance(outcome.error, str)
        and isinstance(outcome.hint, str)
        and isinstance(outcome.result, dict | None)
        and isinstance(outcome.seconds, int | float)
        and isinstance(outcome.cpu_seconds, int | float)
        and isinstance(files, dict)
        and all(isinstance(n, str) and isinstance(b, bytes) for n, b in files.items())
    ):
        raise RepositoryError(_NO_ANSWER, hint=_SAME_VERSION)
    if folder and not outcome.error:
        take_home(folder, verb, files)
    return outcome


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
    """Keep adapters as if they had been trained here; what is used follows the worker's verdict.

    An adapter that is in use here, or was imported, stays, also one of the same name, and so do the
    choices for other weights.
    """
    from codebuddy.training.own.keeping import alone

    with alone(repository) as folder:
        in_use = set(own_adapters.uses_in(folder).values())
        in_use |= {each.name for each in own_adapters.stored(folder) if each.card.get(IMPORTED)}
        names: dict[str, str] = {}
        choices: dict[str, str] = {}
        for path, content in files.items():
            stem, _, ending = path.rpartition("/")[2].rpartition(".")
            if path.endswith(f"/{own_adapters.USE_NAME}"):
                with suppress(ValueError, RecursionError):
                    choices = own_adapters.checked_uses(json.loads(content))
                continue
            name = names.setdefault(stem, _free_name(stem, in_use))
            write_file(folder / f"{name}.{ending}", content)
            if ending == "gguf":
                own_adapters.trust(hashlib.sha256(content).hexdigest())
        for base, word in choices.items():
            if word in names:
                own_adapters.use(folder, base, names[word])


def _free_name(name: str, in_use: set[str]) -> str:
    """The name, with a number where an adapter that is called so is in use."""
    numbered = (f"{name[:70]}-{number}" for number in range(2, len(in_use) + 3))
    return next(each for each in (name, *numbered) if each not in in_use)


@contextmanager
def _own_folder(name: str) -> Iterator[Path]:
    """A private folder called `name`, deleted at the end; what killed workers left goes, too.

    Temporary files of the task, which may hold code, lie beside it: a killed worker's go with it.
    """
    work = make_folder(paths.fleet_work_folder())
    for left in work.iterdir():
        with suppress(OSError):
            # A new one may not be locked yet.
            if time.time() - left.stat().st_mtime < _NEW_S:
                continue
            with platforms.exclusive_lock(left / _LOCK_NAME, 0.0):
                shutil.rmtree(left, ignore_errors=True)
    own = Path(tempfile.mkdtemp(prefix="task-", dir=work))
    usual = tempfile.tempdir
    try:
        tempfile.tempdir = str(make_folder(own / "tmp"))
        with platforms.exclusive_lock(own / _LOCK_NAME, 0.0):
            yield make_folder(own / "code" / (name.strip("./\\") or "repository"), 2)
    finally:
        tempfile.tempdir = usual
        shutil.rmtree(own, ignore_errors=True)
