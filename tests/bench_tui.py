"""How fast the editor is, through a real pseudo-terminal: `make bench-tui`.

Prints a table and, last, one line of JSON. It measures from outside: a key is written, and
the clock stops when its character comes back. `--model NAME` lets completions run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from tests.tui_support import TerminalProgram, plain

_LINE = (
    "def handler_{n}(request, value_{n}=None):\n    return request.process(value_{n}, {n})\n\n\n"
)
# Letters that the screen shows nowhere else.
_LETTERS = "QZXWJKVY"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="echo")
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--no-engine", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        (root / "small.py").write_text("".join(_LINE.format(n=n) for n in range(10)))
        (root / "large.py").write_text("".join(_LINE.format(n=n) for n in range(1250)))
        (root / "huge.py").write_text("".join(_LINE.format(n=n) for n in range(12_500)))
        flags = ["--model", options.model, "--no-restore"]
        flags += ["--no-engine"] if options.no_engine else []
        figures = {
            "commit": _commit(),
            "load": os.getloadavg()[0],
            "model": options.model,
            **_first_paint(root, flags, options.starts),
            "open_50000_lines_ms": _median(_open_huge(root, flags) for _ in range(3)),
            **_keystrokes(root, flags, options.keys),
        }
    for name, value in figures.items():
        print(f"{name:<24} {value}", file=sys.stderr)
    print(json.dumps(figures))


def _first_paint(root: Path, flags: list[str], count: int) -> dict[str, object]:
    """Milliseconds from the start of the process to a drawn screen, and to the file's text.

    The processor's time is told too, since it stays the same where others compute.
    """
    painted_ms, shown_ms, processor_ms = [], [], []
    for _ in range(count):
        program = TerminalProgram(root, "tui", "small.py", *flags)
        painted_ms.append((program.wait_for("Type, and suggestions") - program.started_s) * 1000)
        used = psutil.Process(program.editor_pid).cpu_times()
        processor_ms.append((used.user + used.system) * 1000)
        if b"handler_0" not in plain(program.output):
            program.wait_for("handler_0")
        shown_ms.append((time.monotonic() - program.started_s) * 1000)
        program.rest()
        _leave(program)
    return {
        "first_paint_ms": _median(painted_ms),
        "first_paint_processor_ms": _median(processor_ms),
        "text_shown_ms": _median(shown_ms),
    }


def _open_huge(root: Path, flags: list[str]) -> float:
    """Milliseconds from Enter in the file palette to the text of 50,000 lines on the screen."""
    program = TerminalProgram(root, "tui", *flags)
    program.wait_for("huge.py")
    program.rest()
    program.send("\x10")
    program.rest()
    program.send("huge")
    program.rest()
    started_s = time.monotonic()
    program.send("\r")
    took_ms = (program.wait_for("handler_0") - started_s) * 1000
    program.rest()
    _leave(program)
    return took_ms


def _keystrokes(root: Path, flags: list[str], count: int) -> dict[str, object]:
    """Milliseconds from a key to its character, typing in the middle of 5,000 lines."""
    program = TerminalProgram(root, "tui", "large.py:2500", *flags)
    program.wait_for("handler_62")
    program.rest(1.0)
    program.send("\x1b[F\r")
    program.rest(1.0)
    took_ms = []
    before = psutil.Process(program.editor_pid).cpu_times()
    for number in range(count):
        letter = _LETTERS[number % len(_LETTERS)]
        started_s = time.monotonic()
        program.send(letter)
        took_ms.append((program.wait_for(letter) - started_s) * 1000)
        time.sleep(0.12)
        program.read()
        if number % 30 == 29:
            program.send("\r")
            program.rest(0.2)
    process = psutil.Process(program.editor_pid)
    memory = process.memory_info().rss
    after = process.cpu_times()
    processor_ms = (after.user + after.system - before.user - before.system) * 1000
    _leave(program)
    took_ms.sort()
    return {
        "key_ms_p50": round(statistics.median(took_ms), 1),
        "key_ms_p95": round(took_ms[int(len(took_ms) * 0.95)], 1),
        "key_processor_ms": round(processor_ms / count, 1),
        "memory_mb": round(memory / 1e6),
    }


def _leave(program: TerminalProgram) -> None:
    program.kill()
    program.close()


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(list(values)), 1)


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


if __name__ == "__main__":
    main()
