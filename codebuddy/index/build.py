"""Bringing the index up to date: what changed is read and analysed again, and nothing else.

file_walker.py reads, worker.py analyses, writer.py writes; one process at a time, by a lock.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from codebuddy import platforms
from codebuddy.errors import IndexingError
from codebuddy.index import damage_marker, failed_update, forgetting, schema, seeding
from codebuddy.index.batch import Batch, BatchResult, analyze_batch, find_unchanged
from codebuddy.index.cochange import refresh_history
from codebuddy.index.embed import embed, embedder_name
from codebuddy.index.file_walker import candidates
from codebuddy.index.in_place import put_in_place
from codebuddy.index.plan import Plan, batches, make_plan
from codebuddy.index.pool import WorkerPool
from codebuddy.index.report import IndexReport
from codebuddy.index.schema import DATABASE_NAME, DamagedIndexError
from codebuddy.index.seeding import LOCK_NAME, NEW_NAME
from codebuddy.index.sqlite_errors import is_failed_write
from codebuddy.index.store import StoredFile
from codebuddy.index.version import analysis_version
from codebuddy.index.writer import IndexWriter
from codebuddy.private_files import make_folder, remedy_for, why_not_private
from codebuddy.settings import Settings
from codebuddy.vcs.repository import Repository
from codebuddy.vcs.worktrees import adapters_folder

# Stands while files are parsed in this process; what it finds of a predecessor died parsing.
PARSING_NAME = "index.parsing"

LOCK_TIMEOUT_S = 600.0
# Starting a worker takes about 0.3 s, in which this process parses as many files.
_POOL_FROM_FILES = 60
_POOL_FROM_BYTES = 600_000
# A commit costs an fsync and a segment; what lies between two of them costs memory and is
# lost to a kill. A file's other rows cost about as much as so many bytes of source.
_COMMIT_BYTES = 8_000_000
_COMMIT_BYTES_PER_FILE = 2_000
_MAX_SKIPPED_FILES = 100


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """Where an update stands: `message` is set for `notice` and `waiting`."""

    stage: str
    done_files: int = 0
    total_files: int = 0
    message: str = ""


ProgressCallback = Callable[[IndexProgress], None]


def update_index(
    repository: Repository,
    settings: Settings,
    *,
    force: bool = False,
    progress: ProgressCallback | None = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> IndexReport:
    """Bring the repository's index up to date, making it if there is none.

    Args:
        repository: Whose files to index.
        settings: `index.max_file_bytes` and `index.jobs` count.
        force: Build it anew; the old one stays in use until the new one is whole.
        progress: Called with each step, in this thread.
        lock_timeout_s: How long to wait for another process that updates it.

    Raises:
        IndexingError: The index cannot be written, or another process kept it too long.
        RepositoryError: git failed.
    """
    started = time.monotonic()
    notify = progress or (lambda _: None)
    folder = _ensure_index_folder(repository)
    message = "another process is updating the index; waiting for it"
    waiting = IndexProgress("waiting", message=message)
    try:
        with platforms.exclusive_lock(folder / LOCK_NAME, lock_timeout_s, lambda: notify(waiting)):
            report = _update_locked(repository, settings, folder, force, notify)
            forgetting.leave_nothing(folder, adapters_folder(repository))
    except TimeoutError as error:
        raise IndexingError(
            f"another process has been updating the index {folder} for {lock_timeout_s:.0f} s",
            hint="wait for it, or end it",
        ) from error
    except platforms.LocksUnsupportedError as error:
        raise IndexingError(
            f"the file system of {folder} cannot lock files",
            hint="keep the repository on a local file system",
        ) from error
    except OSError as error:
        raise failed_update.with_what_is_left(
            failed_update.unusable(folder, error), folder
        ) from error
    except IndexingError as error:
        if is_failed_write(error):
            raise failed_update.with_what_is_left(error, folder) from error.__cause__
        raise
    report.seconds = time.monotonic() - started
    return report


def _ensure_index_folder(repository: Repository) -> Path:
    folder = repository.index_folder
    try:
        return make_folder(folder)
    except OSError as error:
        place = Path(error.filename or folder)
        if why_not_private(place):
            raise IndexingError(
                f"the folder {place} is not used: {error.strerror}", hint=remedy_for(place)
            ) from error
        raise IndexingError(
            f"cannot create the folder {folder}: {error.strerror or error}",
            hint="set XDG_CACHE_HOME to a folder that you can write",
        ) from error


def _update_locked(
    repository: Repository,
    settings: Settings,
    folder: Path,
    force: bool,  # noqa: FBT001
    notify: ProgressCallback,
) -> IndexReport:
    file = folder / DATABASE_NAME
    seeded = ""
    failed_update.remove_with_journal(folder / NEW_NAME)
    if damage_marker.is_marked_damaged(folder):
        notify(IndexProgress("notice", message="the index was found damaged; building it again"))
        if file.exists() or file.is_symlink():
            schema.move_aside(file)
        damage_marker.clear(folder)
    elif not force and not os.path.lexists(file):
        seeded = _seed(repository, settings, notify)
    if force and file.exists():
        return _rebuild_beside(repository, settings, folder, notify)
    try:
        writer, is_new = _open_or_create(file, notify)
        report = _bring_up_to_date(writer, repository, settings, notify, is_new=is_new)
    except DamagedIndexError as error:
        notify(IndexProgress("notice", message=f"{error.message}; building it again"))
        schema.move_aside(file)
        writer, seeded = _created(file), ""
        report = _bring_up_to_date(writer, repository, settings, notify, is_new=True)
    report.seeded_from = seeded
    return report


def _seed(repository: Repository, settings: Settings, notify: ProgressCallback) -> str:
    """Take over the index of another work tree; which one, or an empty text."""
    found = seeding.seed(repository, settings.index.max_file_bytes)
    if found.work_tree is not None:
        told = f"taking over the index of {found.work_tree}, another work tree of the repository"
        notify(IndexProgress("notice", message=told))
        return str(found.work_tree)
    for refusal in found.refusals:
        notify(IndexProgress("notice", message=f"{refusal}; building one from the files"))
    return ""


def _open_or_create(file: Path, notify: ProgressCallback) -> tuple[IndexWriter, bool]:
    if not (file.exists() or file.is_symlink()):
        return _created(file), True
    writer = IndexWriter(file, schema.connect(file, is_writer=True))
    if writer.meta("analysis") != analysis_version():
        writer.close()
        forgetting.begin(file.parent)
        notify(
            IndexProgress(
                "notice", message="the index was made by another version; building it again"
            )
        )
        failed_update.remove_with_journal(file)
        return _created(file), True
    if not schema.has_checksum(writer.connection, file):
        # The last writer was killed. SQLite has played its journal back, if it was still there.
        writer.check_everything()
    return writer, False


def _created(file: Path) -> IndexWriter:
    failed_update.remove_with_journal(file)
    writer = IndexWriter(file, schema.create(file))
    with writer.transaction():
        writer.put_meta("analysis", analysis_version())
    return writer


def _rebuild_beside(
    repository: Repository, settings: Settings, folder: Path, notify: ProgressCallback
) -> IndexReport:
    """Build a new database beside the old one and put it in its place when it is whole."""
    new = folder / NEW_NAME
    # What the old one held and the new one will not is not compared.
    forgetting.begin(folder)
    try:
        writer = _created(new)
        report = _bring_up_to_date(writer, repository, settings, notify, is_new=True)
    except BaseException:
        # On a full disk it would take the room that the next try needs.
        with suppress(OSError):
            failed_update.remove_with_journal(new)
        raise
    put_in_place(folder)
    return report


def _bring_up_to_date(
    writer: IndexWriter,
    repository: Repository,
    settings: Settings,
    notify: ProgressCallback,
    *,
    is_new: bool,
) -> IndexReport:
    try:
        notify(IndexProgress("walking"))
        seen = candidates(repository, settings.index.max_file_bytes)
        with schema.translated(writer.file):
            plan = make_plan(writer, seen)
        report = IndexReport(is_rebuilt=is_new)
        _take_out(writer, plan, report)
        if plan.to_read:
            parsing = writer.file.with_name(PARSING_NAME)
            # Closed in any event, so that no worker outlives an interrupt.
            with closing(_analysed(repository, settings, plan, parsing)) as results:
                _commit_in_parts(writer, plan, results, report, notify)
        _merge(writer, notify)
        with schema.translated(writer.file):
            _embed(writer, settings, report, notify)
            refresh_history(writer, repository)
        with schema.translated(writer.file):
            _summarize(writer, report)
    except DamagedIndexError:
        writer.close()
        raise
    except BaseException:
        # What was committed before an interrupt is whole.
        with suppress(IndexingError):
            writer.write_checksum_and_close()
        if is_new:
            failed_update.remove_if_empty(writer.file)
        raise
    writer.write_checksum_and_close()
    return report


def _take_out(writer: IndexWriter, plan: Plan, report: IndexReport) -> None:
    if plan.gone:
        forgetting.begin(writer.file.parent)
    if plan.gone or plan.skipped or plan.no_longer_skipped:
        with writer.transaction():
            if plan.gone:
                writer.apply(plan.gone, [])
            writer.put_skipped(plan.skipped)
            writer.drop_skipped(plan.no_longer_skipped)
    report.removed += len(plan.gone)


def _analysed(
    repository: Repository, settings: Settings, plan: Plan, parsing: Path
) -> Generator[BatchResult]:
    """Results for all files to read; of few files, and of unchanged ones, without workers."""
    known = tuple(each for each in plan.to_read if each[2])
    if len(known) >= _POOL_FROM_FILES:
        max_bytes = settings.index.max_file_bytes
        settled = find_unchanged(Batch(repository.root_bytes, known, max_bytes))
        yield settled
        same = {path for path, *_ in settled.unchanged}
        plan = replace(plan, to_read=[each for each in plan.to_read if each[0] not in same])
    if not plan.to_read:
        return
    todo = list(batches(plan, repository.root_bytes, settings.index.max_file_bytes))
    total_bytes = sum(stat.size for _, stat, _ in plan.to_read)
    is_small = len(plan.to_read) < _POOL_FROM_FILES and total_bytes < _POOL_FROM_BYTES
    if is_small and not os.path.lexists(parsing):
        # A parser that crashes takes this process along; the next one then uses workers,
        # which find the file and quarantine it.
        platforms.create_marker(parsing)
        try:
            for batch in todo:
                yield analyze_batch(batch)
        finally:
            # Not reached by a crash.
            parsing.unlink(missing_ok=True)
    else:
        n_workers = settings.index.jobs or platforms.usable_cores()
        with WorkerPool(min(n_workers, len(todo))) as pool:
            yield from pool.run(todo)
        parsing.unlink(missing_ok=True)


def _commit_in_parts(
    writer: IndexWriter,
    plan: Plan,
    results: Iterable[BatchResult],
    report: IndexReport,
    notify: ProgressCallback,
) -> None:
    total = len(plan.to_read)
    done = 0
    pending: list[BatchResult] = []
    pending_bytes = 0
    notify(IndexProgress("indexing", 0, total))
    for result in results:
        pending.append(result)
        pending_bytes += result.source_bytes
        pending_bytes += _COMMIT_BYTES_PER_FILE * len(result.analysed)
        done += len(result.analysed) + len(result.unchanged)
        done += len(result.skipped) + len(result.gone)
        if pending_bytes >= _COMMIT_BYTES:
            _commit(writer, plan, pending, report)
            pending, pending_bytes = [], 0
        notify(IndexProgress("indexing", done, total))
    _commit(writer, plan, pending, report)


def _commit(
    writer: IndexWriter, plan: Plan, results: list[BatchResult], report: IndexReport
) -> None:
    """One transaction: the old rows of these files go, the new ones come."""
    replaced: list[StoredFile] = []
    with writer.transaction():
        for result in results:
            for path, stat, is_racy in result.unchanged:
                writer.put_stat(plan.stored[path], stat, is_racy)
            lost = [*result.gone, *[path for path, _, _ in result.skipped]]
            gone = [plan.stored[path] for path in lost if path in plan.stored]
            if gone:
                forgetting.begin(writer.file.parent)
            old = [plan.stored.get(each.path) for each in result.analysed]
            updated = [each for each in old if each is not None]
            replaced += gone + updated
            report.removed += len(gone)
            report.updated += len(updated)
            report.added += len(result.analysed) - len(updated)
            writer.put_skipped(result.skipped)
            writer.drop_skipped([each.path for each in result.analysed] + result.gone)
        writer.apply(replaced, results)


def _merge(writer: IndexWriter, notify: ProgressCallback) -> None:
    is_merging = True
    while is_merging:
        with writer.transaction():
            is_merging = writer.merge_once()
        if is_merging:
            notify(IndexProgress("merging"))


def _embed(
    writer: IndexWriter, settings: Settings, report: IndexReport, notify: ProgressCallback
) -> None:
    report.embedder = embedder_name(settings)
    made = embed(
        writer, settings, lambda done, total: notify(IndexProgress("embedding", done, total))
    )
    if made is None:
        return
    report.vectors_made = made
    report.vectors = writer.count_vectors()


def _summarize(writer: IndexWriter, report: IndexReport) -> None:
    languages: Counter[str] = Counter()
    for stored in writer.files():
        languages[stored.language] += 1
        report.lines += stored.n_lines
        report.chunks += stored.n_chunks
        report.files += 1
    report.languages = dict(languages.most_common())
    skipped = [(os.fsdecode(path), skip.reason) for path, skip, _ in writer.skipped()]
    reasons = Counter(reason for _, reason in skipped)
    report.skipped = dict(reasons.most_common())
    skipped.sort(key=lambda each: (reasons[each[1]], each[1], each[0]))
    report.skipped_files = skipped[:_MAX_SKIPPED_FILES]
