"""How long a commit of 20 files waits for the hook: with and without an engine, and with faults.

    python -m tests.bench.hook timing --repository DIR [--rounds N] [--choose typical|largest]
                                      [--model NAME]

Each round commits the same change once in every case, in turns, and once with `--no-verify`;
what is told is the difference within a round. Every file of the change gets a new function and
its first function another parameter; one file gets a stub, so that the model is asked. `typical`
takes 20 Python files by chance, `largest` the 20 largest ones. The hook's process is always a
new one. `--model` adds a case with a running engine and that model (`echo` needs no weights).
"""

from __future__ import annotations

import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from codebuddy.hook import stub
from tests.bench.hook_replay import Replay, git

_COMMAND = [sys.executable, "-P", "-m", "codebuddy"]
_N_FILES = 20
_ADDED = (
    "\n\ndef newly_added(values):\n    total = 0\n    for value in values:\n"
    "        total += value\n    return total\n"
)
_STUB = '\n\ndef median_of(values):\n    """The middle one of the values in order."""\n    pass\n'
_LIMIT_S = 2


@dataclass(frozen=True, slots=True)
class Case:
    """One way to commit."""

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    python: Path = Path(sys.executable)


def timing(source: Path, n_rounds: int, choice: str, model: str) -> None:
    """Print how much later a commit is done in each case."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-hook-") as folder,
        tempfile.TemporaryDirectory(prefix="cb-", dir="/tmp") as runtime,
    ):
        history = Replay(source, Path(folder), [])
        _, index = history.check_out(git(history.root, "rev-parse", "HEAD").strip())
        with index:
            n_lines = index.stats().lines
        n_changed = stage(history.root, choice)
        for name, value in (("user.name", "bench"), ("user.email", "bench@example.org")):
            git(history.root, "config", name, value)
        with engines(Path(runtime), history.root, model) as cases:
            times = measured(history.root, cases, n_rounds)
        print(f"{n_lines} lines indexed; {n_changed} {choice} files; {n_rounds} rounds")
        told(times)


def stage(root: Path, choice: str) -> int:
    """Change 20 files and stage them; returns how many."""
    paths = [Path(line) for line in git(root, "ls-files", "*.py").split("\n") if line]
    files = [root / path for path in paths if (root / path).stat().st_size > len(_ADDED)]
    if choice == "largest":
        files.sort(key=lambda file: -file.stat().st_size)
    else:
        random.Random(7).shuffle(files)
    for number, file in enumerate(files[:_N_FILES]):
        text = file.read_text(encoding="utf-8")
        text = re.sub(r"(?m)^(def \w+\()(?!\))", r"\1added, ", text, count=1)
        file.write_text(text + _ADDED + (_STUB if number == 0 else ""), encoding="utf-8")
    git(root, "add", "-A")
    return min(len(files), _N_FILES)


@contextmanager
def engines(runtime: Path, root: Path, model: str) -> Iterator[list[Case]]:
    """The cases, with what listens for them; all of it is ended afterwards."""
    places = {name: runtime / name for name in ("none", "dead", "hung", "slow", "real")}
    for place in places.values():
        (place / "codebuddy").mkdir(parents=True, mode=0o700)
        place.chmod(0o700)
    at = {name: {"XDG_RUNTIME_DIR": str(place)} for name, place in places.items()}
    without_model = {"CODEBUDDY_HOOK_BUDGET_S": "0"}
    hanging = runtime / "hanging"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    cases = [
        Case("without the hook", flags=("--no-verify",)),
        Case("no engine, rules alone", {**at["none"], **without_model}),
        Case("engine missing", at["none"]),
        Case("engine dead (a socket nobody listens at)", at["dead"]),
        Case("engine hung (accepts, says nothing)", at["hung"]),
        Case("engine slow (20 bytes a second)", at["slow"]),
        Case("Python missing", at["none"], python=runtime / "gone"),
        Case("Python hangs", at["none"], python=hanging),
    ]
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(places["dead"] / "codebuddy" / "engine.sock"))
    dead.close()
    listeners = [
        _listening(places["hung"], lambda connection: time.sleep(60)),
        _listening(places["slow"], _drip),
    ]
    try:
        if model:
            real = {**at["real"], "CODEBUDDY_MODEL_NAME": model}
            _engine(root, real, "start")
            cases[2:2] = [
                Case("engine warm, rules alone", {**real, **without_model}),
                Case(f"engine warm, model {model}", real),
            ]
        yield cases
    finally:
        for each in listeners:
            each.close()
        if model:
            _engine(root, at["real"], "stop")


def _engine(root: Path, environment: dict[str, str], verb: str) -> None:
    subprocess.run(
        [*_COMMAND, "engine", verb],
        cwd=root,
        env={**os.environ, **environment},
        check=verb == "start",
        capture_output=True,
    )


def _listening(place: Path, behave: Callable[[socket.socket], None]) -> socket.socket:
    """A socket in the engine's place that takes every caller and treats it so."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place / "codebuddy" / "engine.sock"))
    (place / "codebuddy" / "engine.sock").chmod(0o600)
    listener.listen()

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=_safely, args=(behave, connection), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener


def _safely(behave: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with suppress(OSError), connection:
        behave(connection)


def _drip(connection: socket.socket) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b" " * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def measured(root: Path, cases: list[Case], n_rounds: int) -> dict[str, list[float]]:
    """Seconds of each commit, by case."""
    script = root / ".git" / "hooks" / "pre-commit"
    script.parent.mkdir(exist_ok=True)
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(n_rounds):
        for case in cases:
            script.write_text(stub.script("pre-commit", case.python, _LIMIT_S))
            script.chmod(0o755)
            started = time.perf_counter()
            git(root, "commit", "-q", "-m", "Change", *case.flags, **case.environment)
            times[case.name].append(time.perf_counter() - started)
            git(root, "reset", "-q", "--soft", "HEAD^")
    return times


def told(times: dict[str, list[float]]) -> None:
    """Print how much later than without the hook, by case."""
    without = times.pop("without the hook")
    print(f"without the hook: median {statistics.median(without):.3f} s")
    print("| case | later, median | later, longest |")
    print("|---|--:|--:|")
    for name, each in times.items():
        later = sorted(one - other for one, other in zip(each, without, strict=True))
        print(f"| {name} | {statistics.median(later):.3f} s | {later[-1]:.3f} s |")
