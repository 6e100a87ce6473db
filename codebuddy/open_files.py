"""How many files this process may have open: the system's soft limit, raised where that is free."""

from __future__ import annotations

from contextlib import suppress


def allow_open_files(count: int) -> None:
    """Raise the soft limit to `count`, or as far as the hard one allows; it is never lowered.

    Linux begins with 1,024, macOS with 256. Windows has no such limit.
    """
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    # macOS refuses more than its kernel has, whatever the hard limit says.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
