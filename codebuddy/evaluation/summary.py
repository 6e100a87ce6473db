"""Summary of tasks: figures of each mode with intervals, of the head, of the oracle.

The result is the JSON of `codebuddy eval`. Intervals are 95% bootstraps over tasks, drawn
with the run's seed. It knows neither files nor models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NotRequired, TypedDict, cast

from codebuddy.evaluation.baselines import BASELINES
from codebuddy.evaluation.metrics import customization_quality_index, quality
from codebuddy.evaluation.results import (
    BASE_MODES,
    SCORES,
    TOKENS,
    ScoreName,
    TaskResult,
    modes_of,
)
from codebuddy.evaluation.retrieval import Percentiles, RetrievalReport
from codebuddy.evaluation.statistics import (
    Interval,
    auroc,
    brier,
    classification,
    draws,
    mean,
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


class Scores(TypedDict):
    """Means of each score in `SCORES`, over the tasks that have it; intervals are by figure."""

    exact_match: float | None
    edit_similarity: float | None
    identifier_f1: float | None
    call_recall: float | None
    codebleu: float | None
    intervals: dict[str, Any]


class ModeFigures(Scores):
    """A retrieval mode over all tasks; `tokens` are means by the names in `TOKENS`."""

    latency_ms: Percentiles
    retrieval_rate: float | None
    tokens: dict[str, float | None]
    answer_in_chunks: float | None


class OracleFigures(Scores):
    """The better of never and always for each task; all `None` without both modes."""

    latency_ms: NotRequired[Percentiles]
    retrieval_rate: float | None


class Difference(Scores):
    """What the first mode has more than the second, and the shares of tasks by who is better."""

    better: float | None
    worse: float | None


class HeadFigures(TypedDict):
    """How well the decision foresaw that lookups help; `positives` is how often they did."""

    auroc: float | None
    accuracy: float | None
    precision: float | None
    recall: float | None
    brier: float | None
    positives: float | None
    intervals: dict[str, Interval]


class QualityIndex(TypedDict):
    """The customization quality index, and the qualities that it is made from."""

    index: float | None
    interval: Interval
    arm: NotRequired[str]
    quality: NotRequired[dict[str, float]]


class Figures(TypedDict):
    """The figures of some tasks; `differences` are named `FIRST-SECOND`."""

    tasks: int
    arms: dict[str, ModeFigures]
    head: HeadFigures
    oracle: OracleFigures
    differences: dict[str, Difference]


class Summary(Figures):
    """The figures of all tasks, and of each kind."""

    cqi: QualityIndex
    kinds: dict[str, Figures]


class Report(Summary):
    """The keys of `eval --json`: what was run, how it ended, the figures."""

    repository: str
    commit: str
    model: str
    adapter: dict[str, str] | None
    run: str
    seed: int
    planned: int
    damaged_lines: int
    settings: dict[str, Any]
    ended: str
    resumed: int
    retrieval: RetrievalReport


def summarize(results: Sequence[TaskResult], seed: int) -> Summary:
    """The figures of a run: of all tasks, then of each kind.

    Args:
        results: Finished tasks, each with the same arms.
        seed: Of the bootstrap.
    """
    kinds = list(dict.fromkeys(each.kind for each in results))
    return {
        **_figures(results, seed),
        "cqi": _quality_index(results, seed),
        "kinds": {
            kind: _figures([each for each in results if each.kind == kind], seed) for kind in kinds
        },
    }


def _figures(results: Sequence[TaskResult], seed: int) -> Figures:
    modes = modes_of(results)
    return {
        "tasks": len(results),
        "arms": {mode: _mode(results, mode, seed) for mode in modes},
        "head": _head(results, modes, seed),
        "oracle": _oracle(results, modes, seed),
        "differences": {
            f"{first}-{second}": _difference(results, first, second, seed)
            for first, second in _PAIRS
            if first in modes and second in modes
        },
    }


def _scores(
    value: Callable[[TaskResult, ScoreName], float | None],
    results: Sequence[TaskResult],
    seed: int,
) -> Scores:
    """Means with intervals; a task whose `value` is `None` does not count."""
    values = {
        name: [found for each in results if (found := value(each, name)) is not None]
        for name in SCORES
    }
    means = {name: mean(found) for name, found in values.items()}
    intervals = {name: mean_interval(found, seed) for name, found in values.items()}
    return cast("Scores", {**means, "intervals": intervals})


def _percentiles(values: Sequence[float]) -> Percentiles:
    return {"p50": percentile(values, 50), "p95": percentile(values, 95)}


def _mode(results: Sequence[TaskResult], mode: str, seed: int) -> ModeFigures:
    chosen = [each.arms[mode] for each in results]
    scores = _scores(lambda each, name: each.score(mode, name), results, seed)
    latencies = [each.latency_ms for each in chosen]
    retrieved = [float(each.retrieve) for each in chosen]
    tokens = {name: [float(each.tokens.get(name, 0)) for each in chosen] for name in TOKENS}
    others = {
        "latency_ms": {f"p{p}": percentile_interval(latencies, p, seed) for p in _PERCENTILES},
        "retrieval_rate": mean_interval(retrieved, seed),
        "tokens": {name: mean_interval(values, seed) for name, values in tokens.items()},
    }
    return {
        **scores,
        "latency_ms": _percentiles(latencies),
        "retrieval_rate": mean(retrieved),
        "tokens": {name: mean(values) for name, values in tokens.items()},
        "answer_in_chunks": mean([float(each.has_answer_in_chunks) for each in chosen]),
        "intervals": {**scores["intervals"], **others},
    }


def _head(results: Sequence[TaskResult], modes: Sequence[str], seed: int) -> HeadFigures:
    """A lookup helps where it brings more edit similarity than there is without."""
    names = ("auroc", "accuracy", "precision", "recall", "brier")
    if not {"never", "always"} <= set(modes):
        nothing = dict.fromkeys((*names, "positives"))
        return cast("HeadFigures", {**nothing, "intervals": dict.fromkeys(names)})
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

    found = {
        **figures(range(len(results))),
        "positives": mean([float(label) for label in labels]),
        "intervals": _resampled(figures, len(results), names, seed),
    }
    return cast("HeadFigures", found)


def _resampled(
    figures: Callable[[Sequence[int]], dict[str, float | None]],
    count: int,
    names: Sequence[str],
    seed: int,
) -> dict[str, Interval]:
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


def _oracle(results: Sequence[TaskResult], modes: Sequence[str], seed: int) -> OracleFigures:
    """Lookups only where they help."""
    if not {"never", "always"} <= set(modes) or not results:
        nothing = dict.fromkeys((*SCORES, "retrieval_rate"))
        return cast("OracleFigures", {**nothing, "intervals": {}})

    def chosen(each: TaskResult) -> str:
        return "always" if _gain(each) > 0 else "never"

    scores = _scores(lambda each, name: each.score(chosen(each), name), results, seed)
    return {
        **scores,
        "latency_ms": _percentiles([each.arms[chosen(each)].latency_ms for each in results]),
        "retrieval_rate": mean([float(chosen(each) == "always") for each in results]),
    }


def _difference(results: Sequence[TaskResult], first: str, second: str, seed: int) -> Difference:
    """Task by task."""

    def more(each: TaskResult, name: ScoreName) -> float | None:
        a, b = each.score(first, name), each.score(second, name)
        return None if a is None or b is None else a - b

    scores = _scores(more, results, seed)
    gains = [
        (each.score(first, "edit_similarity") or 0) - (each.score(second, "edit_similarity") or 0)
        for each in results
    ]
    return {
        **scores,
        "better": mean([float(gain > 0) for gain in gains]),
        "worse": mean([float(gain < 0) for gain in gains]),
    }


def _quality_index(results: Sequence[TaskResult], seed: int) -> QualityIndex:
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
        "index": index(range(len(results)))["index"],
        "interval": _resampled(index, len(results), ("index",), seed)["index"],
        "arm": with_lookups,
        "quality": {"never": quality(never), with_lookups: quality(better)},
    }


def _gain(result: TaskResult) -> float:
    """How much edit similarity lookups add to a task."""
    with_lookups = result.score("always", "edit_similarity") or 0.0
    return with_lookups - (result.score("never", "edit_similarity") or 0.0)
