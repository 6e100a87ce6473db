"""How fast the editor is, through a real pseudo-terminal: `make bench-tui`.

Prints a table and, last, one line of JSON. It measures from outside: a key is written, and
the clock stops when its character comes back. Completions run meanwhile: one is asked for
before every key. `make bench-tui BENCH="--model qwen2.5-coder-1.5b"` lets a real model do it.
The engine is one of its own, in a home of its own.
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

from codebuddy import paths
from tests.support.tui import TerminalProgram, plain

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
    parser.add_argument("--starts", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "repository"
        root.mkdir()
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        (root / "small.py").write_text("".join(_LINE.format(n=n) for n in range(10)))
        (root / "large.py").write_text("".join(_LINE.format(n=n) for n in range(1250)))
        (root / "huge.py").write_text("".join(_LINE.format(n=n) for n in range(12_500)))
        _move_home(Path(folder))
        flags = ["--model", options.model, "--no-restore"]
        try:
            figures = {
                "commit": _commit(),
                "load": round(os.getloadavg()[0], 2),
                "model": options.model,
                **_first_paint(root, flags, options.starts, is_warm=False),
                **_first_paint(root, flags, options.starts, is_warm=True),
                **_open_huge(root, flags, 5),
                **_keystrokes(root, flags, options.keys),
            }
        finally:
            _codebuddy(root, "engine", "stop")
    for name, value in figures.items():
        print(f"{name:<28} {value}", file=sys.stderr)
    print(json.dumps(figures))


def _move_home(folder: Path) -> None:
    """No settings and no engine of the person's own; their models."""
    os.environ["CODEBUDDY_MODEL_FOLDER"] = str(paths.models_folder())
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        place = folder / name.lower()
        place.mkdir(mode=0o700)
        os.environ[name] = str(place)


def _codebuddy(root: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "codebuddy", *arguments]
    subprocess.run(command, cwd=root, capture_output=True, check=False)


def _first_paint(root: Path, flags: list[str], count: int, *, is_warm: bool) -> dict[str, object]:
    """Milliseconds from the start of the process to a drawn screen, and to the file's text.

    Warm: an engine runs. Cold: none does, and the editor starts one beside itself. The
    processor's time is told too, since it stays the same where others compute.
    """
    painted_ms, shown_ms, processor_ms = [], [], []
    _codebuddy(root, "engine", "stop")
    if is_warm:
        _codebuddy(root, "engine", "start")
        _codebuddy(root, "complete", "small.py:1", *flags[:2])
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
        if not is_warm:
            _codebuddy(root, "engine", "stop")
    name = "warm" if is_warm else "cold"
    return {
        f"first_paint_{name}_ms": _median(painted_ms),
        f"first_paint_{name}_worst_ms": round(max(painted_ms), 1),
        f"first_paint_{name}_processor_ms": _median(processor_ms),
        f"text_shown_{name}_ms": _median(shown_ms),
    }


def _open_huge(root: Path, flags: list[str], count: int) -> dict[str, object]:
    """Milliseconds from Enter in the file palette to the text of 50,000 lines on the screen."""
    took_ms, memory_mb = [], []
    for _ in range(count):
        program = TerminalProgram(root, "tui", *flags)
        program.wait_for("huge.py")
        program.rest()
        program.send("\x10")
        program.rest()
        program.send("huge")
        program.rest()
        started_s = time.monotonic()
        program.send("\r")
        took_ms.append((program.wait_for("handler_0") - started_s) * 1000)
        program.rest(1.0)
        memory_mb.append(_memory_mb(program))
        _leave(program)
    return {"open_50000_lines_ms": _median(took_ms), "memory_50000_lines_mb": max(memory_mb)}


def _keystrokes(root: Path, flags: list[str], count: int) -> dict[str, object]:
    """Milliseconds from a key to its character, typing in the middle of 5,000 lines.

    A suggestion is asked for 0.1 s before each key, so that the engine is at work, and the
    key withdraws it.
    """
    program = TerminalProgram(root, "tui", "large.py:2500", *flags)
    program.wait_for("handler_62")
    program.rest(1.0)
    program.send("\x1b[F\r")
    program.rest(1.0)
    took_ms = []
    before = psutil.Process(program.editor_pid).cpu_times()
    for number in range(count):
        program.send("\x00")
        _rest_s(program, 0.1)
        letter = _LETTERS[number % len(_LETTERS)]
        started_s = time.monotonic()
        program.send(letter)
        took_ms.append((program.wait_for(letter) - started_s) * 1000)
        _rest_s(program, 0.1)
        if number % 30 == 29:
            program.send("\r")
            program.rest(0.2)
    after = psutil.Process(program.editor_pid).cpu_times()
    memory_mb = _memory_mb(program)
    processor_ms = (after.user + after.system - before.user - before.system) * 1000
    _leave(program)
    took_ms.sort()
    return {
        "key_ms_p50": round(statistics.median(took_ms), 1),
        "key_ms_p95": round(took_ms[int(len(took_ms) * 0.95)], 1),
        "key_ms_worst": round(took_ms[-1], 1),
        "key_processor_ms": round(processor_ms / count, 1),
        "memory_mb": memory_mb,
    }


def _rest_s(program: TerminalProgram, seconds: float) -> None:
    """Read for so long."""
    ends_s = time.monotonic() + seconds
    while (left_s := ends_s - time.monotonic()) > 0:
        program.read(left_s)


def _memory_mb(program: TerminalProgram) -> int:
    return round(psutil.Process(program.editor_pid).memory_info().rss / 1e6)


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
