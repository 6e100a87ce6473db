"""Summary of tasks: figures of each mode with intervals, of the head, of the oracle.

The result is the JSON of `codebuddy eval`. Intervals are 95% bootstraps over tasks, drawn
with the run's seed. It knows neither files nor models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from codebuddy.evaluation.baselines import BASELINES
from codebuddy.evaluation.metrics import customization_quality_index, quality
from codebuddy.evaluation.results import BASE_MODES, SCORES, TOKENS, TaskResult, modes_of
from codebuddy.evaluation.statistics import (
    auroc,
    brier,
    classification,
    draws,
    mean_interval,
    percentile,
    percentile_interval,
)

_PERCENTILES = (50, 95)
_MAX_CQI_RESAMPLES = 400
_PAIRS = (
    ("always", "never"),
    ("auto", "never"),
    ("auto", "always"),
    *(
        pair
        for baseline in BASELINES
        for pair in ((baseline, "never"), ("always", baseline), ("auto", baseline))
    ),
    *((mode, base) for base, mode in BASE_MODES.items()),
)


def summarize(results: Sequence[TaskResult], seed: int) -> dict[str, Any]:
    """The figures of a run: of all tasks, then of each kind.

    Args:
        results: Finished tasks, each with the same arms.
        seed: Of the bootstrap.
    """
    kinds = list(dict.fromkeys(each.kind for each in results))
    return {
        "tasks": len(results),
        **_figures(results, seed),
        "cqi": _quality_index(results, seed),
        "kinds": {
            kind: {"tasks": len(chosen), **_figures(chosen, seed)}
            for kind in kinds
            for chosen in [[each for each in results if each.kind == kind]]
        },
    }


def _figures(results: Sequence[TaskResult], seed: int) -> dict[str, Any]:
    modes = modes_of(results)
    return {
        "arms": {mode: _mode(results, mode, seed) for mode in modes},
        "head": _head(results, modes, seed),
        "oracle": _oracle(results, modes, seed),
        "differences": {
            f"{first}-{second}": _difference(results, first, second, seed)
            for first, second in _PAIRS
            if first in modes and second in modes
        },
    }


def _mode(results: Sequence[TaskResult], mode: str, seed: int) -> dict[str, Any]:
    chosen = [each.arms[mode] for each in results]
    latencies = [each.latency_ms for each in chosen]
    figures: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    for name in SCORES:
        values = [value for each in chosen if (value := each.scores.get(name)) is not None]
        figures[name] = _mean(values)
        intervals[name] = mean_interval(values, seed)
    figures["latency_ms"] = {f"p{p}": percentile(latencies, p) for p in _PERCENTILES}
    intervals["latency_ms"] = {
        f"p{p}": percentile_interval(latencies, p, seed) for p in _PERCENTILES
    }
    retrieved = [float(each.retrieve) for each in chosen]
    figures["retrieval_rate"] = _mean(retrieved)
    intervals["retrieval_rate"] = mean_interval(retrieved, seed)
    figures["tokens"] = {
        name: _mean([float(each.tokens.get(name, 0)) for each in chosen]) for name in TOKENS
    }
    intervals["tokens"] = {
        name: mean_interval([float(each.tokens.get(name, 0)) for each in chosen], seed)
        for name in TOKENS
    }
    figures["answer_in_chunks"] = _mean([float(each.has_answer_in_chunks) for each in chosen])
    return {**figures, "intervals": intervals}


def _head(results: Sequence[TaskResult], modes: Sequence[str], seed: int) -> dict[str, Any]:
    """How well the decision foresaw that lookups help: more edit similarity than without."""
    names = ("auroc", "accuracy", "precision", "recall", "brier")
    if not {"never", "always"} <= set(modes):
        return dict.fromkeys(names) | {"positives": None, "intervals": dict.fromkeys(names)}
    # `never` and `always` have a probability too, but only `auto` uses it.
    judge = "auto" if "auto" in modes else "never"
    labels = [_gain(each) > 0 for each in results]
    probabilities = [each.arms[judge].probability for each in results]
    decisions = [
        each.arms[judge].probability >= each.arms[judge].threshold
        if judge != "auto"
        else each.arms[judge].retrieve
        for each in results
    ]

    def figures(chosen: Sequence[int]) -> dict[str, float | None]:
        truth = [labels[i] for i in chosen]
        guessed = [probabilities[i] for i in chosen]
        accuracy, precision, recall = classification([decisions[i] for i in chosen], truth)
        return {
            "auroc": auroc(guessed, truth),
            "accuracy": accuracy,
            "precision": precision,
            "recall": recall,
            "brier": brier(guessed, truth),
        }

    return {
        **figures(range(len(results))),
        "positives": _mean([float(label) for label in labels]),
        "intervals": _resampled(figures, len(results), names, seed),
    }


def _resampled(
    figures: Callable[[Sequence[int]], dict[str, float | None]],
    count: int,
    names: Sequence[str],
    seed: int,
) -> dict[str, tuple[float, float] | None]:
    """Intervals of figures that are no means; resamples where one does not exist do not count."""
    if count < 2:
        return dict.fromkeys(names)
    drawn: dict[str, list[float]] = {name: [] for name in names}
    for row in draws(count, seed)[:_MAX_CQI_RESAMPLES].tolist():
        for name, value in figures(row).items():
            if value is not None:
                drawn[name].append(value)
    return {
        name: (percentile(values, 2.5), percentile(values, 97.5)) if values else None
        for name, values in drawn.items()
    }


def _oracle(results: Sequence[TaskResult], modes: Sequence[str], seed: int) -> dict[str, Any]:
    """The better of never and always for each task; lookups only where they help."""
    if not {"never", "always"} <= set(modes) or not results:
        return dict.fromkeys((*SCORES, "retrieval_rate")) | {"intervals": {}}
    chosen = ["always" if _gain(each) > 0 else "never" for each in results]
    figures: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    for name in SCORES:
        pairs = zip(results, chosen, strict=True)
        values = [value for each, mode in pairs if (value := each.score(mode, name)) is not None]
        figures[name] = _mean(values)
        intervals[name] = mean_interval(values, seed)
    retrieved = [float(mode == "always") for mode in chosen]
    latencies = [each.arms[mode].latency_ms for each, mode in zip(results, chosen, strict=True)]
    figures["latency_ms"] = {f"p{p}": percentile(latencies, p) for p in _PERCENTILES}
    figures["retrieval_rate"] = _mean(retrieved)
    return {**figures, "intervals": intervals}


def _difference(
    results: Sequence[TaskResult], first: str, second: str, seed: int
) -> dict[str, Any]:
    """What the first arm has more than the second, task by task."""
    figures: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    for name in SCORES:
        values = [
            a - b
            for each in results
            if (a := each.score(first, name)) is not None
            and (b := each.score(second, name)) is not None
        ]
        figures[name] = _mean(values)
        intervals[name] = mean_interval(values, seed)
    gains = [
        (each.score(first, "edit_similarity") or 0) - (each.score(second, "edit_similarity") or 0)
        for each in results
    ]
    figures["better"] = _mean([float(gain > 0) for gain in gains])
    figures["worse"] = _mean([float(gain < 0) for gain in gains])
    return {**figures, "intervals": intervals}


def _quality_index(results: Sequence[TaskResult], seed: int) -> dict[str, Any]:
    modes = modes_of(results)
    with_lookups = "auto" if "auto" in modes else "always"
    if not results or not {"never", with_lookups} <= set(modes):
        return {"index": None, "interval": None}
    never = [each.arms["never"].scores for each in results]
    better = [each.arms[with_lookups].scores for each in results]

    def index(chosen: Sequence[int]) -> dict[str, float | None]:
        return {
            "index": customization_quality_index(
                quality(better[i] for i in chosen), quality(never[i] for i in chosen)
            )
        }

    return {
        **index(range(len(results))),
        "interval": _resampled(index, len(results), ("index",), seed)["index"],
        "arm": with_lookups,
        "quality": {"never": quality(never), with_lookups: quality(better)},
    }


def _gain(result: TaskResult) -> float:
    """How much edit similarity lookups add to a task."""
    with_lookups = result.score("always", "edit_similarity") or 0.0
    return with_lookups - (result.score("never", "edit_similarity") or 0.0)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
