"""Adapting the shipped head privately: DP-SGD on the repository's labels, from the shipped weights.

Everything but the gradient is fixed before a label is looked at: scales and readings are those of
the labels that ship with codebuddy, the number of steps and the clipping are constants. The choice
whether to keep the result is made by held-out files, and tells a little of those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from codebuddy.completion.head import Head
from codebuddy.errors import TrainingError
from codebuddy.federation.weights import (
    STAGES,
    Array,
    Data,
    classifiers,
    data_of,
    scales_of,
    weights_of,
)
from codebuddy.training.head.adapt import Adaptation, GainThresholds, compared_stages
from codebuddy.training.head.examples import Example
from codebuddy.training.head.fit import fold_of
from codebuddy.training.privacy import Goal, Plan, draw, plan_for, seed, units_of

PASSES, CLIP = 20.0, 1.0
_RATE = 0.1
# The pull back to the shipped weights.
_PULL = 0.1
_HELD_OUT_FOLDS = (0, 1)


def adapt_privately(
    default: Head,
    shared: Sequence[Example],
    own: Sequence[Example],
    thresholds: GainThresholds,
    goal: Goal,
    authors: Mapping[str, str],
) -> tuple[Adaptation, dict[str, Any]]:
    """Train on some of the files privately and compare on the others.

    Args:
        default: The head to start from.
        shared: The labels that it was fitted to.
        own: The repository's.
        thresholds: The gain that retrieval must bring there.
        goal: What may be spent.
        authors: Of each path, who wrote most of it.

    Returns:
        The comparison, and what was spent.

    Raises:
        TrainingError: There are too few labels, or the shipped head has another form.
    """
    folds = fold_of(own, 0)
    held_out = [e for e, fold in zip(own, folds, strict=True) if fold in _HELD_OUT_FOLDS]
    learned = [e for e, fold in zip(own, folds, strict=True) if fold not in _HELD_OUT_FOLDS]
    if not held_out or not learned:
        raise TrainingError(
            "all labelled holes are of so few files that none is left to judge by",
            hint="a private head needs holes of five files",
        )
    scales = scales_of(shared)
    try:
        start = weights_of([default.syntax, *filter(None, [default.confidence])], scales)
    except ValueError as error:
        raise TrainingError(f"the shipped head cannot be adapted privately: {error}") from error
    units = units_of(
        [(each.path, number) for number, each in enumerate(learned)], goal.unit, authors
    )
    plan = plan_for(goal, len(units), PASSES, CLIP)
    weights = train_weights(start, data_of(learned, scales), units, plan)
    adaptation = compared_stages(
        default, classifiers(weights, scales, shared), held_out, thresholds
    )
    return adaptation, plan.as_json(plan.steps)


def train_weights(
    start: Sequence[Array], data: Data, units: Sequence[Sequence[int]], plan: Plan
) -> list[Array]:
    """The weights of all stages after the plan's steps, as one vector that is clipped.

    Args:
        start: By stage, known to everybody.
        data: The labels.
        units: Rows by unit.
        plan: Steps, rate, noise and clipping.
    """
    random = np.random.default_rng(seed())
    weights = [each.copy() for each in start]
    for step in range(plan.steps):
        sums = [np.zeros(len(each)) for each in weights]
        for at in draw(len(units), plan.rate):
            for total, part in zip(sums, clipped(weights, data, units[at], plan.clip), strict=True):
                total += part
        rate = _RATE * (1 - step / plan.steps)
        for number, total in enumerate(sums):
            noise = random.normal(0.0, plan.noise * plan.clip, total.shape)
            gradient = (total + noise) / (plan.rate * plan.units)
            pull = _PULL * (weights[number] - start[number])
            weights[number] = weights[number] - rate * (gradient + pull)
    return weights


def clipped(weights: Sequence[Array], data: Data, rows: Sequence[int], clip: float) -> list[Array]:
    """The gradient of the rows' mean log loss, all stages together of norm `clip` at most."""
    chosen = list(rows)
    found = []
    for number in range(len(STAGES)):
        inputs = data.inputs[number][chosen]
        chances = 1 / (1 + np.exp(-np.clip(inputs @ weights[number], -50, 50)))
        found.append(inputs.T @ (chances - data.helped[number][chosen]) / len(chosen))
    norm = float(np.sqrt(sum(float(each @ each) for each in found)))
    factor = min(1.0, clip / norm) if norm > 0 else 0.0
    return [each * factor for each in found]
