"""The terminal as Textual drives it on POSIX systems, but ending well when it is gone.

A window that is closed says so with SIGHUP, which not everybody gets, and in any case with the
end of its input. Textual would then read that end again and again at full speed, and wait for
ever for the thread that writes, which the first failure ended.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import IO, TYPE_CHECKING, Any, cast

from textual.drivers.linux_driver import LinuxDriver

from codebuddy.tui.messages import TerminalGone

if TYPE_CHECKING:
    from io import TextIOWrapper

    from textual.app import App

# What the shell would say of a program that SIGHUP ended.
_EXIT_HUNG_UP = 129
# Keeping unsaved text takes milliseconds. What is left after this long hangs.
_LEAVE_WITHIN_S = 10.0


class TerminalDriver(LinuxDriver):
    """Posts `TerminalGone` once the terminal hung up, and never fails in writing to it."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._file = cast("TextIOWrapper[Any]", _Outlet(self._file))
        self._is_watched = False

    def start_application_mode(self) -> None:
        """As Textual's, and watch the terminal from now on."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if not self._is_watched:
            self._is_watched = True
            threading.Thread(target=self._watch, name="terminal-watch", daemon=True).start()

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except OSError:
            # Textual would show a traceback; `_watch` knows what it means.
            return

    def _watch(self) -> None:
        """Wait, without using the processor, until the terminal hangs up."""
        poll = select.poll()
        poll.register(self.fileno, 0)
        if not any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll()):
            return
        self.send_message(TerminalGone())
        time.sleep(_LEAVE_WITHIN_S)
        os._exit(_EXIT_HUNG_UP)


class _Outlet:
    """A stream whose writes are lost once nobody is there to read them."""

    def __init__(self, file: IO[str] | None) -> None:
        assert file is not None
        self._file = file

    def write(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError:
            return

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError:
            return

    def fileno(self) -> int:
        return self._file.fileno()
