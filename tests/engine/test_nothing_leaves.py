"""Nothing leaves: the product at work in a network namespace that has no routes at all.

The kernel counts there what was tried: a connection, a datagram or a name that is looked up
finds no route. The engine's own socket is a file, and counts as nothing. Where strace can be had
it records who connects to what besides.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.conftest import SMALL_MODEL

pytestmark = [pytest.mark.process, pytest.mark.model, pytest.mark.usefixtures("engine")]

# An address of IPv6, without which the kernel refuses before it looks for a route; loopback is up.
_BEGIN = """
ip link set lo up && ip -6 address add 2001:db8:1::2/128 dev lo nodad || true
"""
# The counters of a namespace begin at zero: what TCP opened, UDP sent, and what found no route.
_COUNT = r"""
count() {
    awk '/^Tcp:/ && $6+0 {n+=$6} /^Udp:/ && $5+0 {n+=$5} /^Ip:/ && $13+0 {n+=$13}
        /^(Ip6OutNoRoutes|Udp6OutDatagrams)/ {n+=$2} END {print n+0}' /proc/net/snmp /proc/net/snmp6
}
"""
_TRACE = "strace -f --seccomp-bpf -qq -e trace=connect -o"
_WORK = """
set -e
codebuddy() { "$PYTHON" -P -m codebuddy "$@"; }
codebuddy index >&2
codebuddy search discount --json >&2
codebuddy complete cart.py:6 --model "$MODEL" --max-tokens 4 --json >&2
codebuddy complete cart.py:6 --model "$MODEL" --max-tokens 4 --no-engine --json >&2
codebuddy ask --no-model "what does apply_discount do" >&2
git add .
codebuddy hook run --staged >&2 || [ $? -eq 1 ]
codebuddy doctor >&2
codebuddy engine status >&2
codebuddy engine stop >&2
"""
# What leaves, each in its own way; the last one is a name that nobody has looked up before.
_TRIES = {
    "connection": 'socket.socket().connect(("192.0.2.1", 80))',
    "IPv6": 'socket.socket(socket.AF_INET6).connect(("2001:db8:2::1", 80))',
    "datagram": 'socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 80))',
    "name": 'socket.getaddrinfo("codebuddy-asks.example", 80)',
}


def in_namespace(script: str, folder, traced=None) -> subprocess.CompletedProcess[str]:
    """The script's outcome where nothing but loopback is up; its answer is what was tried.

    Every connect() of every process below it is written to `traced`, where strace can be had.
    """
    unshare = shutil.which("unshare")
    flags = ["--net"] if os.geteuid() == 0 else ["--net", "--map-root-user"]
    if unshare is None or subprocess.run([unshare, *flags, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody make a network namespace")
    trace = "" if traced is None or not can_trace() else f"{_TRACE} {shlex.quote(str(traced))} "
    work = f"{_BEGIN}\n{_COUNT}\n{trace}bash -c {shlex.quote(script)} || exit\ncount"
    return subprocess.run(
        [unshare, *flags, "bash", "-c", work],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=250,
        env={**os.environ, "PYTHON": sys.executable, "MODEL": str(SMALL_MODEL)},
    )


@functools.cache
def can_trace() -> bool:
    """Whether strace is there and may look."""
    try:
        return not subprocess.run(
            [*_TRACE.split(), "/dev/null", "true"], capture_output=True
        ).returncode
    except OSError:
        return False


def connected(traced) -> list[str]:
    """The families of sockets' addresses in the trace, of each connect()."""
    return re.findall(r"connect\(.*?sa_family=(\w+)", traced.read_text())


@pytest.mark.slow
def test_index_search_complete_ask_and_hook_try_no_connection(repository, tmp_path):
    """All of it works without a route, and no process so much as looks for one.

    Where strace is, each connect() is to a file: the engine's, or that of a daemon of the system.
    """
    traced = tmp_path / "traced"
    done = in_namespace(_WORK, repository, traced)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0"]
    if can_trace():
        assert "engine" in traced.read_text()
        assert set(connected(traced)) == {"AF_UNIX"}


@pytest.mark.parametrize("way", _TRIES)
def test_what_is_tried_is_counted(repository, tmp_path, way):
    """Whatever is meant to leave shows up, so that the test above can fail."""
    traced = tmp_path / "traced"
    program = f"import socket; {_TRIES[way]}"
    script = f'"$PYTHON" -c {shlex.quote(program)} 2>/dev/null || true'
    done = in_namespace(script, repository, traced)
    assert int(done.stdout) >= 1, done.stderr
    if can_trace() and way != "datagram":
        assert set(connected(traced)) - {"AF_UNIX"}
