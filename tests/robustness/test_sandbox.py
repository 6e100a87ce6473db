"""What a model wrote is run behind closed doors, or not at all."""

from __future__ import annotations

import pytest

from tests.bench.executed import bodies
from tests.bench.sandbox import SandboxUnavailableError, run_shut_in
from tests.robustness.samples import PYTHON

pytestmark = pytest.mark.process


@pytest.fixture(scope="module", autouse=True)
def _available():
    try:
        run_shut_in("pass")
    except SandboxUnavailableError as error:
        pytest.skip(f"no sandbox here: {error}")


def test_a_program_runs():
    """And its output comes back."""
    assert run_shut_in("import math\nprint(math.sqrt(4))").output == "2.0\n"
    assert run_shut_in(PYTHON + "\nassert is_prime(7)\n").is_well


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit(3)",
        "open('/etc/passwd')",
        "open('/tmp/file', 'w').write('a')",
        "import socket\nsocket.create_connection(('127.0.0.1', 22), 1)",
        "text = ' ' * (1 << 30)",
        "import os\nos.mkdir('/usr/made')",
        "import subprocess\nsubprocess.run(['mount', '-o', 'remount,rw', '/'], check=True)",
    ],
)
def test_what_is_outside_cannot_be_had(program):
    """Files, the network, memory, privileges."""
    assert not run_shut_in(program).is_well


def test_only_python_and_libraries_are_seen(tmp_path):
    """Not the user's files."""
    (tmp_path / "secret").write_text("a")
    program = (
        f"import os\nassert not os.path.exists({str(tmp_path)!r})\nassert not os.listdir('/tmp')"
    )
    assert run_shut_in(program).is_well


@pytest.mark.slow
def test_time_is_bounded():
    """A loop without an end is stopped."""
    assert not run_shut_in("while True: pass").is_well


def test_the_bodies_are_those_of_the_functions():
    """Each begins behind the docstring and ends with its function."""
    for name, place in bodies().items():
        before = place.source[: place.start].decode()
        assert before.rstrip().endswith('"""'), name
        assert place.hole.decode().count("\n\n\n") == 0
        assert place.source[: place.end].decode().count(f"def {name}(") == 1
