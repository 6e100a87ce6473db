"""The terminal as Textual drives it on POSIX systems, with some mends.

Alt with a key comes from most terminals as Esc and that key. Textual then waits for more, and
passes some as the key alone (`.`), as another sign (`0` as `º`) or as another key (Backspace as
Ctrl+W); and it takes Shift+F3 for a report of the cursor's place, which is never asked for.

A window that is closed says so with SIGHUP, which not everybody gets, and in any case with the
end of its input. Textual would then read that end again and again at full speed, and wait for
ever for the thread that writes, which the first failure ended.

Where the parent that guards the terminal is killed, a shell takes the terminal over; the editor
then ends as well, and takes back only what is still as it left it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import string
import termios
import threading
import time
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any, cast

from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.drivers.linux_driver import LinuxDriver

from codebuddy import platforms
from codebuddy.tui.messages import GuardGone, TerminalGone

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


def register_alt_keys() -> None:
    """Register Esc with a key in Textual's parser."""
    table = cast("dict[str, Any]", ANSI_SEQUENCES_KEYS)
    for sign, name in _ALT_KEYS.items():
        table[f"\x1b{sign}"] = (SimpleNamespace(value=f"alt+{name}"),)


class TerminalDriver(LinuxDriver):
    """Posts `TerminalGone` once the terminal hung up, and never fails in writing to it.

    Posts `GuardGone` once the parent that guards the terminal is gone.
    """

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._file = cast("TextIOWrapper[Any]", _TerminalWriter(self._file))
        self._is_watched = False
        self._own_modes: list[Any] | None = None
        register_alt_keys()

    def process_message(self, message: Message) -> None:
        """As Textual's, with F3 and a modifier as a key."""
        if isinstance(message, events.CursorPosition) and message.y == 0:
            modifier = _F3_WITH.get(message.x + 1)
            if modifier is not None:
                message = events.Key(f"{modifier}+f3", None)
        super().process_message(message)

    def start_application_mode(self) -> None:
        """As Textual's, and watch the terminal from now on."""
        before = self.attrs_before
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if self.attrs_before is not before:
            # Else Textual gave up, because another process owns the terminal.
            self._own_modes = self._modes()
        if not self._is_watched:
            self._is_watched = True
            threading.Thread(target=self._watch, name="terminal-watch", daemon=True).start()

    def _sigcont_application(self, *_: object) -> None:
        """As Textual's, unless a shell has taken the terminal over while this program stood."""
        if not _is_hung_up(platforms.guard_descriptor()):
            super()._sigcont_application()

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except OSError:
            # Textual would show a traceback; `_watch` knows what it means.
            return

    def stop_application_mode(self) -> None:
        """As Textual's; without a parent it is a guest in the terminal of the shell."""
        if _is_hung_up(platforms.guard_descriptor()):
            # Else the system stops a program of the background that sets modes.
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            # Waits for the thread that reads. A shell sets its modes at the same time: between
            # look and setting there must be nothing.
            self.disable_input()
            if self.attrs_before is not None and self._modes() == self._own_modes:
                with contextlib.suppress(termios.error):
                    termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
            self.attrs_before = None
        super().stop_application_mode()

    def _modes(self) -> list[Any] | None:
        try:
            return termios.tcgetattr(self.fileno)
        except termios.error:
            return None

    def _watch(self) -> None:
        """Wait, without using the processor, until the terminal hangs up or the parent is gone."""
        guard = platforms.guard_descriptor()
        poll = select.poll()
        poll.register(self.fileno, 0)
        if guard is not None:
            poll.register(guard, 0)
        gone = [
            descriptor
            for descriptor, event in poll.poll()
            if event & (select.POLLHUP | select.POLLERR)
        ]
        if not gone:
            return
        self.send_message(TerminalGone() if self.fileno in gone else GuardGone())
        time.sleep(_LEAVE_WITHIN_S)
        os._exit(_EXIT_HUNG_UP)


def _is_hung_up(descriptor: int | None) -> bool:
    if descriptor is None:
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))


class _TerminalWriter:
    """A stream that drops its writes once the terminal is gone."""

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
