"""`make bench-embedder`: the shipped embedder beside BM25, MiniLM and chance.

All are asked the same questions about the same functions of repositories that were never
trained on. It knows nothing of training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codebuddy.evaluation.statistics import draws
from codebuddy.index.chunk_bag import bag_of
from codebuddy.index.encoder import StaticEncoder
from codebuddy.index.vectors import Encoder
from codebuddy.training.embedder.measure import (
    discrimination,
    isotropy,
    mean_cosine,
    ndcg_at_10,
    ranks,
)
from codebuddy.training.embedder.tasks import Task

Scores = npt.NDArray[np.floating]
Method = Callable[[Task], Scores]

# What the second of two tiers looks at again.
RESCORED = 30
_SPEED_TEXTS = {"static": 4096, "transformer": 64}
_TAILS = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Ranking:
    """NDCG@10 of each question, by repository, of one method on one kind of task."""

    by_repository: dict[str, npt.NDArray[np.float64]]

    @property
    def mean(self) -> float:
        """The mean over repositories of each one's mean."""
        return float(np.mean([values.mean() for values in self.by_repository.values()]))

    def resampled(self, seed: int) -> npt.NDArray[np.float64]:
        """`mean` over each of many draws of the questions within their repositories."""
        means = [
            values[draws(len(values), seed + number)].mean(axis=1)
            for number, values in enumerate(self.by_repository.values())
        ]
        return np.asarray(np.mean(means, axis=0), np.float64)


def by_encoder(encoder: Encoder) -> Method:
    """Scores by the inner product of an encoder's vectors."""
    return lambda task: encoder.encode(task.queries) @ encoder.encode(task.documents).T


def by_bags(encoder: StaticEncoder) -> Method:
    """The same, the functions read as the index reads chunks; their names are not given."""
    return lambda task: (
        encoder.encode(task.queries)
        @ encoder.encode_bags([bag_of("", "", text) for text in task.documents]).T
    )


def random_method(seed: int) -> Method:
    """Scores that say nothing."""
    generator = np.random.default_rng(seed)
    return lambda task: generator.random((len(task.queries), len(task.documents)))


def in_two_tiers(first: Method, second: Method) -> Method:
    """The best `RESCORED` documents of `first` in the order of `second`, the others after."""

    def scores(task: Task) -> Scores:
        recalled, precise = first(task), second(task)
        count = min(RESCORED, recalled.shape[1])
        best = np.argpartition(-recalled, count - 1, axis=1)[:, :count]
        found = recalled - 10.0
        np.put_along_axis(found, best, np.take_along_axis(precise, best, axis=1), axis=1)
        return found

    return scores


def fused(first: Method, second: Method) -> Method:
    """Reciprocal rank fusion (Cormack et al., 2009; k = 60) of two methods."""

    def places(scores: Scores) -> Scores:
        order = np.argsort(-scores, axis=1, kind="stable")
        found = np.empty_like(order)
        np.put_along_axis(found, order, np.arange(scores.shape[1])[None, :], axis=1)
        return 1 / (61.0 + found)

    return lambda task: places(first(task)) + places(second(task))


def rank(method: Method, tasks: Sequence[Task], kind: str) -> Ranking:
    """NDCG@10 of `method` on the tasks of `kind`."""
    return Ranking(
        {
            task.repository.name: ndcg_at_10(ranks(method(task), task.answers))
            for task in tasks
            if task.kind == kind
        }
    )


def compare(methods: dict[str, Method], baseline: str, tasks: Sequence[Task], seed: int) -> Any:
    """Each method's NDCG@10 on each kind, with its interval and its lead over `baseline`."""
    report: dict[str, Any] = {}
    for kind in dict.fromkeys(task.kind for task in tasks):
        rankings = {name: rank(method, tasks, kind) for name, method in methods.items()}
        against = rankings[baseline]
        # The same draws for all: the difference is taken question by question.
        drawn_against = against.resampled(seed)
        report[kind] = {}
        for name, ranking in rankings.items():
            drawn = ranking.resampled(seed)
            report[kind][name] = {
                "ndcg_at_10": round(ranking.mean, 4),
                "interval": _interval(drawn),
                "lead": round(ranking.mean - against.mean, 4),
                "lead_interval": _interval(drawn - drawn_against),
                "repositories": {
                    repository: round(float(values.mean()), 4)
                    for repository, values in ranking.by_repository.items()
                },
            }
    return report


def space(encoder: Encoder, tasks: Sequence[Task], seed: int) -> dict[str, float]:
    """Isotropy and discrimination of an encoder over all docstrings and their functions."""
    asked = [task for task in tasks if task.kind == "docstring"]
    queries = encoder.encode([text for task in asked for text in task.queries])
    answers = encoder.encode([task.documents[each] for task in asked for each in task.answers])
    both = np.concatenate([queries, answers])
    return {
        "isotropy": round(isotropy(both), 4),
        "mean_cosine": round(mean_cosine(both), 4),
        "discrimination_auroc": round(discrimination(queries, answers, seed), 4),
    }


def speed(static: Encoder, transformer: Encoder, tasks: Sequence[Task], seed: int) -> Any:
    """Functions a second of both encoders, measured in turn on the same functions."""
    pool = sorted({text for task in tasks for text in task.documents})
    generator = np.random.default_rng(seed)
    drawn = [pool[each] for each in generator.permutation(len(pool))]
    figures: dict[str, Any] = {}
    for name, encoder in (("static", static), ("transformer", transformer)):
        texts = drawn[: _SPEED_TEXTS[name]]
        encoder.encode(drawn[-8:])
        begin = time.perf_counter()
        encoder.encode(texts)
        seconds = time.perf_counter() - begin
        figures[f"{name}_functions_per_s"] = round(len(texts) / seconds, 1)
    figures["ratio"] = round(
        figures["static_functions_per_s"] / figures["transformer_functions_per_s"], 1
    )
    return figures


def _interval(drawn: npt.NDArray[np.float64]) -> list[float]:
    return [round(float(each), 4) for each in np.percentile(drawn, _TAILS)]


def table(report: Any) -> str:
    """The report's figures as Markdown tables."""
    lines = []
    for kind, methods in report["ranking"].items():
        names = list(next(iter(methods.values()))["repositories"])
        lines += [
            f"| {kind}: NDCG@10 | mean | 95% | lead over minilm | {' | '.join(names)} |",
            "|---|--:|--:|--:|" + "--:|" * len(names),
        ]
        for name, row in methods.items():
            low, high = row["interval"]
            lead = "{:+.3f} ({:+.3f} to {:+.3f})".format(row["lead"], *row["lead_interval"])
            cells = " | ".join(f"{row['repositories'][each]:.3f}" for each in names)
            lines.append(
                f"| {name} | {row['ndcg_at_10']:.3f} | {low:.3f} to {high:.3f} | {lead} | {cells} |"
            )
        lines.append("")
    lines += ["| space | isotropy | mean cosine | discrimination |", "|---|--:|--:|--:|"]
    lines += [
        f"| {name} | {row['isotropy']:.3f} | {row['mean_cosine']:.3f} "
        f"| {row['discrimination_auroc']:.3f} |"
        for name, row in report["space"].items()
    ]
    figures = report["speed"]
    lines += [
        "",
        f"static {figures['static_functions_per_s']} functions/s, "
        f"minilm {figures['transformer_functions_per_s']}, ratio {figures['ratio']}",
    ]
    return "\n".join(lines)
