"""stdin and stdout given to a protocol alone, and an end when the editor is gone.

A stray print, a warning of native code or a child process would break the protocol, so file
descriptors 0 and 1 are pointed elsewhere before anything else runs.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_POLL_S = 2.0


def take_stdio() -> tuple[BinaryIO, BinaryIO]:
    """The process's stdin and stdout as bytes, which nothing else can reach from now on.

    What others read is empty; what they print goes to stderr.
    """
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    try:
        os.dup2(2, 1)
    except OSError:
        # stderr is closed.
        os.dup2(null, 1)
    os.close(null)
    sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    sys.stdout = sys.stderr
    return os.fdopen(source, "rb"), os.fdopen(sink, "wb")


def watch_process(process_id: int, on_end: Callable[[], None]) -> None:
    """Call `on_end`, in a thread of its own, when the process is gone.

    An editor that dies closes our stdin, unless a child of it holds the other end.
    """
    import psutil

    try:
        process = psutil.Process(process_id)
    except (psutil.Error, ValueError, OverflowError):
        # Of another machine or container, as with an editor that works remotely.
        return

    def look() -> None:
        with contextlib.suppress(psutil.Error):
            # True only for that very process, not for another one with its number.
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(_POLL_S)
        on_end()

    threading.Thread(target=look, daemon=True, name="editor-watch").start()
