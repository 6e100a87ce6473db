"""Runs one download process and gives up on it when no bytes arrive.

The one place that starts, watches and ends such processes. It counts bytes in a folder and
knows nothing of what is downloaded.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codebuddy import platforms
from codebuddy.inference.fetch_child import EXIT_NO_SPACE

_POLL_S = 0.1
_REASON_BYTES = 4096
_CREDENTIALS = re.compile(r"//[^/@\s]+@")
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{8,}")
_NO_SPACE_TEXT = re.compile(r"Errno (28|122|27)\b|No space left on device|File too large")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a source may be silent before it gives way to the next."""

    first_byte_s: float = 10.0
    stall_s: float = 30.0


class SourceError(Exception):
    """A source failed; the text completes the sentence 'the source …'."""


class NoSpaceError(Exception):
    """The disk is full: another source would not help."""


def child_command(arguments: Sequence[str]) -> list[str]:
    """The command line of a download process (see `fetch_child`)."""
    program = Path(__file__).with_name("fetch_child.py")
    return platforms.python_command(program, *arguments)


def folder_bytes(folder: Path) -> int:
    """Bytes of all payload in `folder`; the small notes (.json) do not count."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            if not name.endswith(".json"):
                with contextlib.suppress(OSError):
                    total += (Path(root) / name).stat().st_size
    return total


def run_watched(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    limits: Limits,
    update: Callable[[int], None],
) -> None:
    """Run a download process in `folder` until it ends or falls silent.

    Args:
        arguments: For `fetch_child`.
        environment: The whole environment of the process.
        folder: Where its bytes arrive; also its working directory.
        limits: How long it may be silent.
        update: Called with the folder's bytes as they change.

    Raises:
        SourceError: It failed or fell silent.
        NoSpaceError: The disk is full.
    """
    with tempfile.TemporaryFile() as errors:
        process = platforms.spawn_detached_from_terminal(
            child_command(arguments), environment, folder=folder, output=errors
        )
        try:
            _watch(process, folder, limits, update)
        finally:
            _end(process)
        if process.returncode != 0:
            errors.seek(0, os.SEEK_END)
            errors.seek(max(0, errors.tell() - _REASON_BYTES))
            text = errors.read().decode(errors="replace")
            if process.returncode == EXIT_NO_SPACE or _NO_SPACE_TEXT.search(text):
                raise NoSpaceError
            raise SourceError(f"failed: {_reason(text, environment)}")


def _watch(
    process: subprocess.Popen[bytes],
    folder: Path,
    limits: Limits,
    update: Callable[[int], None],
) -> None:
    before = folder_bytes(folder)
    has_begun, since = False, time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
            return
        now = folder_bytes(folder)
        if now != before:
            before, has_begun, since = now, True, time.monotonic()
            update(now)
        elif not has_begun and time.monotonic() - since > limits.first_byte_s:
            raise SourceError(f"did not answer within {limits.first_byte_s:g} s")
        elif has_begun and time.monotonic() - since > limits.stall_s:
            raise SourceError(f"sent nothing for {limits.stall_s:g} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it started, at once."""
    platforms.kill_with_children(process)
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _reason(text: str, environment: Mapping[str, str]) -> str:
    """The last line of what the process said, without anything secret."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not line.lower().startswith(("warning", "[notice]"))]
    reason = (said or lines or ["it gave no reason"])[-1]
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if secret := environment.get(name, "").strip():
            reason = reason.replace(secret, "***")
    reason = _CREDENTIALS.sub("//***@", _TOKEN.sub("***", reason))
    return reason.removeprefix("ERROR: ").rstrip(".")[:300]
