"""Two runs side by side, on the tasks that both have done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from codebuddy.evaluation.results import SCORES, TaskResult, modes_of
from codebuddy.evaluation.statistics import mean_interval


class ScorePair(TypedDict):
    """Means of both runs and of their differences, with its 95% interval; `None` of no values."""

    first: float | None
    second: float | None
    difference: float | None
    interval: tuple[float, float] | None


class Comparison(TypedDict):
    """`tasks` that both runs have, and `arms`: pairs by retrieval mode and score."""

    tasks: int
    arms: dict[str, dict[str, ScorePair]]


def compare(first: Sequence[TaskResult], second: Sequence[TaskResult], seed: int = 0) -> Comparison:
    """Means of both and of the second minus the first, task by task, with its interval.

    Args:
        first: Results of the earlier run.
        second: Results of the later one.
        seed: Of the bootstrap.

    Returns:
        The pairs of each score in `SCORES` and of `latency_ms`; without common tasks no arms.
    """
    others = {each.id: each for each in second}
    pairs = [(each, others[each.id]) for each in first if each.id in others]
    modes = [
        mode for mode in modes_of([a for a, _ in pairs]) if mode in modes_of([b for _, b in pairs])
    ]
    report: Comparison = {"tasks": len(pairs), "arms": {}}
    for mode in modes if pairs else []:
        scores: dict[str, ScorePair] = {}
        for name in SCORES:
            both = [(a.score(mode, name), b.score(mode, name)) for a, b in pairs]
            scores[name] = pair_of(
                [(x, y) for x, y in both if x is not None and y is not None], seed
            )
        scores["latency_ms"] = pair_of(
            [(a.arms[mode].latency_ms, b.arms[mode].latency_ms) for a, b in pairs], seed
        )
        report["arms"][mode] = scores
    return report


def pair_of(values: Sequence[tuple[float, float]], seed: int) -> ScorePair:
    """Means of pairs (first, second) and of their differences, with the interval of the latter."""
    if not values:
        return {"first": None, "second": None, "difference": None, "interval": None}
    differences = [b - a for a, b in values]
    return {
        "first": sum(a for a, _ in values) / len(values),
        "second": sum(b for _, b in values) / len(values),
        "difference": sum(differences) / len(differences),
        "interval": mean_interval(differences, seed),
    }
