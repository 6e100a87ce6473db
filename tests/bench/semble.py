"""Our search on the public benchmark of semble, beside the figures that it publishes of itself.

    python -m tests.bench.semble BENCHMARK REPOSITORIES [--only NAME...] [--minutes N] [--asked N]

BENCHMARK is a git repository of semble (or a fork with the same benchmark): its `benchmarks/`
holds the queries, the paths that answer them, the repositories with their revisions, and a result
for each of them. REPOSITORIES is a folder of those (NAME, OWNER+NAME or OWNER+NAME/repo); what is
not there at the revision of the benchmark is left out and named. Nothing of it is kept in git.

Each repository's part that the benchmark searches is copied out, indexed and asked, as the
benchmark has it: NDCG@10 over chunks, where a path counts at the first chunk of that file (or of
the lines that are named), and all paths of a query count alike. Queries are asked five
times (`--asked`); the median counts. A row for each repository is kept in the work folder: a
further call goes on there.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codebuddy.evaluation.statistics import mean_interval, percentile
from codebuddy.evaluation.tables import table
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.index import run_git

_TOP_K = 10
_ASKED = 5
_CATEGORIES = ("semantic", "architecture", "symbol")
_TABLE_HEAD = ["repository", "language", "queries", "semble, published", "codebuddy", "lead"]


def main() -> None:
    """Ask what was not asked yet, then print both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("benchmark", type=Path)
    parser.add_argument("repositories", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--work", type=Path, default=Path("dist/bench-semble"))
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--asked", type=int, default=_ASKED)
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
    listed = json.loads(_file(arguments.benchmark, "repos.json"))
    listed = [each for each in listed if not arguments.only or each["name"] in arguments.only]
    rows_folder = arguments.work / "rows"
    rows_folder.mkdir(parents=True, exist_ok=True)
    left_out = []
    for spec in listed:
        row_file = rows_folder / f"{spec['name']}.json"
        source = _source_of(spec, arguments.repositories)
        if source is None:
            left_out.append(spec["name"])
        elif not row_file.exists() and time.monotonic() < until:
            queries = json.loads(_file(arguments.benchmark, f"annotations/{spec['name']}.json"))
            row = _asked(spec, source, queries, arguments.work / "repositories", arguments.asked)
            row_file.write_text(json.dumps(row))
            print(json.dumps({**row, "gains": None}), file=sys.stderr, flush=True)
    rows = [json.loads(each.read_text()) for each in sorted(rows_folder.glob("*.json"))]
    rows = [each for each in rows if not arguments.only or each["repository"] in arguments.only]
    print(f"command: python -m tests.bench.semble {' '.join(sys.argv[1:])}")
    print(f"load {os.getloadavg()[0]:.1f} at the end; left out: {', '.join(left_out) or 'none'}\n")
    print("\n".join(report(rows, _published(arguments.benchmark))))


def _git(folder: Path, *arguments: str) -> bytes:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True
    ).stdout


def _file(benchmark: Path, name: str) -> str:
    return _git(benchmark, "show", f"HEAD:benchmarks/{name}").decode()


def _published(benchmark: Path) -> dict[str, dict[str, Any]]:
    """What semble last published of each repository."""
    folder = "benchmarks/results/"
    names = _git(benchmark, "ls-tree", "--name-only", "HEAD", folder).decode().splitlines()
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        if Path(name).name.startswith("semble-hybrid-"):
            results = json.loads(_git(benchmark, "show", f"HEAD:{name}"))
            found |= {each["repo"]: each for each in results["repos"]}
    return found


def _source_of(spec: dict[str, Any], folder: Path) -> Path | None:
    """The git repository that has the revision, if there is one."""
    owner, name = spec["url"].removesuffix(".git").split("/")[-2:]
    for each in (folder / f"{owner}+{name}" / "repo", folder / f"{owner}+{name}", folder / name):
        if each.is_dir():
            kind = subprocess.run(
                ["git", "-C", str(each), "cat-file", "-t", spec["revision"]],
                check=False,
                capture_output=True,
            )
            return each if kind.stdout.strip() == b"commit" else None
    return None


def _asked(
    spec: dict[str, Any], source: Path, queries: list[dict[str, Any]], work: Path, n_asked: int
) -> dict[str, Any]:
    """Index the repository's part, ask all queries, and judge."""
    root = work / spec["name"]
    if not (root / ".git").exists():
        root.mkdir(parents=True, exist_ok=True)
        part = [spec["benchmark_root"]] if spec.get("benchmark_root") else []
        archive = _git(source, "archive", spec["revision"], *part)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(root, filter="data")
        run_git(root, "init", "-q")
    repository = open_repository(root.resolve())
    started, spent = time.perf_counter(), time.process_time()
    update_index(repository, Settings(), force=True)
    seconds, cpu = time.perf_counter() - started, time.process_time() - spent
    gains: list[tuple[str, float]] = []
    times: list[float] = []
    spent = time.process_time()
    with RepositoryIndex.open(repository, Settings()) as index:
        for query in queries:
            mine = []
            for _ in range(n_asked):
                begun = time.perf_counter()
                results = index.search(query["query"], _TOP_K)
                mine.append((time.perf_counter() - begun) * 1000)
            times.append(percentile(mine, 50))
            places = [
                (os.fsdecode(each.chunk.path), each.chunk.start_line, each.chunk.end_line)
                for each in results
            ]
            targets = [*query.get("relevant", []), *query.get("secondary", [])]
            category = query.get("category") or ("semantic" if " " in query["query"] else "symbol")
            gains.append((category, ndcg(places, targets)))
        per_query = (time.process_time() - spent) / (len(queries) * n_asked)
        chunks = index.stats().chunks
    return {
        "repository": spec["name"],
        "language": spec["language"],
        "chunks": chunks,
        "gains": gains,
        "ndcg10": sum(gain for _, gain in gains) / len(gains),
        "index_s": seconds,
        "index_cpu_s": cpu,
        "query_cpu_ms": per_query * 1000,
        "p50_ms": percentile(times, 50),
        "p95_ms": percentile(times, 95),
        "load": os.getloadavg()[0],
    }


def ndcg(places: Sequence[tuple[str, int, int]], targets: Sequence[Any]) -> float:
    """NDCG@10 of results, each a path and its lines, with targets that all count alike.

    A target is found at the first result that covers it: a path, or a path with lines.
    """
    ranks = {
        next((rank for rank, place in enumerate(places, 1) if _covers(place, target)), 0)
        for target in targets
    }
    gain = sum(1 / math.log2(1 + rank) for rank in ranks if 1 <= rank <= _TOP_K)
    best = sum(1 / math.log2(1 + rank) for rank in range(1, 1 + min(_TOP_K, len(targets))))
    return gain / best if best else 0.0


def _covers(place: tuple[str, int, int], target: Any) -> bool:
    path, first, last = place
    wanted = target if isinstance(target, str) else target["path"]
    if not (f"/{path}".endswith(f"/{wanted}") or f"/{wanted}".endswith(f"/{path}")):
        return False
    if (
        isinstance(target, str)
        or target.get("start_line") is None
        or target.get("end_line") is None
    ):
        return True
    return last >= int(target["start_line"]) and first <= int(target["end_line"])


def report(rows: list[dict[str, Any]], published: dict[str, dict[str, Any]]) -> list[str]:
    """Both over all queries and by category, then times, then by repository.

    A lead's interval is over repositories, since of semble only their means are published.
    """
    rows = [each for each in rows if each["repository"] in published]
    heading = ["queries", "of", "semble, published", "codebuddy", "lead, mean over repositories"]
    summary = [_category_row(each, rows, published) for each in ("all", *_CATEGORIES)]
    cells = []
    for row in rows:
        theirs, ours = published[row["repository"]]["ndcg10"], row["ndcg10"]
        cells.append(
            [row["repository"], row["language"], str(len(row["gains"]))]
            + [f"{theirs:.3f}", f"{ours:.3f}", f"{ours - theirs:+.3f}"]
        )
    return [
        *table(heading, [each for each in summary if each]),
        *_time_lines(rows, published),
        "",
        *table(_TABLE_HEAD, cells),
    ]


def _category_row(
    category: str, rows: list[dict[str, Any]], published: dict[str, dict[str, Any]]
) -> list[str]:
    """Means over the queries of a category; empty where there are none."""
    pairs = []
    counts = []
    for row in rows:
        of = [gain for kind, gain in row["gains"] if category in ("all", kind)]
        theirs = published[row["repository"]]
        figure = theirs["ndcg10"] if category == "all" else theirs["by_category"].get(category)
        if of and figure is not None:
            pairs.append((figure, sum(of) / len(of)))
            counts.append(len(of))
    if not counts:
        return []
    leads = [ours - theirs for theirs, ours in pairs]
    low, high = mean_interval(leads, 7) or (0.0, 0.0)
    means = [
        sum(each[side] * n for each, n in zip(pairs, counts, strict=True)) / sum(counts)
        for side in (0, 1)
    ]
    lead = f"{sum(leads) / len(leads):+.3f} [{low:+.3f}, {high:+.3f}]"
    return [category, str(sum(counts)), *(f"{each:.3f}" for each in means), lead]


def _time_lines(rows: list[dict[str, Any]], published: dict[str, dict[str, Any]]) -> list[str]:
    theirs = [published[each["repository"]] for each in rows]
    theirs_ms = percentile([each["p50_ms"] for each in theirs], 50)
    theirs_s = percentile([each["index_ms"] for each in theirs], 50) / 1000
    ours_ms, ours_cpu, ours_s = (
        percentile([each[key] for each in rows], 50)
        for key in ("p50_ms", "query_cpu_ms", "index_s")
    )
    return [
        "",
        f"Median of the repositories, each on its own machine: a query {ours_ms:.1f} ms here"
        f" (processor {ours_cpu:.1f}) and {theirs_ms:.1f} ms published; an index {ours_s:.2f} s"
        f" and {theirs_s:.2f} s.",
    ]


if __name__ == "__main__":
    main()
