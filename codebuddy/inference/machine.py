"""Which machine this is, for what was measured on it, and whether it has time to be measured."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codebuddy import platforms

_CPU_INFO = Path("/proc/cpuinfo")
_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")
# Larger libraries (a GPU's) are told by their size.
_HASHED_BYTES = 32 << 20
# Of all cores, while nothing of ours runs: too many to measure, and too many to go by the clock.
MAX_BUSY_SHARE, QUIET_SHARE = 0.5, 0.2
_LOOK_S, _POLL_S = 1.0, 0.004
_NICENESS = 10


def describe_machine() -> dict[str, Any]:
    """Processor, cores, and how many of them a control group allows; the same at each start."""
    import psutil

    return {
        "processor": _processor_name(),
        "cores": platforms.usable_cores(),
        "physical": psutil.cpu_count(logical=False) or 0,
        "allowed": allowed_cores(),
    }


def describe_build(version: str, library: str, features: str) -> dict[str, Any]:
    """A build of llama.cpp, by its version, what it says of itself, and its bytes.

    Args:
        version: Of the package.
        library: A file in the folder of its libraries.
        features: The instruction sets and backends that it was built with.
    """
    digest = hashlib.sha256()
    folder = Path(library).parent
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file.suffix not in (".so", ".dylib", ".dll"):
            continue
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\0".encode())
        if size <= _HASHED_BYTES:
            digest.update(file.read_bytes())
    return {"version": version, "features": features, "libraries": digest.hexdigest()[:16]}


def allowed_cores(groups: Path = _GROUPS, own: Path = _OWN_GROUP) -> float | None:
    """How many cores' time a Linux control group allows (a container's limit); None without one."""
    try:
        [name] = [
            line.split(":", 2)[2].strip()
            for line in own.read_text().splitlines()
            if line.startswith("0::")
        ]
    except (OSError, ValueError):
        name = "/"
    inner = groups / name.lstrip("/")
    limits = []
    for folder in (inner, *inner.parents):
        if not folder.is_relative_to(groups):
            break
        try:
            quota, period = (folder / "cpu.max").read_text().split()
            limits.append(int(quota) / int(period))
        except (OSError, ValueError, ZeroDivisionError):
            # No limit is written as a word.
            continue
    return min(limits) if limits else None


def thread_counts(physical: int) -> list[int]:
    """Numbers of threads that may be worth a try: of cores of each kind, and what is allowed."""
    counts = {physical, platforms.usable_cores()}
    allowed = allowed_cores()
    if allowed is not None:
        counts.add(max(1, math.ceil(allowed)))
    return sorted(counts)


def busy_share(check: Callable[[], None] = lambda: None) -> float:
    """How much of the processor is used, from 0 to 1. Takes a second.

    `check` is called every few milliseconds; what it raises ends the look.
    """
    import psutil

    psutil.cpu_percent(None)
    until = time.monotonic() + _LOOK_S
    while (left_s := until - time.monotonic()) > 0:
        check()
        time.sleep(min(left_s, _POLL_S))
    return float(psutil.cpu_percent(None)) / 100


def free_cores() -> int:
    """How many cores other programs leave, one at least. Takes a second.

    More threads than that spend their time waiting for each other.
    """
    return max(1, round(platforms.usable_cores() * (1 - busy_share())))


def is_on_battery() -> bool:
    """Whether the machine lives of its battery now."""
    import psutil

    battery = getattr(psutil, "sensors_battery", lambda: None)()
    return battery is not None and battery.power_plugged is False


def lower_priority() -> None:
    """Let other programs' work go before this process's, from now on."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        psutil.Process().nice(getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", _NICENESS))


def why_not_now(busy: float, *, on_battery: bool) -> str:
    """Why this is no time to measure, in words; empty where it is."""
    if on_battery:
        return "the machine runs on battery"
    if busy > MAX_BUSY_SHARE:
        return f"other programs keep the processor busy ({busy:.0%})"
    return ""


def _processor_name() -> str:
    try:
        with _CPU_INFO.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                name, _, value = line.partition(":")
                if name.strip() == "model name":
                    return f"{platform.machine()} {value.strip()}"
    except OSError:
        pass
    return f"{platform.machine()} {platform.processor() or os.name}"
