"""One search over many repositories, and what a worker more is worth.

    python -m tests.bench.fleet [--count 100] [--work FOLDER] [--only search|work|overhead|labels]
    python -m tests.bench.fleet --only prepare

Repositories are made of what is installed here: packages and their larger parts, so many that
`count` of them have a million lines. `prepare` makes and indexes them, once, so that the parts that
measure take a minute or two each. `work` indexes some from nothing by one, two and four workers,
`labels` labels holes of the smallest with the small model by one worker and by two, each with one
thread. Then queries cut out of their own code (names, words, first lines of docstrings, lines of
code) are searched for over all of them, warm, in this process. Processor time stands beside wall
time, since the latter is the machine's as much as ours.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

from codebuddy import heads
from codebuddy.fleet.drive import FleetRun, run_fleet
from codebuddy.fleet.runners import ProcessRunner, Runner
from codebuddy.fleet.tasks import Job
from codebuddy.service.fleet_search import FleetSearches
from codebuddy.service.request import SearchRequest, SettingsSources
from codebuddy.vcs.repository import open_repository
from tests.support.index import run_git

_SUFFIXES = frozenset({".py", ".pyi", ".js", ".c", ".h", ".cpp", ".ts", ".md"})
_LEFT_OUT = ("*.so*", "*.pyc", "__pycache__", "*.a", "*.bin", "*.npz", "*.pkl")
_LINES = 1_000_000
_QUERIES = 120
_ONE_THREAD = (
    "CODEBUDDY_MODEL_THREADS",
    "CODEBUDDY_INDEX_JOBS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)


def lines_of(folder: Path) -> int:
    """Lines of its code."""
    files = (each for each in folder.rglob("*") if each.suffix in _SUFFIXES and each.is_file())
    return sum(each.read_bytes().count(b"\n") for each in files)


def make_repositories(work: Path, count: int) -> list[str]:
    """The roots; made once."""
    listed = work / "list.txt"
    if listed.exists():
        return listed.read_text().splitlines()
    found: list[tuple[int, Path]] = []
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("stdlib")}:
        for folder in sorted(each for each in Path(place).iterdir() if each.is_dir()):
            if folder.name.startswith("_") or folder.suffix or folder.name == "site-packages":
                continue
            size = lines_of(folder)
            parts = (
                [folder] if size < 60_000 else [each for each in folder.iterdir() if each.is_dir()]
            )
            found += [(n, each) for each in parts if 2_500 <= (n := lines_of(each)) < 60_000]
    chance = random.Random(1)
    drawn = [chance.sample(found, min(count, len(found))) for _ in range(5_000)]
    best = min(drawn, key=lambda each: abs(sum(n for n, _ in each) - _LINES))
    print(f"{len(best)} repositories, {sum(n for n, _ in best):,} lines")
    roots = []
    for number, (_, folder) in enumerate(best):
        root = work / "repositories" / f"{folder.parent.name}-{folder.name}-{number}"
        shutil.copytree(folder, root / folder.name, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        run_git(root, "init", "-q")
        roots.append(str(root))
    listed.write_text("".join(f"{root}\n" for root in roots))
    return roots


def queries_of(roots: list[str], count: int) -> list[str]:
    """Names, words, first lines of docstrings and lines of code, in turn."""
    chance = random.Random(3)
    found: list[str] = []
    while len(found) < count:
        files = sorted(Path(chance.choice(roots)).rglob("*.py"))
        text = chance.choice(files).read_text(errors="replace") if files else ""
        kinds = [
            re.findall(r"def (\w{4,})", text),
            [each.replace("_", " ").strip() for each in re.findall(r"def (\w+_\w+)", text)],
            [" ".join(each.split()) for each in re.findall(r'"""([A-Z][^"\n.]{20,90})', text)],
            [
                each.strip()
                for each in text.splitlines()
                if 20 < len(each.strip()) < 90 and "(" in each
            ],
        ]
        if of_kind := kinds[len(found) % len(kinds)]:
            found.append(chance.choice(of_kind))
    return found


def index_all(roots: list[str], n_workers: int, embedder: str, *, force: bool = True) -> FleetRun:
    """All of them, with one thread a worker; from nothing, or what is missing."""
    runner = ProcessRunner(n_workers, {"CODEBUDDY_INDEX_JOBS": "1", "OMP_NUM_THREADS": "1"})
    job = Job("index", {"force": force}, {"index.embedder": embedder})
    try:
        return run_fleet(roots, job, runner, n_workers, is_fresh=True)
    finally:
        runner.close()


def show_work(roots: list[str], embedder: str) -> None:
    """What indexing costs by one, two and four workers, as rows of a table."""
    lines = sum(lines_of(Path(root)) for root in roots)
    print(f"index, {len(roots)} repositories of {lines:,} lines from nothing")
    print(
        "| workers | seconds | times as fast | s a repository | of a processor | busy | 1,000, h |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|")
    alone = 0.0
    for n_workers in (1, 2, 4):
        run = index_all(roots, n_workers, embedder)
        cost, alone = run.cost(), alone or run.seconds
        print(
            f"| {n_workers} | {run.seconds:.1f} | {alone / run.seconds:.2f} | {cost['seconds']:.2f}"
            f" | {cost['cpu_seconds']:.2f} | {cost['busy_workers']:.2f}"
            f" | {cost['hours_of_1000']['1']:.2f} | (load {os.getloadavg()[0]:.1f},"
            f" failed {len(run.failed)})",
            flush=True,
        )


def show_overhead(roots: list[str], n_workers: int) -> None:
    """Wall time of a run, less its tasks' own, for each task; the first run warms up."""
    job = Job("index", {"force": False}, {"index.embedder": "none"})
    makers: dict[str, Callable[[], Runner]] = {"processes": lambda: ProcessRunner(n_workers)}
    if importlib.util.find_spec("ray"):
        from codebuddy.fleet.ray_runner import RayRunner

        makers["ray"] = lambda: RayRunner(n_workers)
    for name, make in makers.items():
        started = time.perf_counter()
        runner = make()
        try:
            for turn in range(4):
                run = run_fleet(roots, job, runner, n_workers, is_fresh=True)
                if name == "processes":
                    # Its workers end with each run; Ray's are kept.
                    runner.close()
                    runner = make()
                if turn == 0:
                    print(f"{name}: first run {time.perf_counter() - started:.1f} s")
                    continue
                own = run.own_seconds / n_workers
                each = 1000 * (run.seconds - own) / len(roots)
                print(
                    f"{name}: {len(roots)} tasks, {run.seconds:.2f} s, of them {own:.2f} s the"
                    f" tasks' own, overhead {each:.1f} ms a task (load {os.getloadavg()[0]:.1f})"
                )
        finally:
            runner.close()


def label_all(roots: list[str], per_kind: int, turns: int, model: str) -> None:
    """Labelling by one worker and by two in turn, each from nothing, one thread a worker.

    Indexes are brought up to date before. A worker starts, loads the model (whose file both map)
    and labels: all of that is in the time, as it is for `codebuddy fleet train head`.
    """
    index_all(roots, 2, "default", force=False)
    times: dict[int, list[float]] = {1: [], 2: []}
    options = {"minutes": 60.0, "per_kind": per_kind, "seed": 0}
    job = Job("train head", options, {"model.name": model})
    variables = dict.fromkeys(_ONE_THREAD, "1")
    for n_workers in (1, 2) * turns:
        for root in roots:
            for name in (heads.LABELS_NAME, heads.HEAD_NAME):
                (open_repository(Path(root)).index_folder / name).unlink(missing_ok=True)
        runner = ProcessRunner(n_workers, variables)
        try:
            run = run_fleet(roots, job, runner, n_workers, is_fresh=True)
        finally:
            runner.close()
        times[n_workers].append(run.seconds)
        holes = sum((each.result or {}).get("holes", 0) for each in run.outcomes)
        spent = sum(each.cpu_seconds for each in run.outcomes)
        print(
            f"labels, {n_workers} workers of a thread: {holes} holes in {run.seconds:.1f} s,"
            f" {spent:.1f} s of a processor, failed {len(run.failed)},"
            f" {[round(each.seconds, 1) for each in run.outcomes]}"
            f" (load {os.getloadavg()[0]:.1f})",
            flush=True,
        )
    print(f"two workers: {min(times[1]) / min(times[2]):.2f} times as fast as one")


def search_all(listed: Path, queries: list[str]) -> None:
    """Cold once, then warm, twice over."""
    sources, searches = SettingsSources.of_this_process(), FleetSearches()

    def ask(query: str) -> None:
        searches.search(SearchRequest(str(listed.parent), query, fleet=str(listed)), sources)

    started = time.perf_counter()
    ask(queries[0])
    print(f"the first search: {time.perf_counter() - started:.2f} s")
    for _ in range(2):
        wall, processor = [], []
        for query in queries:
            before = time.perf_counter(), time.process_time()
            ask(query)
            wall.append(1000 * (time.perf_counter() - before[0]))
            processor.append(1000 * (time.process_time() - before[1]))
        for name, times in (("wall", sorted(wall)), ("processor", sorted(processor))):
            p50, p95 = times[len(times) // 2], times[int(0.95 * len(times))]
            print(f"{name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, longest {times[-1]:.0f} ms")


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache/codebuddy/bench-fleet")
    parser.add_argument("--embedder", default="default")
    parts = ["prepare", "search", "work", "overhead", "labels"]
    parser.add_argument("--only", choices=parts)
    parser.add_argument("--worked", type=int, default=24, help="Repositories indexed from nothing.")
    parser.add_argument("--labelled", type=int, default=6, help="Repositories that are labelled.")
    parser.add_argument("--per-kind", type=int, default=1)
    parser.add_argument("--model", default="smollm2-135m", help="That labels.")
    parser.add_argument("--turns", type=int, default=1, help="Of labelling by one and by two.")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    print(f"load {os.getloadavg()}")
    roots = make_repositories(arguments.work, arguments.count)
    smallest = sorted(roots, key=lambda root: lines_of(Path(root)))
    if arguments.only in (None, "prepare"):
        index_all(roots, 2, arguments.embedder, force=False)
    if arguments.only in (None, "work"):
        # Every fourth, from the smallest to the largest.
        show_work(smallest[:: max(1, len(smallest) // arguments.worked)], arguments.embedder)
    if arguments.only in (None, "overhead"):
        show_overhead(smallest[:40], 1)
    if arguments.only in (None, "labels"):
        chosen = smallest[: arguments.labelled]
        label_all(chosen, arguments.per_kind, arguments.turns, arguments.model)
    if arguments.only not in (None, "search"):
        return
    search_all(arguments.work / "list.txt", queries_of(roots, _QUERIES))
    print(f"load {os.getloadavg()}")
    subprocess.run(
        [sys.executable, "-m", "codebuddy", "search", "--fleet", "--fleet-list",
         str(arguments.work / "list.txt"), "-k", "1", "parse config file"], check=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
