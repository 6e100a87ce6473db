"""A new work tree's index, taken over from another work tree of the same repository.

Work trees of one repository hold mostly the same contents, and rows go by content: what the
copied rows say of a file counts only while the file's digest is theirs, so that the next update
reads each file once and analyses those that differ. The copy is made under the other index's
lock, of an index that is whole, and compared with its file checksum.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from codebuddy import platforms
from codebuddy.errors import CodebuddyError, IndexingError
from codebuddy.index import damage_marker, file_checksum, file_walker
from codebuddy.index.schema import DATABASE_NAME
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.store import Store
from codebuddy.index.version import analysis_version
from codebuddy.private_files import make_folder, why_not_private
from codebuddy.settings import Settings
from codebuddy.vcs.repository import Repository
from codebuddy.vcs.worktrees import WorkTree, other_work_trees

LOCK_NAME = "index.lock"
NEW_NAME = "index.new.db"
# An update of the other index takes moments; a first build of it is not waited for.
_LOCK_TIMEOUT_S = 2.0
# Of many work trees those whose indexes were used last; each is read as a whole to be verified.
_MAX_TRIED = 4


@dataclass(frozen=True, slots=True)
class Seeded:
    """What came of it: the work tree whose index was taken over, or why none was.

    Both are empty where no other work tree has an index.
    """

    work_tree: Path | None = None
    refusals: tuple[str, ...] = ()


def seed(repository: Repository, max_file_bytes: int) -> Seeded:
    """Put a copy of the most suitable other index in the place of a missing one.

    The caller holds the lock of the repository's own index folder, which is there.

    Args:
        repository: The work tree without an index.
        max_file_bytes: As in the settings; used to find the most similar index.
    """
    refusals = []
    for work_tree in _ranked(repository, max_file_bytes):
        try:
            _take_over(work_tree, repository.index_folder)
        except (IndexingError, OSError) as error:
            reason = error.message if isinstance(error, CodebuddyError) else _reason(error)
            refusals.append(f"the index of {work_tree.root} cannot be taken over: {reason}")
        else:
            return Seeded(work_tree.root)
    return Seeded(refusals=tuple(refusals))


def open_or_seed(repository: Repository, settings: Settings) -> RepositoryIndex:
    """The repository's index as it stands; a new work tree's is another one's, as that stands.

    Raises:
        IndexingError: There is none yet, or it cannot be used.
    """
    if can_be_seeded(repository):
        # What goes wrong here, the next update says.
        with suppress(CodebuddyError, OSError):
            folder = make_folder(repository.index_folder)
            with platforms.exclusive_lock(folder / LOCK_NAME, 0.0):
                if not has_index(repository):
                    seed(repository, settings.index.max_file_bytes)
    return RepositoryIndex.open(repository, settings)


def can_be_seeded(repository: Repository) -> bool:
    """Whether it has no index, and another work tree of it has one."""
    return not has_index(repository) and bool(work_trees_with_index(repository))


def has_index(repository: Repository) -> bool:
    """Whether it has an index of its own, whatever is wrong with it."""
    return os.path.lexists(repository.index_folder / DATABASE_NAME)


def work_trees_with_index(repository: Repository) -> list[WorkTree]:
    """The other work trees whose index may be read, the one used last first."""
    found: list[tuple[int, int, WorkTree]] = []
    for work_tree in other_work_trees(repository):
        with suppress(OSError):
            status = (work_tree.index_folder / DATABASE_NAME).lstat()
            is_own = not why_not_private(work_tree.index_folder) and not status.st_mode & 0o022
            is_whole = stat.S_ISREG(status.st_mode) and not damage_marker.is_marked_damaged(
                work_tree.index_folder
            )
            if is_own and is_whole:
                found.append((-status.st_mtime_ns, len(found), work_tree))
    return [work_tree for *_, work_tree in sorted(found, key=lambda each: each[:2])]


def _ranked(repository: Repository, max_file_bytes: int) -> list[WorkTree]:
    """The indexes to try, that which has most of the files first, by path and size."""
    found = work_trees_with_index(repository)[:_MAX_TRIED]
    if len(found) < 2:
        return found
    seen = file_walker.candidates(repository, max_file_bytes)
    sizes = {
        path: each.size for path, each in seen.items() if isinstance(each, file_walker.FileStat)
    }
    shared = {each: _count_shared(each, sizes) for each in found}
    return sorted(found, key=lambda each: -shared[each])


def _count_shared(work_tree: WorkTree, sizes: dict[bytes, int]) -> int:
    try:
        store = Store.open(work_tree.index_folder / DATABASE_NAME)
    except IndexingError:
        # Trying it says what is wrong with it.
        return 0
    try:
        with store.snapshot():
            return sum(sizes.get(each.path) == each.stat.size for each in store.files())
    except IndexingError:
        return 0
    finally:
        store.close()


def _take_over(work_tree: WorkTree, folder: Path) -> None:
    """Copy an index whole, or leave nothing behind.

    Raises:
        IndexingError: It is damaged, of another version, or busy.
        OSError: It cannot be read, or the copy not be written.
    """
    source, new, target = (
        work_tree.index_folder / DATABASE_NAME,
        folder / NEW_NAME,
        folder / DATABASE_NAME,
    )
    with platforms.exclusive_lock(work_tree.index_folder / LOCK_NAME, _LOCK_TIMEOUT_S):
        # What a seeding that was killed has left.
        new.unlink(missing_ok=True)
        store = Store.open(source)
        try:
            with store.snapshot():
                _check_version(store)
                state = file_checksum.copy(source, new)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise
        finally:
            store.close()
    platforms.replace_durably(new, target)
    if state is not None:
        file_checksum.put(target, state)


def _check_version(store: Store) -> None:
    if store.meta("analysis") != analysis_version():
        raise IndexingError("another version of codebuddy made it")


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "it is being updated"
    return error.strerror or str(error)
