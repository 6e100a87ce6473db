"""git with a bound on its time and on what it writes; it runs nothing that a repository names."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from codebuddy import platforms
from codebuddy.errors import RepositoryError
from codebuddy.vcs.repository import (
    SAFE_CONFIG,
    SAFE_ENVIRONMENT,
    git_environment,
    git_executable,
)

# For what fetches nothing.
NO_TRANSPORT = "none"
_LOOK_EVERY_S = 0.2


class StoppedError(Exception):
    """git was ended, since it took too much or too long."""


def run_bounded(
    folder: Path,
    arguments: Sequence[str],
    transport: str,
    deadline: float,
    is_too_large: Callable[[], bool] | None = None,
    most: int = 1 << 20,
) -> bytes:
    """git's stdout, its first `most` bytes; of the ways to fetch `transport` alone may be used.

    It runs nothing that a repository names, and asks nobody for a password.

    Raises:
        RepositoryError: git failed or is missing.
        StoppedError: It took too long, or what it wrote became too large.
    """
    options = [
        part
        for setting in (
            *SAFE_CONFIG,
            "protocol.allow=never",
            "protocol.ext.allow=never",
            f"protocol.{transport}.allow=always",
            "submodule.recurse=false",
            "fetch.recurseSubmodules=false",
            "core.protectNTFS=true",
            "core.protectHFS=true",
            "gc.auto=0",
            "maintenance.auto=false",
            "advice.detachedHead=false",
        )
        for part in ("-c", setting)
    ]
    environment = git_environment(os.environ) | SAFE_ENVIRONMENT
    environment |= {"GIT_ALLOW_PROTOCOL": transport, "SSH_ASKPASS_REQUIRE": "never"}
    environment |= {"GIT_ASKPASS": "", "SSH_ASKPASS": "", "GCM_INTERACTIVE": "never"}
    if time.monotonic() > deadline:
        raise StoppedError("it takes too long")
    command = [git_executable(), "-C", str(folder), *options, *arguments]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            # Without a terminal nobody can be asked for a password.
            start_new_session=not platforms.IS_WINDOWS,
        )
    except OSError as error:
        raise RepositoryError(f"git cannot be started: {error.strerror}") from error
    return _answer(process, deadline, is_too_large, most)


def _answer(
    process: subprocess.Popen[bytes],
    deadline: float,
    is_too_large: Callable[[], bool] | None,
    most: int,
) -> bytes:
    from concurrent.futures import ThreadPoolExecutor

    assert process.stdout is not None
    assert process.stderr is not None
    stopped = ""
    with ThreadPoolExecutor(2) as readers:
        out = readers.submit(_read, process.stdout, most)
        complaint = readers.submit(_read, process.stderr, 1 << 16)
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_EVERY_S)
                break
            if time.monotonic() > deadline:
                stopped = "it takes too long"
            elif is_too_large is not None and is_too_large():
                stopped = "it is too large"
            if stopped:
                break
        platforms.kill_with_children(process)
    process.stdout.close()
    process.stderr.close()
    if stopped or (is_too_large is not None and is_too_large()):
        raise StoppedError(stopped or "it is too large")
    if process.returncode != 0:
        lines = complaint.result().decode("utf-8", "replace").strip().splitlines()
        said = next((line for line in lines if line.startswith("fatal: ")), (lines or [""])[-1])
        raise RepositoryError(said.removeprefix("fatal: ")[:300] or "git gave no reason")
    return out.result()


def _read(stream: object, most: int) -> bytes:
    """The first `most` bytes; the rest is read, too, so that git can end."""
    found = stream.read(most)  # type: ignore[attr-defined]
    while stream.read(1 << 20):  # type: ignore[attr-defined]
        pass
    return bytes(found)
