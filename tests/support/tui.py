"""The editor as a person has it: a real process behind a real pseudo-terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import psutil

_SEQUENCE = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    rb"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC
    rb"|\x1bP[^\x1b]*\x1b\\"  # DCS
    rb"|\x1b[()][0-9A-B]|\x1b[=>78NOc]"
)


class TerminalProgram:
    """`codebuddy` with arguments, in `folder`, behind a terminal of `columns` x `rows`.

    `prepare` is called in its process first, once the terminal is its own. With `shell`, a
    command line in which `"$@"` is the program, it is a child of `sh`.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        columns: int = 120,
        rows: int = 40,
        environment: dict[str, str] | None = None,
        prepare: Callable[[], object] = lambda: None,
        shell: str = "",
    ) -> None:
        self.output = b""
        self.started_s = time.monotonic()
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        self.attributes_before = termios.tcgetattr(slave)
        self._slave = slave

        def begin() -> None:
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            prepare()

        variables = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        variables.update(environment or {})
        self.process = subprocess.Popen(
            [
                *(["sh", "-c", shell, "sh"] if shell else []),
                *(sys.executable, "-m", "codebuddy", *arguments),
            ],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=variables,
            start_new_session=True,
            preexec_fn=begin,
        )

    @property
    def editor_pid(self) -> int:
        """The process that draws; the one that was started guards the terminal."""
        return psutil.Process(self.process.pid).children()[0].pid

    def resize(self, columns: int, rows: int) -> None:
        """Change the terminal's size; the program is told as terminals do."""
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
        if hasattr(self, "process"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGWINCH)

    def send(self, keys: str | bytes) -> None:
        """Press keys, as the bytes that a terminal sends."""
        os.write(self._master, keys.encode() if isinstance(keys, str) else keys)

    def read(self, timeout_s: float = 0.0) -> bytes:
        """What it wrote meanwhile."""
        found = b""
        while select.select([self._master], [], [], timeout_s)[0]:
            try:
                piece = os.read(self._master, 1 << 16)
            except OSError:
                break
            if not piece:
                break
            found += piece
            timeout_s = 0.0
        self.output += found
        return found

    def wait_for(self, text: str | bytes, timeout_s: float = 60.0) -> float:
        """Read until `text` was written since the call; the time when it came (monotonic)."""
        wanted = text.encode() if isinstance(text, str) else text
        deadline = time.monotonic() + timeout_s
        seen = b""
        while wanted not in plain(seen):
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"{text!r} did not come; last: {plain(seen)[-400:]!r}"
            seen += self.read(min(left_s, 0.5))
        return time.monotonic()

    def rest(self, quiet_s: float = 0.3, timeout_s: float = 20.0) -> None:
        """Read until nothing more comes for a while, and nobody is about to write.

        On a loaded machine a program may be quiet because it waits for the processor.
        """
        deadline = time.monotonic() + timeout_s
        while (self.read(quiet_s) or self._is_busy()) and time.monotonic() < deadline:
            pass

    def _is_busy(self) -> bool:
        """Whether a thread of the terminal's session runs, or waits for processor or disk."""
        for task in Path("/proc").glob("[0-9]*/task/[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, _, session = task.read_text().rpartition(")")[2].split()[:4]
                if int(session) == self.process.pid and state in "RD":
                    return True
        return False

    def is_terminal_restored(self) -> bool:
        """Whether the terminal has its modes back and the main screen is shown."""
        left = self.output.rpartition(b"\x1b[?1049l")
        is_main = bool(left[1]) and b"\x1b[?1049h" not in left[2]
        return is_main and termios.tcgetattr(self._slave)[3] == self.attributes_before[3]

    def echoes(self) -> bool:
        """Whether the terminal shows what is typed by itself."""
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    def end(self, timeout_s: float = 60.0) -> int:
        """Wait for its end, and read its last words; the exit code."""
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.05)
        while self.read(0.2):
            pass
        if self.process.poll() is None:
            self.kill()
            raise AssertionError(f"it did not end; last: {plain(self.output)[-400:]!r}")
        return self.process.returncode

    def vanish(self, timeout_s: float = 60.0) -> int:
        """Close the window; the exit code once it ended."""
        os.close(self._master)
        self._master = -1
        try:
            return self.process.wait(timeout_s)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Free the terminal."""
        if self.process.poll() is None:
            self.kill()
        if self._master >= 0:
            os.close(self._master)
        os.close(self._slave)


def plain(output: bytes) -> bytes:
    """The output without its own well-formed escape sequences."""
    return _SEQUENCE.sub(b"", output)
