"""One search over many repositories, and what a worker more is worth.

    python -m tests.bench.fleet [--count 100] [--work FOLDER]

Repositories are made of what is installed here: packages and their larger parts, so many that
`count` of them have a million lines. They are indexed by `codebuddy fleet index`, with one worker
and with two; then queries cut out of their own code (names, words, first lines of docstrings, lines
of code) are searched for over all of them, warm, in this process. Processor time stands beside wall
time, since the latter is the machine's as much as ours.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from codebuddy.fleet.drive import run_fleet
from codebuddy.fleet.runners import ProcessRunner
from codebuddy.fleet.tasks import Job
from codebuddy.service.fleet_search import FleetSearches
from codebuddy.service.request import SearchRequest, SettingsSources
from tests.support.index import run_git

_SUFFIXES = frozenset({".py", ".pyi", ".js", ".c", ".h", ".cpp", ".ts", ".md"})
_LEFT_OUT = ("*.so*", "*.pyc", "__pycache__", "*.a", "*.bin", "*.npz", "*.pkl")
_LINES = 1_000_000
_QUERIES = 120


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


def index_all(roots: list[str], n_workers: int, embedder: str) -> None:
    """Once more from nothing, and what it cost."""
    runner = ProcessRunner(n_workers, {"CODEBUDDY_INDEX_JOBS": "1", "OMP_NUM_THREADS": "1"})
    job = Job("index", {"force": True}, {"index.embedder": embedder})
    try:
        run = run_fleet(roots, job, runner, n_workers, is_fresh=True)
    finally:
        runner.close()
    print(f"{n_workers} workers: {run.seconds:.1f} s, failed {len(run.failed)}, {run.cost()}")


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
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    roots = make_repositories(arguments.work, arguments.count)
    for n_workers in (1, 2):
        index_all(roots, n_workers, arguments.embedder)
    search_all(arguments.work / "list.txt", queries_of(roots, _QUERIES))
    subprocess.run(
        [sys.executable, "-m", "codebuddy", "search", "--fleet", "--fleet-list",
         str(arguments.work / "list.txt"), "-k", "1", "parse config file"], check=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
