"""The same tasks on a Ray cluster of this machine."""

from __future__ import annotations

import os
import signal
import threading

import psutil
import pytest

pytest.importorskip("ray", reason="needs codebuddy[fleet]; .ci/extras has it")

from codebuddy.errors import CodebuddyError
from codebuddy.fleet.drive import run_fleet
from codebuddy.fleet.ray_runner import RayRunner
from codebuddy.fleet.tasks import Job
from tests.fleet.test_run import JOB, make_many

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster():
    """One for all, since a start takes seconds."""
    runner = RayRunner(2)
    yield runner
    runner.close()


def test_ray_gives_what_processes_give(cluster, tmp_path):
    """And one repository's failure is its own."""
    roots = [*make_many(tmp_path, 4), str(tmp_path / "gone")]
    run = run_fleet(roots, JOB, cluster, 2)
    assert [each.root for each in run.outcomes] == roots
    assert [each.result["files"] for each in run.outcomes[:4] if each.result] == [1, 1, 1, 1]
    assert [each.root for each in run.failed] == [roots[4]]
    again = run_fleet(roots[:1], Job("index", {}, {}, "0.0.0"), cluster, 2)
    assert "0.0.0" in again.failed[0].error


def test_a_killed_worker_of_ray_loses_nothing_and_doubles_nothing(cluster, tmp_path):
    """Its processes are found as children of this one's raylet."""
    roots = make_many(tmp_path, 8)
    stop = threading.Event()
    killed: list[int] = []

    def kill_twice() -> None:
        while not stop.wait(0.2) and len(killed) < 2:
            for child in psutil.Process().children(recursive=True):
                try:
                    name = " ".join(child.cmdline())
                except psutil.Error:
                    continue
                if "ray::run_task" in name:
                    os.kill(child.pid, signal.SIGKILL)
                    killed.append(child.pid)
                    break

    killer = threading.Thread(target=kill_twice)
    killer.start()
    seen: list[str] = []
    try:
        run = run_fleet(
            roots,
            Job("index", {"force": True}, {"index.embedder": "none"}),
            cluster,
            2,
            retries=10,
            on_outcome=lambda each, _d, _o: seen.append(each.root),
        )
    finally:
        stop.set()
        killer.join()
    assert sorted(seen) == sorted(roots)
    assert run.failed == []


def test_a_cluster_that_is_not_there_is_said(cluster):
    """One sentence, with the address."""
    cluster.close()
    with pytest.raises(CodebuddyError, match=r"127\.0\.0\.1:1 cannot be used"):
        RayRunner(1, "127.0.0.1:1")
