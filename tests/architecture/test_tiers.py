"""The guard of the fast tier: it fails what needs a marker, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = """\
import asyncio
import subprocess
import sys
import time

import pytest

from codebuddy.inference.llama import LlamaGenerator


@pytest.fixture(scope="module")
def server():
    subprocess.run([sys.executable, "-c", ""], check=True)


def test_fails_child():
    subprocess.run([sys.executable, "-c", ""], check=True)


def test_fails_child_whose_refusal_is_swallowed():
    try:
        subprocess.run([sys.executable, "-c", ""], check=True)
    except Exception:
        pass


def test_fails_shared_fixture(server):
    pass


def test_fails_shared_fixture_that_is_there_already(server):
    pass


def test_fails_weights():
    LlamaGenerator("x.gguf", "x", None)


def test_fails_sleep():
    time.sleep(0.06)


def test_fails_sleep_in_a_loop_of_events():
    asyncio.run(asyncio.sleep(0.06))


def test_passes_git():
    subprocess.run(["git", "--version"], check=True)


def test_passes_short_sleep():
    time.sleep(0.001)


@pytest.mark.process
def test_passes_marked_child(server):
    subprocess.run([sys.executable, "-c", ""], check=True)


@pytest.mark.slow
def test_passes_marked_sleep():
    time.sleep(0.06)


def test_passes_fixture_with_a_marker(engine, request):
    assert request.node.get_closest_marker("process")


@pytest.mark.terminal
def test_passes_terminal_is_a_process(request):
    assert request.node.get_closest_marker("process")
"""


@pytest.mark.process
def test_the_guard_fails_what_needs_a_marker(tmp_path):
    """Programs, weights and waits, in the test or in what it asks for; git is free."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "test_module.py").write_text(MODULE)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rfE"]
        + ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    failed = set(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", done.stdout, re.MULTILINE))
    defined = set(re.findall(r"^def (test_\w+)", MODULE, re.MULTILINE))
    assert failed == {name for name in defined if name.startswith("test_fails_")}, done.stdout
    assert "mark the test `process`" in done.stdout
