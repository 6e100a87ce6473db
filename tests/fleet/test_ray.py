"""The same tasks on a Ray cluster of this machine."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
from functools import partial
from pathlib import Path

import psutil
import pytest

# Not imported before the product does, which sets variables that are read then.
if importlib.util.find_spec("ray") is None:
    pytest.skip("needs codebuddy[fleet]; .ci/extras has it", allow_module_level=True)

from codebuddy import paths
from codebuddy.errors import CodebuddyError
from codebuddy.fleet.drive import run_fleet
from codebuddy.fleet.ray_runner import RayRunner
from codebuddy.fleet.tasks import Job
from codebuddy.vcs.clones import origin_of
from tests.fleet.test_run import JOB, keep_root, make_many
from tests.support.index import index, run_git

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


# Each costs the start of a worker, of seconds; processes are killed more often in test_run.py.
_KILLS = 3


@pytest.fixture(scope="module")
def workers_cache(tmp_path_factory):
    """The cache folder of the workers."""
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def standing_in(tmp_path_factory):
    """The folder from which the cluster is started."""
    return tmp_path_factory.mktemp("standing-in")


@pytest.fixture(scope="module")
def cluster(workers_cache, standing_in):
    """One for all, since a start takes seconds."""
    here = Path.cwd()
    os.chdir(standing_in)
    try:
        runner = RayRunner(2, environment={"XDG_CACHE_HOME": str(workers_cache)})
        assert Path.cwd() == standing_in
    finally:
        os.chdir(here)
    yield runner
    runner.close()


def test_no_module_of_the_folder_one_stands_in_is_loaded_by_a_worker(cluster, standing_in):
    """It may be any repository; Ray itself would put it first on the workers' path."""

    def places():
        import sys
        from pathlib import Path

        return [str(Path.cwd()), *sys.path]

    found = cluster._ray.get(cluster._ray.remote(places).remote())
    assert str(standing_in) not in found
    assert "" not in found


def test_a_cluster_of_one_s_own_is_no_other_user_s(cluster):
    """It listens at loopback alone, and its files lie in a folder that is closed to others."""
    listening = [
        each.laddr.ip.removeprefix("::ffff:")
        for child in psutil.Process().children(recursive=True)
        for each in child.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert [each for each in listening if each not in ("127.0.0.1", "::1")] == []
    session = Path(cluster._ray._private.worker._global_node.get_session_dir_path())
    assert cluster._folder in session.parents
    assert cluster._folder.stat().st_mode & 0o077 == 0
    assert not (Path.home() / ".ray" / "auth_token").exists()


def test_ray_gives_what_processes_give(cluster, tmp_path):
    """And one repository's failure is its own."""
    roots = [*make_many(tmp_path, 4), str(tmp_path / "gone")]
    run = run_fleet(roots, JOB, cluster, 2)
    assert [each.root for each in run.outcomes] == roots
    assert [each.result["files"] for each in run.outcomes[:4] if each.result] == [1, 1, 1, 1]
    assert [each.root for each in run.failed] == [roots[4]]
    again = run_fleet(roots[:1], Job("index", {}, {}, "0.0.0"), cluster, 2)
    assert "0.0.0" in again.failed[0].error


def test_workers_of_ray_killed_again_and_again_lose_nothing_and_double_nothing(cluster, tmp_path):
    """Its processes are found as children of this one's raylet."""
    roots = make_many(tmp_path, 8)
    stop = threading.Event()
    killed: set[int] = set()

    def kill_now_and_then() -> None:
        while not stop.wait(0.1) and len(killed) < _KILLS:
            for child in psutil.Process().children(recursive=True):
                try:
                    is_at_work = "ray::run_task" in " ".join(child.cmdline())
                except psutil.Error:
                    continue
                if is_at_work and child.pid not in killed:
                    os.kill(child.pid, signal.SIGKILL)
                    killed.add(child.pid)
                    break

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    job = Job("index", {"force": True}, {"index.embedder": "none"})
    try:
        while len(killed) < _KILLS:
            seen: list[str] = []
            note = partial(keep_root, seen)
            run = run_fleet(roots, job, cluster, 2, retries=40, on_outcome=note)
            assert sorted(seen) == sorted(roots)
            assert run.failed == []
    finally:
        stop.set()
        killer.join()


def test_code_that_is_sent_is_indexed_there_and_deleted(cluster, workers_cache, tmp_path):
    """By its address too; one that cannot be fetched fails alone."""
    roots = make_many(tmp_path, 2)
    for root in roots:
        run_git(Path(root), "add", "-A")
        run_git(Path(root), "commit", "-qm", "x")
    wanted = [roots[0], f"file://{roots[1]}", f"file://{tmp_path}/none", str(tmp_path / "gone")]
    cluster._sends_code = True
    try:
        run = run_fleet(wanted, JOB, cluster, 2)
    finally:
        cluster._sends_code = False
    assert [each.root for each in run.outcomes] == wanted
    assert [each.root for each in run.failed] == wanted[2:]
    assert list((workers_cache / "codebuddy" / "fleet-work").iterdir()) == []
    clone = origin_of(wanted[1]).folder_in(paths.fleet_clones_folder())
    for place in (Path(roots[0]), clone):
        report = index(place, embedder="none")
        assert (report.files, report.added, report.updated) == (1, 0, 0)


def test_a_cluster_that_is_there_is_sent_no_code_unasked(cluster, workers_cache, tmp_path):
    """It does what lies there, and fetches by itself what has an address."""
    roots = make_many(tmp_path, 2)
    for root in roots:
        run_git(Path(root), "add", "-A")
        run_git(Path(root), "commit", "-qm", "x")
    wanted = [roots[0], f"file://{roots[1]}"]
    cluster._is_elsewhere = True
    try:
        run = run_fleet(wanted, JOB, cluster, 2)
    finally:
        cluster._is_elsewhere = False
    assert run.failed == []
    clones = workers_cache / "codebuddy" / "fleet"
    assert origin_of(wanted[1]).folder_in(clones).is_dir()
    assert not origin_of(wanted[1]).folder_in(paths.fleet_clones_folder()).exists()


def test_a_cluster_that_is_not_there_is_said(cluster):
    """One sentence, with the address."""
    cluster.close()
    with pytest.raises(CodebuddyError, match=r"127\.0\.0\.1:1 cannot be used"):
        RayRunner(1, "127.0.0.1:1")
