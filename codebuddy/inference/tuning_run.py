"""Tuning from the outside: asks whether this is a time for it, runs the program that measures, and
keeps what it says. A program that one way of running the model ends is told of that the next time.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from codebuddy import platforms
from codebuddy.cancellation import CancellationToken
from codebuddy.errors import EngineError, GenerationError, ModelError
from codebuddy.inference import machine, tuning
from codebuddy.inference.gguf import read_header
from codebuddy.inference.llama_library import gpu_devices
from codebuddy.inference.run_options import RunOptions, untuned_options
from codebuddy.inference.tuning import Tuning
from codebuddy.settings import ModelSettings

# All of a tuning, and what a loading that began in time may take beyond it.
SECONDS, _GRACE_S = 60.0, 60.0
_POLL_S = 0.004
_MODULE = "codebuddy.inference.tuner"
# By these a processor or a library ends a program; others come from outside.
_CRASHES = frozenset({"SIGILL", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGABRT", "SIGTRAP"})

Say = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked: `is_forced` measures on a busy machine too, and what is known already."""

    path: Path
    name: str
    settings: ModelSettings
    is_forced: bool = False
    is_background: bool = False
    seconds: float = SECONDS


def tune(
    wish: Wish,
    cancellation: CancellationToken,
    say: Say = lambda _: None,
    command: list[str] | None = None,
) -> tuple[Tuning, bool]:
    """What was found, which is kept, and whether it was measured now: it is once.

    Args:
        wish: Of which model.
        cancellation: Ends the measuring within milliseconds; nothing of it is kept.
        say: Told of each step.
        command: The program, if it is another.

    Raises:
        SupersededError: It was cancelled.
        EngineError: This is no time for it: full load, or battery.
        ModelError: llama.cpp cannot load the model.
        GenerationError: The program failed in a way of its own.
    """
    identity = tuning.identity_of(wish.path, wish.settings)
    known = tuning.find(identity)
    if known is not None and known.is_finished and not wish.is_forced:
        return known, False
    # Looked up first: that takes no time.
    on_battery = machine.is_on_battery()
    may_measure = wish.is_forced or not on_battery
    busy = machine.busy_share(cancellation.check) if may_measure else 0.0
    reason = machine.why_not_now(busy, on_battery=on_battery)
    if reason and not wish.is_forced:
        raise EngineError(
            f"this is no time to measure: {reason}", hint="later, or codebuddy engine tune --force"
        )
    has_crashed = known is not None and known.crashed
    for _ in range(2):
        task = {
            "path": str(wish.path),
            "settings": asdict(wish.settings),
            "crashed": has_crashed,
            "is_busy": busy > machine.QUIET_SHARE,
            "seconds": wish.seconds,
            "is_background": wish.is_background,
        }
        found = _measure(task, wish, cancellation, say, command)
        if found is not None:
            with contextlib.suppress(OSError):
                tuning.keep(identity, found)
            return found, True
        # Once more, without what ended it: it is remembered first, whatever comes of that.
        has_crashed = True
        usual = untuned_options(wish.settings, read_header(wish.path), gpu_devices())
        with contextlib.suppress(OSError):
            tuning.keep(identity, Tuning(usual, crashed=True))
        say({"type": "crashed"})
    raise GenerationError("the program that measures crashes whatever it measures")


def _measure(
    task: dict[str, Any],
    wish: Wish,
    cancellation: CancellationToken,
    say: Say,
    command: list[str] | None,
) -> Tuning | None:
    """What the program found; None where weights laid out in another way ended it."""
    is_risky, ends_at = False, time.monotonic() + wish.seconds + _GRACE_S
    with tempfile.TemporaryFile() as errors, contextlib.ExitStack() as end:
        process = subprocess.Popen(
            command or platforms.python_command(_MODULE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=platforms.child_environment(),
        )
        end.callback(_end, process)
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps(task).encode() + b"\n")
            process.stdin.flush()
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=_pass_on, args=(process.stdout, lines), daemon=True).start()
        while True:
            try:
                line = lines.get(timeout=_POLL_S)
            except queue.Empty:
                cancellation.check()
                if time.monotonic() > ends_at:
                    raise GenerationError("the program that measures does not end") from None
                continue
            if not line:
                break
            message = _message(line)
            kind = message.get("type")
            if kind == "result":
                return _result(message)
            if kind == "error":
                raise ModelError(str(message.get("message")), hint=str(message.get("hint", "")))
            is_risky = kind == "trying"
            say(message)
        code = process.wait()
        name = _signal_name(code)
        if is_risky and name in _CRASHES:
            return None
        errors.seek(0, os.SEEK_SET)
        said = errors.read(4096).decode("utf-8", "replace").strip().splitlines()[-1:]
        reason = "".join(said)[:200] or (f"ended by {name}" if name else f"code {code}")
        raise GenerationError(f"the program that measures {wish.name} failed: {reason}")


def apply(path: Path, settings: ModelSettings) -> tuple[RunOptions | None, dict[str, object]]:
    """Options to load a model with, None for the usual ones; and what to tell of them."""
    identity = tuning.identity_of(path, settings)
    known = tuning.find(identity)
    if known is None:
        return None, tuning.summary(None, has_others=tuning.has_other(identity))
    if not known.is_finished:
        return None, tuning.summary(known)
    usual = untuned_options(settings, read_header(path), gpu_devices())
    # What fits onto a GPU may be less than it was.
    layers = min(known.options.gpu_layers, usual.gpu_layers)
    return replace(known.options, gpu_layers=layers), tuning.summary(known)


def _message(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise GenerationError("the program that measures said something that is no message")
    return value


def _result(message: dict[str, Any]) -> Tuning:
    try:
        return Tuning.from_json(message.get("tuning"))
    except (KeyError, TypeError, ValueError) as error:
        raise GenerationError(f"what was measured makes no sense: {error}") from error


def _signal_name(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else ""
    except ValueError:
        return f"signal {-code}"


def _pass_on(stream: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    with contextlib.suppress(OSError, ValueError):
        for line in stream:
            lines.put(line)
    lines.put(b"")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it; nobody waits until the system has taken back its memory, which takes 0.1 s."""
    with contextlib.suppress(OSError):
        process.kill()
    threading.Thread(target=process.wait, daemon=True).start()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
