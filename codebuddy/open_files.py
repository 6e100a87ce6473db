"""How many files this process may have open: the system's soft limit, raised where that is free."""

from __future__ import annotations

import os
from contextlib import suppress


def allow_open_files(further: int) -> None:
    """Raise the soft limit so that `further` files can be opened beside those that are open.

    As far as the hard limit allows; it is never lowered. Linux begins with 1,024, macOS with 256.
    Windows has no such limit.
    """
    try:
        import resource
    except ImportError:
        return
    count = _n_open() + further
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    # macOS refuses more than its kernel has, whatever the hard limit says.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _n_open() -> int:
    """How many files this process has open; none where the system does not say."""
    with suppress(OSError):
        return len(os.listdir("/dev/fd"))  # noqa: PTH208
    return 0
