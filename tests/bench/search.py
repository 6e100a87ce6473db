"""`make bench-search`: what each channel and factor of a search is worth, and how fast it is.

    python -m tests.bench.search quality REPOSITORY...     the ablation, as Markdown on stdout
    python -m tests.bench.search latency [REPOSITORY] [--reranker NAME]   search_latency.py
    options: --embedder NAME|PATH, --tasks N (of a kind and repository), --seed N, --half, and for
    quality --beside NAME=PATH, another embedder that the same tasks are asked of as well

Tasks are made of a repository's own code (search_tasks.py). *docstring*: a function by the first
line of its documentation, in a copy without any (`codebuddy.evaluation.docstrings`). One chunk is
right, or the few that a call can mean. Every variant answers every query. Numbers are chosen on
`--half tune` and reported of `--half held-out`: the definition that answers decides the half.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from codebuddy.datatypes import SearchResult
from codebuddy.evaluation import docstrings
from codebuddy.evaluation.retrieval import TOP_K, first_rank
from codebuddy.evaluation.statistics import mean_interval
from codebuddy.evaluation.tables import table
from codebuddy.index.ranker import RankingWeights
from codebuddy.index.search import RepositoryIndex, SearchChannel
from codebuddy.settings import IndexSettings, Settings
from tests.bench.search_latency import bench_latency, fresh_index
from tests.bench.search_tasks import Task, tasks_of, with_half

_HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to search."""

    name: str
    channel: SearchChannel = "hybrid"
    weights: RankingWeights = dataclasses.field(default_factory=RankingWeights)


def main() -> None:
    """Run the section that is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("section", choices=("quality", "latency"))
    parser.add_argument("repositories", nargs="*", type=Path)
    parser.add_argument("--reranker", default="")
    parser.add_argument("--embedder", default="")
    parser.add_argument("--beside", default="", metavar="NAME=PATH")
    parser.add_argument("--tasks", type=int, default=150)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--half", choices=("tune", "held-out", "all"), default="held-out")
    arguments = parser.parse_args()
    settings = Settings(index=IndexSettings(embedder=arguments.embedder))
    print(f"command: python -m tests.bench.search {' '.join(sys.argv[1:])}\n")
    if arguments.section == "quality":
        other, _, path = arguments.beside.partition("=")
        embedders = {"": settings}
        if other:
            embedders[other] = Settings(index=IndexSettings(embedder=path))
        bench_quality(
            arguments.repositories, embedders, arguments.tasks, arguments.seed, arguments.half
        )
    else:
        root = next(iter(arguments.repositories), None)
        bench_latency(root, settings, arguments.seed, arguments.reranker)


def bench_quality(
    roots: list[Path], embedders: dict[str, Settings], n_tasks: int, seed: int, half: str
) -> None:
    """NDCG@10 and recall@10 of each variant, by kind of task, over all repositories."""
    ranks: dict[str, dict[Task, int | None]] = defaultdict(dict)
    for root in roots:
        for of_both, other, index in _indexes(root, embedders, n_tasks, seed):
            tasks = [task for task in of_both if half in ("all", task.half)]
            if other:
                chosen = [Variant(f"{other} alone", "dense"), Variant(f"hybrid with {other}")]
            else:
                chosen = variants(has_dense=_has_dense(index))
                counts = {kind: sum(t.kind == kind for t in tasks) for kind in _kinds(tasks)}
                print(f"{root.name}: {counts}", file=sys.stderr, flush=True)
            for variant in chosen:
                for task in tasks:
                    ranks[variant.name][task] = _rank_of(index, task, variant)
    tasks = list(ranks[_HYBRID])
    gains = {name: [_gain(found[task]) for task in tasks] for name, found in ranks.items()}
    recalls = {name: [float(found[t] is not None) for t in tasks] for name, found in ranks.items()}
    print("\n".join(_variant_lines(tasks, gains, recalls, seed)))
    print("\n".join(["", *_lead_lines(tasks, gains, seed)]))
    print("\n".join(["", *_repository_lines(tasks, gains)]))
    print(f"\nqueries: { {kind: sum(t.kind == kind for t in tasks) for kind in _kinds(tasks)} }")


def _variant_lines(
    tasks: list[Task],
    gains: dict[str, list[float]],
    recalls: dict[str, list[float]],
    seed: int,
) -> list[str]:
    """A row for each variant: NDCG@10 with its interval and recall@10, by kind."""
    kinds = _kinds(tasks)
    rows = []
    for name in gains:
        cells = [name]
        for kind in kinds:
            found = _of_kind(kind, tasks, gains[name])
            low, high = mean_interval(found, seed) or (0.0, 0.0)
            cells.append(f"{_mean(found):.3f} [{low:.3f}, {high:.3f}]")
            cells.append(f"{_mean(_of_kind(kind, tasks, recalls[name])):.3f}")
        rows.append(cells)
    return table(["variant", *(c for kind in kinds for c in (f"{kind} NDCG@10", "R@10"))], rows)


def _lead_lines(tasks: list[Task], gains: dict[str, list[float]], seed: int) -> list[str]:
    """A row for each other variant: the hybrid's NDCG@10 less its, task by task."""
    rows = []
    for name, found in gains.items():
        if name == _HYBRID:
            continue
        leads = [ours - theirs for ours, theirs in zip(gains[_HYBRID], found, strict=True)]
        cells = [name]
        for kind in [*_kinds(tasks), ""]:
            of_kind = _of_kind(kind, tasks, leads) if kind else leads
            low, high = mean_interval(of_kind, seed) or (0.0, 0.0)
            cells.append(f"{_mean(of_kind):+.3f} [{low:+.3f}, {high:+.3f}]")
        rows.append(cells)
    return table(["hybrid less", *_kinds(tasks), "all"], rows)


def _repository_lines(tasks: list[Task], gains: dict[str, list[float]]) -> list[str]:
    """NDCG@10 by repository: the hybrid and the channels alone."""
    names = [name for name in gains if name == _HYBRID or name.endswith(" alone")]
    rows = []
    for repository in dict.fromkeys(task.repository for task in tasks):
        for kind in _kinds(tasks):
            cells = [f"{repository}, {kind}"]
            for name in names:
                pairs = zip(tasks, gains[name], strict=True)
                found = [g for t, g in pairs if (t.repository, t.kind) == (repository, kind)]
                cells.append(f"{_mean(found):.3f}")
            rows.append(cells)
    return table(["repository, kind", *names], rows)


def _of_kind(kind: str, tasks: list[Task], values: Sequence[float]) -> list[float]:
    return [value for task, value in zip(tasks, values, strict=True) if task.kind == kind]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _gain(rank: int | None) -> float:
    return 1 / math.log2(1 + rank) if rank else 0.0


def variants(*, has_dense: bool) -> list[Variant]:
    """Each channel alone, the hybrid, and the hybrid without each of its parts."""
    full = RankingWeights()
    found = [Variant("lexical alone", "lexical"), Variant("symbol alone", "symbol")]
    channels = ["lexical", "symbol"]
    if has_dense:
        found.append(Variant("dense alone", "dense"))
        channels.append("dense")
    found.append(Variant(_HYBRID, weights=full))
    for channel in channels:
        left = {
            kind: {name: 0.0 if name == channel else weight for name, weight in of_kind.items()}
            for kind, of_kind in full.channels.items()
        }
        weights = dataclasses.replace(full, channels=left)
        found.append(Variant(f"hybrid without {channel}", weights=weights))
    for name, without in (
        ("with equal weights", _equal_weights(full)),
        ("without verbatim", dataclasses.replace(full, verbatim={})),
        ("with rank constant 60", dataclasses.replace(full, rank_constant=60)),
        ("without path", dataclasses.replace(full, path=0.0)),
        ("without roles", dataclasses.replace(full, roles={})),
    ):
        found.append(Variant(f"hybrid {name}", weights=without))
    return found


def _equal_weights(full: RankingWeights) -> RankingWeights:
    """Plain reciprocal rank fusion, whatever the kind of the query and the channels' scores."""
    return dataclasses.replace(
        full,
        channels={
            kind: dict.fromkeys(("lexical", "symbol", "dense"), 1.0) for kind in full.channels
        },
        symbol_powers=dict.fromkeys(full.channels, 0.0),
        rank_constant=60,
        verbatim={},
    )


def _rank_of(index: RepositoryIndex, task: Task, variant: Variant) -> int | None:
    results: list[SearchResult] = index.search(
        task.query,
        TOP_K,
        variant.channel,
        near=task.near,
        # What calls is no answer to what is called.
        exclude=(lambda chunk: chunk.path == task.near) if task.near else None,
        weights=variant.weights,
    )
    return first_rank(results, task.right.__contains__)


def _indexes(
    root: Path, embedders: dict[str, Settings], n_tasks: int, seed: int
) -> Iterator[tuple[list[Task], str, RepositoryIndex]]:
    """The repository's index and that of its copy without documentation, with their tasks.

    Each with the vectors of one embedder after the other: the chunks keep their ids.
    """
    with tempfile.TemporaryDirectory(prefix="codebuddy-bench-") as scratch:
        tasks: list[Task] = []
        functions: list[docstrings.DocumentedFunction] = []
        bare = Path(scratch) / "bare"
        for name, settings in embedders.items():
            with fresh_index(root, Path(scratch) / "index", settings) as (repository, index):
                if not tasks:
                    tasks = tasks_of(index, root.name, n_tasks, seed)
                    functions = docstrings._copy_without_documentation(
                        repository, index, bare / "code", seed
                    )
                    random.Random(seed).shuffle(functions)
                yield tasks, name, index
        of_documentation: list[Task] = []
        for name, settings in embedders.items():
            with docstrings._index_of(bare, settings) as index:
                for function in () if of_documentation else functions[: 2 * n_tasks]:
                    right = {
                        each.chunk_id
                        for each in index.definitions_of(function.path)
                        if each.qualified == function.qualified
                    }
                    if len(right) == 1 and len(of_documentation) < n_tasks:
                        task = Task("docstring", function.query, frozenset(right), root.name)
                        of_documentation.append(with_half(index, task))
                yield of_documentation, name, index


def _kinds(tasks: list[Task]) -> list[str]:
    return sorted({task.kind for task in tasks})


def _has_dense(index: RepositoryIndex) -> bool:
    return index.stats().vectors > 0


if __name__ == "__main__":
    main()
