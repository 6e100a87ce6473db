"""The terminal as Textual drives it on POSIX systems, with two mends.

Alt with a key comes from most terminals as Esc and that key. Textual then waits for more, and
passes some as the key alone (`.`), as another sign (`0` as `º`) or as another key (Backspace as
Ctrl+W); and it takes Shift+F3 for a report of the cursor's place, which is never asked for.

A window that is closed says so with SIGHUP, which not everybody gets, and in any case with the
end of its input. Textual would then read that end again and again at full speed, and wait for
ever for the thread that writes, which the first failure ended.
"""

from __future__ import annotations

import os
import select
import string
import threading
import time
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any, cast

from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.drivers.linux_driver import LinuxDriver

from codebuddy.tui.messages import TerminalGone

if TYPE_CHECKING:
    from io import TextIOWrapper

    from textual.app import App
    from textual.message import Message

# What the shell would say of a program that SIGHUP ended.
_EXIT_HUNG_UP = 129
# Keeping unsaved text takes milliseconds. What is left after this long hangs.
_LEAVE_WITHIN_S = 10.0

# What stands behind Esc when Alt is held, and how Textual calls it. Alt+F and Alt+B stay what
# they are there, Ctrl+Right and Ctrl+Left; `[` and capitals begin other sequences.
_ALT_KEYS = {
    **{sign: sign for sign in string.ascii_lowercase + string.digits if sign not in "fb"},
    "\r": "enter",
    "\x7f": "backspace",
    ".": "full_stop",
    ",": "comma",
    "/": "slash",
    "]": "right_square_bracket",
}
_F3_WITH = {2: "shift", 3: "alt", 5: "ctrl"}


def teach_alt_keys() -> None:
    """Tell Textual's parser what Esc with a key means."""
    table = cast("dict[str, Any]", ANSI_SEQUENCES_KEYS)
    for sign, name in _ALT_KEYS.items():
        table[f"\x1b{sign}"] = (SimpleNamespace(value=f"alt+{name}"),)


class TerminalDriver(LinuxDriver):
    """Posts `TerminalGone` once the terminal hung up, and never fails in writing to it."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._file = cast("TextIOWrapper[Any]", _Outlet(self._file))
        self._is_watched = False
        teach_alt_keys()

    def process_message(self, message: Message) -> None:
        """As Textual's, with F3 and a modifier as a key."""
        if isinstance(message, events.CursorPosition) and message.y == 0:
            modifier = _F3_WITH.get(message.x + 1)
            if modifier is not None:
                message = events.Key(f"{modifier}+f3", None)
        super().process_message(message)

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
