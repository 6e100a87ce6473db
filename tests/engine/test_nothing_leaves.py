"""Nothing leaves: the product at work in a network namespace that has no routes at all.

The kernel counts there what was tried: a connection, a datagram or a name that is looked up
finds no route. The engine's own socket is a file, and counts as nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import SMALL_MODEL

pytestmark = [pytest.mark.process, pytest.mark.model, pytest.mark.usefixtures("engine")]

# The counters of a namespace begin at zero: what TCP opened, UDP sent, and what found no route.
_COUNT = r"""
count() { awk '/^Tcp:/ && $6+0 {n+=$6} /^Udp:/ && $5+0 {n+=$5} /^Ip:/ && $13+0 {n+=$13} END {print n+0}' /proc/net/snmp; }
"""  # noqa: E501
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
_TRY = """
"$PYTHON" -c 'import socket; socket.socket().connect(("192.0.2.1", 80))' 2>/dev/null || true
"""


def in_namespace(script: str, folder) -> subprocess.CompletedProcess[str]:
    """The script's outcome where no interface is up; its answer is what was tried."""
    unshare = shutil.which("unshare")
    flags = ["--net"] if os.geteuid() == 0 else ["--net", "--map-root-user"]
    if unshare is None or subprocess.run([unshare, *flags, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody make a network namespace")
    return subprocess.run(
        [unshare, *flags, "bash", "-c", f"{_COUNT}\n{script}\ncount"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=250,
        env={**os.environ, "PYTHON": sys.executable, "MODEL": str(SMALL_MODEL)},
    )


@pytest.mark.slow
def test_index_search_complete_ask_and_hook_try_no_connection(repository):
    """All of it works without a route, and no process so much as looks for one."""
    done = in_namespace(_WORK, repository)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0"]


def test_what_is_tried_is_counted(repository):
    """A connection to an address that is nobody's shows up, so that the test above can fail."""
    done = in_namespace(_TRY, repository)
    assert int(done.stdout) >= 1, done.stderr
