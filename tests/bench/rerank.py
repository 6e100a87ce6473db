"""What a second tier is worth: a sentence-transformers model over the first 50 of a question.

    python -m tests.bench.rerank REPOSITORY... --reranker NAME|PATH [--tasks N] [--seed N]

Questions of search_questions.txt about repositories of those names. Each combination of the first
tier's score and the model's similarity is tried on one half; the best of them is reported on the
other, beside the first tier, the model alone over the same 50, and their best possible order.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from codebuddy.evaluation.statistics import mean_interval
from codebuddy.evaluation.tables import table
from codebuddy.index.build import update_index
from codebuddy.index.embed import chunk_text
from codebuddy.index.encoder import open_encoder
from codebuddy.index.query import kind_of
from codebuddy.index.rerank import combined, is_reranked
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.vectors import Encoder, Vectors
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.bench.search_tasks import Task, question_tasks, with_half

_POOL = 50
_TOP_K = 10
# As the first tier's fusion has it.
_RANK_CONSTANT = 20


@dataclass(frozen=True, slots=True)
class Combination:
    """`scores`: as the second tier has it. `places`: reciprocal ranks, the model's `weight` times.

    `model`: the similarity alone.
    """

    form: Literal["scores", "places", "model"]
    weight: float

    def order(self, scores: Sequence[float], similarities: Sequence[float]) -> list[int]:
        """The places (from 0) of the results in their new order."""
        if self.form == "scores":
            return combined(scores, similarities, self.weight)
        by_model = sorted(range(len(scores)), key=lambda each: (-similarities[each], each))
        if self.form == "model":
            return by_model
        rank_of = {each: rank for rank, each in enumerate(by_model, 1)}
        totals = [
            1 / (_RANK_CONSTANT + place + 1) + self.weight / (_RANK_CONSTANT + rank_of[place])
            for place in range(len(scores))
        ]
        return sorted(range(len(totals)), key=lambda each: (-totals[each], each))


_GRID = (
    *(Combination("scores", weight) for weight in (0.5, 1.0, 2.0, 4.0, 8.0)),
    *(Combination("places", weight) for weight in (0.5, 1.0, 2.0, 4.0)),
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A task's first 50: scores of the first tier, similarities, and which are right."""

    task: Task
    scores: tuple[float, ...]
    similarities: tuple[float, ...]
    right: tuple[bool, ...]

    def gain(self, order: list[int]) -> float:
        """NDCG@10 with one right answer."""
        ranks = [place for place, each in enumerate(order[:_TOP_K]) if self.right[each]]
        return 1 / math.log2(2 + ranks[0]) if ranks else 0.0


def main() -> None:
    """Judge all tasks, choose on one half, report on the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repositories", nargs="+", type=Path)
    parser.add_argument("--reranker", required=True)
    parser.add_argument("--tasks", type=int, default=150)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    print(f"command: python -m tests.bench.rerank {' '.join(sys.argv[1:])}\n")
    encoder = open_encoder(arguments.reranker)
    judged: list[Judged] = []
    for root in arguments.repositories:
        started = time.perf_counter()
        judged += _of_repository(root, encoder, arguments.tasks, arguments.seed)
        print(
            f"{root.name}: {len(judged)} so far, {time.perf_counter() - started:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    for kind in dict.fromkeys(each.task.kind for each in judged):
        of_kind = [each for each in judged if each.task.kind == kind]
        asked = [each for each in of_kind if is_reranked(kind_of(each.task.query))]
        print(f"{kind}: {len(of_kind)} tasks, {len(asked)} of a kind that is reranked\n")
        print("\n".join(_report(of_kind, arguments.seed)), "\n", flush=True)


def _of_repository(root: Path, encoder: Encoder, n_tasks: int, seed: int) -> list[Judged]:
    repository = open_repository(root.resolve())
    update_index(repository, Settings())
    with RepositoryIndex.open(repository, Settings()) as index:
        tasks = [with_half(index, each) for each in question_tasks(index, root.name)]
        random.Random(seed).shuffle(tasks)
        known: dict[str, Vectors] = {}
        return [_judge(index, each, encoder, known) for each in tasks[:n_tasks]]


def _judge(
    index: RepositoryIndex, task: Task, encoder: Encoder, known: dict[str, Vectors]
) -> Judged:
    results = index.search(task.query, _POOL)
    texts = [chunk_text(each.chunk) for each in results]
    new = [each for each in (task.query, *dict.fromkeys(texts)) if each not in known]
    known.update(zip(new, encoder.encode(new), strict=True))
    similarities = [float(known[each] @ known[task.query]) for each in texts]
    return Judged(
        task,
        tuple(each.score for each in results),
        tuple(similarities),
        tuple(each.chunk.id in task.right for each in results),
    )


def _report(judged: list[Judged], seed: int) -> list[str]:
    tune = [each for each in judged if each.task.half == "tune"]
    held_out = [each for each in judged if each.task.half == "held-out"]

    def gains(of: list[Judged], combination: Combination) -> list[float]:
        return [each.gain(combination.order(each.scores, each.similarities)) for each in of]

    first = [each.gain(list(range(len(each.scores)))) for each in held_out]
    chosen = max(_GRID, key=lambda each: sum(gains(tune, each)))
    arms = {
        "first tier": first,
        "the model alone": gains(held_out, Combination("model", 1.0)),
        f"both ({chosen.form}, {chosen.weight})": gains(held_out, chosen),
        "best order of the 50": [float(any(each.right)) for each in held_out],
    }
    rows = []
    for name, values in arms.items():
        leads = [one - other for one, other in zip(values, first, strict=True)]
        cells = []
        for numbers in (values, leads):
            low, high = mean_interval(numbers, seed) or (0.0, 0.0)
            cells.append(f"{sum(numbers) / max(1, len(numbers)):.3f} [{low:.3f}, {high:.3f}]")
        rows.append([name, *cells])
    tuned = ", ".join(
        f"{each.form} {each.weight}: {sum(gains(tune, each)) / max(1, len(tune)):.3f}"
        for each in _GRID
    )
    heading = ["held-out half", f"NDCG@10 of {len(held_out)}", "less the first tier"]
    return [*table(heading, rows), "", f"on the other half ({len(tune)}): {tuned}"]


if __name__ == "__main__":
    main()
