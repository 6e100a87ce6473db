"""Runs a Python program that nobody has read: no network, no files of ours, bounded.

Namespaces of Linux, by `unshare`: a network without devices, a root folder in memory that
holds Python and the system's libraries read-only, no process but its own, and no privileges in
any of them. Where that cannot be had, nothing is run. The number of processes of root is not
limited, that of anybody else is.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_SECONDS, _MEMORY_BYTES = 5, 512 << 20
_MAX_OUTPUT_BYTES = 100_000
# What is said first of all behind closed doors.
_INSIDE = b"shut in"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_SETUP = """
set -e
root=$1; prefix=$2
mount --make-rprivate /
mount -t tmpfs -o size=16m,mode=755 none "$root"
for each in /usr /bin /lib /lib64 "$prefix"; do
    [ -d "$each" ] || continue
    mkdir -p "$root$each"
    mount --bind "$each" "$root$each"
    mount -o remount,bind,ro,nosuid "$root$each"
done
mkdir "$root/tmp"
mount -o remount,ro "$root"
exec chroot "$root" setpriv --bounding-set=-all --inh-caps=-all --no-new-privs \
    "$prefix/bin/python3" -I -S -c "$3"
"""
_RUNNER = f"""
import resource, sys
source = sys.stdin.read()
for what, most in (
    (resource.RLIMIT_AS, {_MEMORY_BYTES}), (resource.RLIMIT_CPU, {_SECONDS}),
    (resource.RLIMIT_NPROC, 1), (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_NOFILE, 16), (resource.RLIMIT_CORE, 0),
):
    resource.setrlimit(what, (most, most))
print({_INSIDE.decode()!r}, file=sys.stderr, flush=True)
exec(compile(source, "<program>", "exec"), {{"__name__": "__main__"}})
"""


class SandboxUnavailableError(Exception):
    """This machine cannot shut a program in; nothing was run."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended: whether well, and what it wrote."""

    is_well: bool
    output: str


def run_shut_in(program: str) -> Finished:
    """Run a program; it ended well if it came to its end within time and memory.

    Raises:
        SandboxUnavailableError: The sandbox cannot be made here.
    """
    unshare = shutil.which("unshare")
    if unshare is None or sys.platform != "linux" or shutil.which("setpriv") is None:
        raise SandboxUnavailableError("programs are shut in with unshare and setpriv of Linux")
    with tempfile.TemporaryDirectory(prefix="codebuddy-sandbox-") as root:
        command = [unshare, "--user", "--map-root-user", "--net", "--mount", "--pid", "--ipc"]
        command += ["--fork", "--kill-child", "sh", "-c", _SETUP, "sh", root]
        command += [str(Path(sys.base_prefix)), _RUNNER]
        try:
            done = subprocess.run(
                command,
                input=program.encode(),
                capture_output=True,
                timeout=4 * _SECONDS,
                env={"PATH": _PATH, "LANG": "C.UTF-8"},
                cwd="/",
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Finished(is_well=False, output="")
    if _INSIDE not in done.stderr:
        said = done.stderr.decode("utf-8", "replace").strip()[-500:]
        raise SandboxUnavailableError(said or "the sandbox cannot be made")
    output = done.stdout[:_MAX_OUTPUT_BYTES].decode("utf-8", "replace")
    return Finished(done.returncode == 0, output)
