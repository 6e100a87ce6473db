"""Work over many repositories: every outcome once, whoever dies."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
from functools import partial
from pathlib import Path

import psutil
import pytest

from codebuddy import paths, platforms
from codebuddy.errors import CodebuddyError
from codebuddy.fleet.drive import FleetRun, run_fleet
from codebuddy.fleet.journal import open_journal
from codebuddy.fleet.runners import ProcessRunner
from codebuddy.fleet.tasks import Job, Outcome, run_task
from codebuddy.index.schema import DATABASE_NAME
from codebuddy.vcs.repository import open_repository
from tests.support.engine import wait_until
from tests.support.index import make_repository, module

JOB = Job("index", {"force": False}, {"index.embedder": "none"})


def make_many(folder: Path, count: int) -> list[str]:
    names = [f"r{number}" for number in range(count)]
    return [str(make_repository(folder / name, {f"{name}.py": module(name)})) for name in names]


def keep_root(seen: list[str], outcome: Outcome, _done: int, _of: int) -> None:
    """Notes whose outcome came."""
    seen.append(outcome.root)


class Scripted:
    """A runner whose outcomes a test writes down; as real ones, it gives each once."""

    def __init__(self, stop_after: int = 10_000) -> None:
        self.asked: list[str] = []
        self._stop_after = stop_after

    def run(self, roots, job, retries):
        for number, root in enumerate(roots):
            if number == self._stop_after:
                raise KeyboardInterrupt
            self.asked.append(root)
            if root.endswith("bad"):
                yield Outcome(root, error="it is bad")
            else:
                yield Outcome(root, result={"files": 1}, seconds=1.0, cpu_seconds=0.5)

    def close(self) -> None:
        pass


def test_a_task_is_the_command_s_own_work(tmp_path):
    """The index is where `codebuddy index` has it, and the answer has its keys."""
    (root,) = make_many(tmp_path, 1)
    found = run_task(root, JOB.as_json())
    assert found["error"] == ""
    assert found["result"]["files"] == 1
    assert found["cpu_seconds"] > 0
    assert (open_repository(Path(root)).index_folder / DATABASE_NAME).exists()


def test_what_goes_wrong_with_a_repository_is_its_outcome(tmp_path):
    """A folder that is gone, one that is no repository, another version of codebuddy, no code."""
    (tmp_path / "plain").mkdir()
    gone = run_task(str(tmp_path / "gone"), JOB.as_json())
    plain = run_task(str(tmp_path / "plain"), JOB.as_json())
    old = run_task(str(tmp_path), JOB.as_json() | {"version": "0.0.0"})
    bug = run_task(str(tmp_path), JOB.as_json() | {"verb": "dance"})
    empty = run_task(str(make_repository(tmp_path / "empty")), JOB.as_json())
    assert (empty["error"], empty["result"]["files"]) == ("", 0)
    assert "is gone" in gone["error"]
    assert "git repository" in plain["error"]
    assert "0.0.0" in old["error"]
    assert "a bug in codebuddy: KeyError" in bug["error"]


def test_an_interrupted_run_goes_on_with_what_is_left(tmp_path):
    """Failed ones are tried again, done ones are not, and a finished run begins anew."""
    roots = ["/r/one", "/r/bad", "/r/two", "/r/three"]
    first = Scripted(stop_after=3)
    with pytest.raises(KeyboardInterrupt):
        run_fleet(roots, JOB, first, 1)
    second = Scripted()
    run = run_fleet(roots, JOB, second, 1)
    assert second.asked == ["/r/bad", "/r/three"]
    assert [each.root for each in run.outcomes] == roots
    assert run.resumed == 2
    assert [each.root for each in run.failed] == ["/r/bad"]
    third = Scripted()
    run_fleet(roots, JOB, third, 1)
    assert third.asked == roots


def test_a_journal_that_a_kill_cut_off_loses_its_last_line_alone(tmp_path):
    """And one of other work is not gone on with."""
    roots = ["/r/one", "/r/two"]
    with pytest.raises(KeyboardInterrupt):
        run_fleet(roots, JOB, Scripted(stop_after=1), 1)
    (file,) = paths.fleet_runs_folder().glob("*.jsonl")
    with file.open("ab") as stream:
        stream.write(b'{"root": "/r/two", "resu')
    runner = Scripted()
    run_fleet(roots, JOB, runner, 1)
    assert runner.asked == ["/r/two"]
    other = Scripted()
    run_fleet(roots, Job("index", {"force": True}), other, 1)
    assert other.asked == roots


def test_two_drivers_of_one_work_do_not_meet(tmp_path):
    """The second says so."""
    with open_journal(JOB, []), pytest.raises(CodebuddyError, match="is running"):
        run_fleet([], JOB, Scripted(), 1)


def test_the_cost_is_that_of_the_outcomes():
    """By hand: three of 1, 2 and 3 seconds in three seconds by two workers."""
    outcomes = [Outcome(f"/{n}", result={}, seconds=float(n), cpu_seconds=1.0) for n in (1, 2, 3)]
    cost = FleetRun(outcomes, 0, 3.0, 2, 6.0).cost()
    assert cost["seconds"] == 2.0
    assert cost["p95_seconds"] == 3.0
    assert cost["busy_workers"] == 2.0
    assert cost["hours_of_1000"]["1"] == round((1000 * 2 / 2 + 3) / 3600, 3)


def test_a_run_that_went_on_was_busy_with_its_own_part():
    """One of 2 seconds in ten; the two that were there already count for the means alone."""
    outcomes = [Outcome(f"/{n}", result={}, seconds=float(n), cpu_seconds=1.0) for n in (1, 3, 2)]
    cost = FleetRun(outcomes, 2, 10.0, 8, 2.0).cost()
    assert cost["seconds"] == 2.0
    assert cost["busy_workers"] == 0.2
    assert cost["hours_of_1000"]["1"] == round((1000 * 2 / 0.2 + 3) / 3600, 3)
    nothing = FleetRun(outcomes, 3, 0.1, 8, 0.0).cost()
    assert nothing["busy_workers"] == 0
    assert nothing["hours_of_1000"] == {}
    with pytest.raises(KeyboardInterrupt):
        run_fleet(["/r/one", "/r/two", "/r/bad"], JOB, Scripted(stop_after=1), 1)
    assert run_fleet(["/r/one", "/r/two", "/r/bad"], JOB, Scripted(), 1).own_seconds == 1.0


def test_runs_are_never_kept_in_the_folder_one_stands_in(monkeypatch):
    """A relative XDG_STATE_HOME is ignored, as for all that is kept there."""
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    assert paths.fleet_runs_folder() == Path.home() / ".local/state/codebuddy/fleet"
    assert paths.spare_unsaved_folder() == Path.home() / ".local/state/codebuddy/unsaved"


@pytest.mark.process
def test_a_worker_that_starts_while_all_ends_is_ended_too(tmp_path, monkeypatch):
    """Closed between its start and its first word."""
    runner = ProcessRunner(1)
    real = platforms.spawn_detached_from_terminal
    started = []

    def spawn(*arguments):
        process = real(*arguments)
        started.append(process)
        runner.close()
        return process

    monkeypatch.setattr(platforms, "spawn_detached_from_terminal", spawn)
    runner._todo.append((str(tmp_path), 1))
    runner._serve(JOB, 0)
    (process,) = started
    assert process.poll() is not None
    assert runner.worker_ids() == []
    assert runner._done.empty()


@pytest.mark.process
@pytest.mark.slow
def test_workers_killed_at_random_twenty_times_lose_no_result_and_double_none(tmp_path):
    """Every third of a second one dies, beneath its task or between two."""
    roots = make_many(tmp_path, 12)
    stop = threading.Event()
    chance = random.Random(5)
    killed: list[int] = []
    runners: list[ProcessRunner] = []

    def kill_now_and_then() -> None:
        while not stop.wait(chance.uniform(0.1, 0.5)):
            workers = runners[-1].worker_ids() if runners else []
            if workers and len(killed) < 20:
                victim = chance.choice(workers)
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        while len(killed) < 20:
            runners.append(ProcessRunner(2))
            seen: list[str] = []
            note = partial(keep_root, seen)
            run = run_fleet(roots, JOB, runners[-1], 2, retries=40, on_outcome=note)
            runners[-1].close()
            assert sorted(seen) == sorted(roots)
            assert run.failed == []
            assert all(each.result and each.result["files"] == 1 for each in run.outcomes)
    finally:
        stop.set()
        killer.join()
        runners[-1].close()


@pytest.mark.process
@pytest.mark.slow
def test_a_killed_driver_leaves_no_worker_and_the_next_goes_on(tmp_path):
    """By the command itself; what the first had done is not done again."""
    roots = make_many(tmp_path, 20)
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{root}\n" for root in roots))
    command = platforms.python_command(
        "codebuddy", "fleet", "index", "--list", str(listed), "--workers", "1", "--embedder", "none"
    )
    environment = platforms.child_environment()
    driver = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)

    def done() -> int:
        files = list(paths.fleet_runs_folder().glob("*.jsonl"))
        return files[0].read_text().count("\n") - 1 if files else 0

    assert wait_until(lambda: done() >= 2)
    workers = psutil.Process(driver.pid).children()
    driver.kill()
    driver.wait()
    first = done()
    assert 2 <= first < len(roots)
    psutil.wait_procs(workers, 30)
    assert not any(each.is_running() for each in workers)
    again = subprocess.run([*command, "--json"], env=environment, capture_output=True, check=True)
    found = json.loads(again.stdout)
    assert found["resumed"] == first
    assert [each["repository"] for each in found["repositories"]] == roots
    assert found["failed"] == 0


@pytest.mark.process
def test_a_repository_that_always_kills_its_worker_fails_alone(tmp_path, monkeypatch):
    """The retries are used up, and the others are done."""
    roots = make_many(tmp_path, 3)
    runner = ProcessRunner(1)
    victim = roots[1]
    # The worker dies as it comes to this one: a stand-in for what a parser's crash does.
    deadly = tmp_path / "deadly"
    deadly.mkdir()
    (deadly / "sitecustomize.py").write_text(
        "import os\nfrom codebuddy.fleet import tasks\nreal = tasks.run_task\n"
        f"def run_task(root, job):\n    if root == {victim!r}:\n        os._exit(9)\n"
        "    return real(root, job)\ntasks.run_task = run_task\n"
    )
    runner._environment["PYTHONPATH"] = f"{deadly}{os.pathsep}{runner._environment['PYTHONPATH']}"
    try:
        run = run_fleet(roots, JOB, runner, 1, retries=1)
    finally:
        runner.close()
    assert [each.root for each in run.failed] == [victim]
    assert run.failed[0].attempts == 2
    assert "died" in run.failed[0].error


def test_outcomes_travel_as_json():
    """Whatever is in them."""
    outcome = Outcome("/r/\udcff", result={"files": 1}, attempts=2)
    assert Outcome(**json.loads(json.dumps(outcome.as_json()))) == outcome
