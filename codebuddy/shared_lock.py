"""A lock that several processes hold together, and each knows whether it is the only one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def joined(file: Path) -> Iterator[bool]:
    """Join the holders of `file`; yields whether there is no other.

    Who asks must see to it that no two do so at the same time. The system lets go when this
    process ends in any way. Where files cannot be locked together, everybody seems to be alone.

    Raises:
        OSError: The file cannot be opened.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        yield _join(descriptor)
    finally:
        os.close(descriptor)


def _join(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:
        # Windows has no shared locks.
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_alone = True
    except BlockingIOError:
        is_alone = False
    except OSError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return is_alone
