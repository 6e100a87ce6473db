"""How good a head is, on repositories that it was not trained on.

Leave one repository out: the trees and their calibration see all repositories but one and
judge that one's holes. Out of those judgements come the usual numbers of a classifier, and
what a policy would have won and cost: edit similarity, lookups, time. Intervals are by
bootstrap over holes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from codebuddy.completion.head import Stage
from codebuddy.evaluation.statistics import auroc, brier, mean_interval
from codebuddy.training.head.examples import Example, repositories
from codebuddy.training.head.fit import Recipe, fit_stage, values_of

_BINS = 10
_SEED = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """A hole with what a head that never saw its repository says of it."""

    example: Example
    probability: float
    gain: float


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What a policy does over all holes: means, lookups as a share, time relative to always."""

    name: str
    edit_similarity: float
    exact_match: float
    lookup_rate: float
    relative_ms: float
    relative_tokens: float
    interval: tuple[float, float] | None


def judge_left_out(
    examples: Sequence[Example], features: Sequence[str], recipe: Recipe | None = None
) -> list[Judged]:
    """Each example judged by a stage that was fitted on the other repositories."""
    judged: dict[int, Judged] = {}
    for repository in repositories(examples):
        others = [each for each in examples if each.repository != repository]
        stage: Stage = fit_stage(others, features, recipe)
        for row, example in enumerate(examples):
            if example.repository == repository:
                verdict = stage.judge(values_of(example))
                judged[row] = Judged(example, verdict.probability, verdict.gain)
    return [judged[row] for row in range(len(examples))]


def classifier_report(judged: Sequence[Judged]) -> dict[str, Any]:
    """AUROC, calibration and accuracy of `a lookup helps`, beside what guessing would get.

    `accuracy` is at probability 0.5; `balanced_accuracy` at the threshold that the share of
    helped holes gives, the mean of the rates at which yes and no are recognised.
    """
    probabilities = [each.probability for each in judged]
    labels = [each.example.helps for each in judged]
    share = sum(labels) / len(labels)
    return {
        "holes": len(judged),
        "helped": share,
        "hurt": sum(each.example.gain < 0 for each in judged) / len(judged),
        "auroc": auroc(probabilities, labels),
        "auroc_interval": _interval(judged, lambda drawn: auroc(*_pairs(drawn))),
        "calibration_error": calibration_error(probabilities, labels),
        "brier": brier(probabilities, labels),
        "accuracy": _accuracy(judged, 0.5),
        "accuracy_interval": _interval(judged, lambda drawn: _accuracy(drawn, 0.5)),
        "majority_accuracy": max(share, 1 - share),
        "balanced_accuracy": _balanced_accuracy(judged, share),
    }


def calibration_error(probabilities: Sequence[float], labels: Sequence[bool]) -> float:
    """Expected calibration error over ten bins of equal width (Naeini et al. 2015)."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(_BINS)]
    for probability, label in zip(probabilities, labels, strict=True):
        bins[min(_BINS - 1, int(probability * _BINS))].append((probability, label))
    total = 0.0
    for each in bins:
        if each:
            total += abs(sum(p for p, _ in each) - sum(label for _, label in each))
    return total / len(labels)


def policies(judged: Sequence[Judged], price: float) -> list[PolicyResult]:
    """never, always, the rule of names, the head, chance at the head's rate, and the oracle.

    Args:
        judged: The holes.
        price: Points of expected gain that a lookup must bring.
    """
    chosen = [each.gain >= price for each in judged]
    rate = sum(chosen) / len(chosen)
    chance = random.Random(_SEED)
    by_chance = [chance.random() < rate for _ in judged]
    return [
        policy("never", judged, [False] * len(judged)),
        policy("always", judged, [True] * len(judged)),
        policy("rule", judged, [each.example.features["elsewhere_6"] >= 1 for each in judged]),
        policy("head", judged, chosen),
        policy("random", judged, by_chance),
        policy("oracle", judged, [each.example.helps for each in judged]),
    ]


def curve(judged: Sequence[Judged], prices: Sequence[float]) -> list[PolicyResult]:
    """The head's policy at each price."""
    return [
        policy(f"gain >= {price:g}", judged, [each.gain >= price for each in judged])
        for price in prices
    ]


def policy(name: str, judged: Sequence[Judged], looks_up: Sequence[bool]) -> PolicyResult:
    """What comes of looking up in exactly these holes."""
    arms = [
        each.example.always if looked_up else each.example.never
        for each, looked_up in zip(judged, looks_up, strict=True)
    ]
    always = [each.example.always for each in judged]
    similarities = [arm.edit_similarity for arm in arms]
    return PolicyResult(
        name=name,
        edit_similarity=_mean(similarities),
        exact_match=_mean([float(arm.exact) for arm in arms]),
        lookup_rate=_mean([float(each) for each in looks_up]),
        relative_ms=sum(arm.ms for arm in arms) / max(1e-9, sum(arm.ms for arm in always)),
        relative_tokens=sum(arm.prompt_tokens for arm in arms)
        / max(1, sum(arm.prompt_tokens for arm in always)),
        interval=mean_interval(similarities, _SEED),
    )


def _accuracy(judged: Sequence[Judged], threshold: float) -> float:
    return _mean([float((j.probability >= threshold) == j.example.helps) for j in judged])


def _balanced_accuracy(judged: Sequence[Judged], threshold: float) -> float:
    rates = []
    for wanted in (True, False):
        of_kind = [each for each in judged if each.example.helps is wanted]
        right = [float((each.probability >= threshold) is wanted) for each in of_kind]
        rates.append(_mean(right) if right else 0.0)
    return _mean(rates)


def _interval(
    judged: Sequence[Judged], statistic: Callable[[Sequence[Judged]], float | None]
) -> tuple[float, float] | None:
    from codebuddy.evaluation.statistics import draws, percentile

    found = []
    for rows in draws(len(judged), _SEED):
        value = statistic([judged[row] for row in rows])
        if value is not None:
            found.append(value)
    return (percentile(found, 2.5), percentile(found, 97.5)) if found else None


def _pairs(judged: Sequence[Judged]) -> tuple[list[float], list[bool]]:
    return [each.probability for each in judged], [each.example.helps for each in judged]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
