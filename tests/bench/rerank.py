"""What a second tier is worth: a sentence-transformers model over the first 50 of a question.

    python -m tests.bench.rerank REPOSITORY... --reranker NAME|PATH [--tasks N] [--seed N]

Questions of search_questions.txt about repositories of those names. Weights of the two texts that
the model reads of a chunk are tried on one half; the best and the shipped ones are reported on the
other, beside the first tier, the first text alone and the best possible order of the same 50.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codebuddy.evaluation.statistics import mean_interval
from codebuddy.evaluation.tables import table
from codebuddy.index.build import update_index
from codebuddy.index.encoder import open_encoder
from codebuddy.index.query import kind_of
from codebuddy.index.rerank import BODY_POOL, BODY_WEIGHT, HEAD_WEIGHT, POOL, combined, is_reranked
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.second_tier import body_text, head_text
from codebuddy.index.vectors import Encoder, Vectors
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.bench.search_tasks import Task, question_tasks, with_half

_TOP_K = 10
_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0)


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the similarity of a chunk's head and of its body, beside the first tier's score."""

    head: float
    body: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A task's first 50: scores of the first tier, similarities, and which are right.

    `bodies` are those of the places that the head leaves (`rerank.BODY_POOL` of them).
    """

    task: Task
    scores: tuple[float, ...]
    heads: tuple[float, ...]
    bodies: Mapping[int, float]
    right: tuple[bool, ...]

    def order(self, weights: Weights) -> list[int]:
        """The places (from 0) of the results in their new order."""
        best = max(self.scores, default=0.0) or 1.0
        totals = {
            place: self.scores[place] / best
            + weights.head * self.heads[place]
            + weights.body * body
            for place, body in self.bodies.items()
        }
        read = sorted(totals, key=lambda each: (-totals[each], each))
        by_head = combined(self.scores, self.heads, HEAD_WEIGHT)
        return [*read, *(each for each in by_head if each not in totals)]

    def gain(self, order: Sequence[int]) -> float:
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
    results = index.search(task.query, POOL)
    scores = [each.score for each in results]

    def similarities(texts: list[str]) -> list[float]:
        new = [each for each in (task.query, *dict.fromkeys(texts)) if each not in known]
        known.update(zip(new, encoder.encode(new), strict=True))
        return [float(known[each] @ known[task.query]) for each in texts]

    heads = similarities([head_text(each.chunk) for each in results])
    best = combined(scores, heads, HEAD_WEIGHT)[:BODY_POOL]
    bodies = similarities([body_text(results[each].chunk) for each in best])
    return Judged(
        task,
        tuple(scores),
        tuple(heads),
        dict(zip(best, bodies, strict=True)),
        tuple(each.chunk.id in task.right for each in results),
    )


def _report(judged: list[Judged], seed: int) -> list[str]:
    tune = [each for each in judged if each.task.half == "tune"]
    held_out = [each for each in judged if each.task.half == "held-out"]
    grid = [Weights(head, body) for head in _WEIGHTS for body in _WEIGHTS]

    def gains(of: list[Judged], weights: Weights) -> list[float]:
        return [each.gain(each.order(weights)) for each in of]

    tuned = {each: sum(gains(tune, each)) / max(1, len(tune)) for each in grid}
    chosen = max(grid, key=lambda each: tuned[each])
    shipped = Weights(HEAD_WEIGHT, BODY_WEIGHT)
    first = [each.gain(range(len(each.scores))) for each in held_out]
    arms = {
        "first tier": first,
        "the name and documentation alone": [
            each.gain(combined(each.scores, each.heads, HEAD_WEIGHT)) for each in held_out
        ],
        f"both, as shipped ({shipped.head}, {shipped.body})": gains(held_out, shipped),
        f"both, best of the other half ({chosen.head}, {chosen.body})": gains(held_out, chosen),
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
    best = sorted(grid, key=lambda each: -tuned[each])[:8]
    heading = ["held-out half", f"NDCG@10 of {len(held_out)}", "less the first tier"]
    said = ", ".join(f"{each.head} {each.body}: {tuned[each]:.3f}" for each in best)
    return [*table(heading, rows), "", f"head and body on the other half ({len(tune)}): {said}"]


if __name__ == "__main__":
    main()
