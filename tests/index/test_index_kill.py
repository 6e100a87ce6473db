"""Indexers that are killed or interrupted leave a whole index."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.index import clean_dump, database, dump, index, make_repository, module

pytestmark = pytest.mark.process

SCRIPT = Path(__file__).parents[1] / "bench" / "kill_index.py"


@pytest.mark.slow
def test_twenty_kills_at_random_moments_never_damage_the_index():
    """After each kill every row is right, and in the end the index equals a clean build."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--kills", "20", "--seed", str(time.time_ns())],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["kills"] == 20
    assert (outcome["damaged"], outcome["equals_clean_build"]) == (0, True)
    assert outcome["left_over"] == ["index.db", "index.lock", "index.seal"]


def _start(root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "codebuddy", "index", "--jobs", "2"],
        cwd=root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])},
    )


def _wait_for_workers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [child for child in psutil.Process(process.pid).children() if _is_worker(child)]
        if len(found) == 2:
            return found
        time.sleep(0.01)
    process.kill()
    raise AssertionError(f"no workers came: {process.communicate()}")


def _is_worker(child: psutil.Process) -> bool:
    try:
        return "codebuddy.index.worker" in child.cmdline()
    except psutil.Error:
        # It ended between the two questions.
        return False


def _many_files(tmp_path: Path) -> Path:
    big = {f"m{i}.py": "".join(module(f"name_{i}_{j}") for j in range(45)) for i in range(70)}
    return make_repository(tmp_path / "r", dict(big))


def test_ctrl_c_ends_with_130_and_the_next_run_goes_on(tmp_path):
    """An interrupt in mid-build is told in one word and leaves no worker and no damage."""
    root = _many_files(tmp_path)
    process = _start(root)
    workers = _wait_for_workers(process)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint.strip()) == (130, b"error: interrupted")
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []
    # Nothing was committed yet, so that there is no index, and none that is damaged.
    was_there = database(root).exists()
    assert index(root, jobs=2).is_rebuilt is not was_there
    assert not database(root).with_name("index.db.damaged").exists()
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")


def test_workers_end_with_a_killed_parent(tmp_path):
    """SIGKILL to the indexer leaves no process behind."""
    root = _many_files(tmp_path)
    process = _start(root)
    workers = _wait_for_workers(process)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []


@pytest.mark.slow
def test_a_killed_worker_costs_nothing(tmp_path):
    """When workers are shot, their batches are done again and nothing is missing."""
    root = _many_files(tmp_path)
    process = _start(root)
    workers = _wait_for_workers(process)
    workers[0].kill()
    _, complaint = process.communicate(timeout=120)
    assert (process.returncode, complaint) == (0, b"")
    found = dump(database(root))
    assert found == clean_dump(root, tmp_path / "clean")
    assert len(found["files"]) == 70
