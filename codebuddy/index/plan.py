"""What an update has to do: the index compared with the work tree, by stat alone.

It reads no file and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from codebuddy.index.batch import Batch
from codebuddy.index.file_walker import FileStat, Skipped
from codebuddy.index.store import Store, StoredFile

_BATCH_BYTES = 256_000
_BATCH_FILES = 64
# Skips that the walk gives without reading; when it no longer gives one, the file is read.
_SEEN_REASONS = frozenset({"symlink", "submodule", "special", "large", "changing", "unreadable"})


@dataclass(slots=True)
class Plan:
    """What differs between the index and the work tree."""

    to_read: list[tuple[bytes, FileStat, bytes]] = field(default_factory=list)
    gone: list[StoredFile] = field(default_factory=list)
    skipped: list[tuple[bytes, Skipped, bytes]] = field(default_factory=list)
    no_longer_skipped: list[bytes] = field(default_factory=list)
    stored: dict[bytes, StoredFile] = field(default_factory=dict)
    quarantined: frozenset[bytes] = frozenset()


def make_plan(store: Store, seen: dict[bytes, FileStat | Skipped]) -> Plan:
    """Compare what the walk saw with what is stored."""
    plan = Plan(stored={each.path: each for each in store.files()})
    skipped = {path: (skip, digest) for path, skip, digest in store.skipped()}
    plan.quarantined = frozenset(
        digest for skip, digest in skipped.values() if skip.reason == "crash" and digest
    )
    for path, now in seen.items():
        stored = plan.stored.get(path)
        before = skipped.pop(path, None)
        if isinstance(now, Skipped):
            if stored is not None:
                plan.gone.append(stored)
            if before is None or before[0] != now:
                plan.skipped.append((path, now, b""))
        elif stored is not None:
            if stored.stat != now or stored.is_racy:
                plan.to_read.append((path, now, stored.digest))
        elif before is None or before[0].stat != now or before[0].reason in _SEEN_REASONS:
            plan.to_read.append((path, now, b""))
    plan.gone += [stored for path, stored in plan.stored.items() if path not in seen]
    plan.no_longer_skipped = list(skipped)
    return plan


def batches(plan: Plan, root: bytes, max_file_bytes: int) -> Iterator[Batch]:
    """The files to read, in portions that workers take one at a time."""
    group: list[tuple[bytes, FileStat, bytes]] = []
    n_bytes = 0
    for each in [*plan.to_read, None]:
        if group and (each is None or len(group) >= _BATCH_FILES or n_bytes >= _BATCH_BYTES):
            yield Batch(
                root,
                tuple(group),
                max_file_bytes,
                plan.quarantined,
            )
            group, n_bytes = [], 0
        if each is not None:
            group.append(each)
            n_bytes += each[1].size
