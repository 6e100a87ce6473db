"""How large an index is and how long a warm search takes: `python -m tests.bench.search latency`.

Without a repository one is made of the packages and the library that are installed here, with so
many lines that it has 100,000 chunks. The first tier is asked by each channel; with `--reranker`
the second one orders the first 50 results of questions (first lines of the code's own
documentation), once with no vector of theirs at hand and once with all of them. Processor time
stands beside wall time, since the latter is the machine's as much as ours.
"""

from __future__ import annotations

import os
import random
import shutil
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from codebuddy.evaluation.statistics import percentile
from codebuddy.index.build import update_index
from codebuddy.index.chunk_bag import first_lines
from codebuddy.index.query import kind_of
from codebuddy.index.rerank import POOL, is_reranked
from codebuddy.index.search import RepositoryIndex, SearchChannel
from codebuddy.index.second_tier import CACHE_NAME
from codebuddy.settings import IndexSettings, SearchSettings, Settings
from codebuddy.vcs.repository import Repository, open_repository
from tests.bench.search_tasks import call_tasks, code_paths, name_tasks
from tests.support.index import run_git

_TOP_K = 10
_SUFFIXES = frozenset({".py", ".pyi", ".js", ".c", ".h", ".cpp", ".ts", ".md"})
# Enough for 100,000 chunks, at some 24 lines each.
_LINES = 2_600_000
_QUERIES = 110
_WARM_UP = 10
_QUESTIONS = 20
_MIN_WORDS = 5


def bench_latency(root: Path | None, settings: Settings, seed: int, reranker: str) -> None:
    """Sizes and times of an index with vectors, and of searches in it, warm."""
    print(f"load at the start: {os.getloadavg()[0]:.1f}\n")
    print("| what | figure | goal |\n|---|--:|--:|")
    settings = replace(settings, search=SearchSettings(reranker=reranker))
    with tempfile.TemporaryDirectory(prefix="codebuddy-bench-") as scratch:
        root = root or _made_repository(Path(scratch) / "installed")
        bare = Settings(index=IndexSettings(embedder="none"))
        seconds = {}
        for name, chosen in (("without", bare), ("with", settings)):
            started = time.perf_counter()
            with fresh_index(root, Path(scratch) / name, chosen) as (_, index):
                seconds[name] = time.perf_counter() - started
                stats = index.stats()
                ratio = stats.index_bytes / stats.source_bytes
                _row(f"index / source, {name} vectors", f"{ratio:.2f}", "2")
                if name == "with":
                    extra = seconds["with"] - seconds["without"]
                    _row(f"chunks of {root.name}", f"{stats.chunks:,}", "100,000")
                    _row("cold index without vectors", f"{seconds['without']:.1f} s")
                    per_100k = extra / stats.chunks * 100_000
                    _row("vectors add, for 100,000 chunks", f"{per_100k:.1f} s", "20 s")
                    questions = _questions(index, seed)
                    _first_tier(index, questions, seed)
                    if reranker:
                        _second_tier(index, Path(scratch) / name / CACHE_NAME, questions)
    print(f"\nload at the end: {os.getloadavg()[0]:.1f}")


@contextmanager
def fresh_index(
    root: Path, folder: Path, settings: Settings
) -> Iterator[tuple[Repository, RepositoryIndex]]:
    """An index of the repository in a folder of its own."""
    found = open_repository(root)
    folder.mkdir(parents=True, exist_ok=True)
    repository = Repository(found.root, found.git_folder, folder, found.is_shallow)
    update_index(repository, settings)
    with RepositoryIndex.open(repository, settings) as index:
        yield repository, index


def _made_repository(root: Path) -> Path:
    """Packages and the library as they are installed here, as many as the lines need."""
    n_lines = 0
    for place in (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib")):
        for file in sorted(Path(place).rglob("*")):
            if n_lines >= _LINES:
                break
            within = file.relative_to(place)
            # The library's folder holds that of the packages.
            is_again = place == sysconfig.get_path("stdlib") and "site-packages" in within.parts
            if is_again or file.suffix not in _SUFFIXES or file.is_symlink() or not file.is_file():
                continue
            target = root / Path(place).name / within
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            n_lines += file.read_bytes().count(b"\n")
    run_git(root, "init", "-q")
    return root


def _questions(index: RepositoryIndex, seed: int) -> list[str]:
    """First lines of documentation that a search takes for questions."""
    found: dict[str, None] = {}
    for path in code_paths(index, seed):
        for chunk in index.chunks_of(path)[:20]:
            line = first_lines(chunk.text).partition("\n")[0]
            if len(line.split()) >= _MIN_WORDS and is_reranked(kind_of(line)):
                found[line] = None
                break
        if len(found) >= _QUERIES:
            break
    lines = list(found)
    random.Random(seed).shuffle(lines)
    return lines


def _first_tier(index: RepositoryIndex, questions: list[str], seed: int) -> None:
    names = [task.query for task in name_tasks(index, _QUERIES, seed)]
    names += [task.query for task in call_tasks(index, _QUERIES, seed)]
    channels: list[tuple[SearchChannel, str]] = [
        ("lexical", "20 ms"),
        ("dense", "15 ms"),
        ("symbol", ""),
        ("hybrid", "40 ms"),
    ]
    for channel, goal in channels:
        _times(
            f"{channel} search of names and calls",
            [lambda q=query, c=channel: index.search(q, _TOP_K, c) for query in names],  # type: ignore[misc]
            goal,
        )
    _times(
        "hybrid search of questions",
        [lambda q=query: index.search(q, _TOP_K) for query in questions],  # type: ignore[misc]
        "40 ms",
    )


def _second_tier(index: RepositoryIndex, cache: Path, questions: list[str]) -> None:
    """Both tiers of a question: without and with the vectors of its 50 chunks."""
    tier = index.second_tier()
    tier.check()

    def ask(query: str) -> None:
        tier.order(query, index.search(query, POOL))

    asked = questions[:_QUESTIONS]
    ask(asked[0])

    def ask_new(query: str) -> None:
        cache.unlink(missing_ok=True)
        ask(query)

    _times("both tiers, 50 new chunks", [lambda q=q: ask_new(q) for q in asked[:5]], "1,500 ms")  # type: ignore[misc]
    for query in asked:
        ask(query)
    _times("both tiers, 50 cached chunks", [lambda q=q: ask(q) for q in asked], "400 ms")  # type: ignore[misc]


def _times(what: str, actions: list[Callable[[], object]], goal: str) -> None:
    """Wall and processor time; the first ones warm up, unless there are few."""
    walls, processor = [], []
    for action in actions:
        started, spent = time.perf_counter(), time.process_time()
        action()
        walls.append((time.perf_counter() - started) * 1000)
        processor.append((time.process_time() - spent) * 1000)
    skipped = _WARM_UP if len(actions) > 2 * _WARM_UP else 0
    walls, processor = walls[skipped:], processor[skipped:]
    figures = [
        f"{percentile(each, 50):.1f} / {percentile(each, 95):.1f}" for each in (walls, processor)
    ]
    _row(f"{what}, p50 / p95 of {len(walls)}", f"{figures[0]} ms (processor {figures[1]})", goal)


def _row(what: str, figure: str, goal: str = "") -> None:
    print(f"| {what} | {figure} | {goal} |", flush=True)
