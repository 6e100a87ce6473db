"""What models have read, as the engine keeps it on disk between two starts, and when to drop it.

It is of all repositories at once: nothing says which of them a model has read.
"""

from __future__ import annotations

import time
from contextlib import suppress

from codebuddy import paths
from codebuddy.private_files import make_folder, read_file, write_file

# Touched when files went away: what a model holds in memory from before is not kept on disk.
MARKER_NAME = "forget"
_READ = ("*.kv", "*.taken")


def forget_all() -> None:
    """Delete what was kept, and let nobody keep what was read before now."""
    folder = paths.engine_state_folder()
    with suppress(OSError):
        make_folder(folder)
        write_file(folder / MARKER_NAME, f"{time.time_ns()}\n".encode())
    for pattern in _READ:
        for file in folder.glob(pattern):
            with suppress(OSError):
                file.unlink()


def forgotten_at() -> bytes:
    """When files went away last, in whatever repository; empty if none ever did."""
    try:
        return read_file(paths.engine_state_folder() / MARKER_NAME, 64)
    except OSError:
        return b""
