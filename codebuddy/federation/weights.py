"""The decision head as vectors that can be averaged, and what one client does to them.

Each stage is a logistic regression: an intercept and a weight for each feature, over features
that all clients standardise alike, by means and scales of the labels that ship with codebuddy.
A client's step minimises its mean log loss with the shared penalty and, for FedProx (Li et al.,
MLSys 2020, arXiv 1812.06127), a term that holds it near the weights that it was sent:

    f(w) = mean log(1 + exp(-y z)) + penalty / 2 |w|^2 + mu / 2 |w - sent|^2

by a fixed number of gradient steps. It knows neither Flower nor files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codebuddy.completion.features import NAMES
from codebuddy.completion.head import Classifier, read_classifier
from codebuddy.training.head.examples import Example
from codebuddy.training.head.fit import AFTER_FEATURES, FitConfig, gains_of, readings, values_of

Array = npt.NDArray[np.float64]

# The inverse of the penalty times the number of labels that the shipped head was fitted to, as
# scikit-learn has it: 1 / (0.01 * 1,503).
PENALTY = 0.0665


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage's name, its features, and the text that its lookup leads to (`FitConfig`)."""

    name: str
    features: tuple[str, ...]
    ends_with: str


STAGES = (Stage("syntax", NAMES, "always"), Stage("confidence", AFTER_FEATURES, "kept"))


@dataclass(frozen=True, slots=True)
class Scales:
    """By stage, the mean and the scale of each feature."""

    means: tuple[Array, ...]
    scales: tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class StepConfig:
    """How a client takes its step.

    Args:
        n_steps: Gradient steps.
        penalty: On squared weights, the same for all clients.
        proximal: FedProx's mu; 0 is FedAvg.
    """

    n_steps: int = 20
    penalty: float = PENALTY
    proximal: float = 0.0


@dataclass(frozen=True, slots=True)
class Data:
    """A client's labels as matrices: by stage, inputs `[n, 1 + features]` and whether it helped."""

    inputs: tuple[Array, ...]
    helped: tuple[Array, ...]

    @property
    def n_examples(self) -> int:
        """How many holes."""
        return len(self.helped[0])


def scales_of(examples: Sequence[Example]) -> Scales:
    """Means and scales of these labels; a feature that is always the same has scale 1."""
    means, scales = [], []
    for stage in STAGES:
        inputs = _raw(examples, stage)
        spread = inputs.std(axis=0)
        spread[spread == 0] = 1.0
        means.append(inputs.mean(axis=0))
        scales.append(spread)
    return Scales(tuple(means), tuple(scales))


def data_of(examples: Sequence[Example], scales: Scales) -> Data:
    """Labels as matrices; the first input is 1, for the intercept."""
    inputs, helped = [], []
    for number, stage in enumerate(STAGES):
        raw = (_raw(examples, stage) - scales.means[number]) / scales.scales[number]
        inputs.append(np.hstack([np.ones((len(raw), 1)), raw]))
        gains = gains_of(examples, FitConfig(ends_with=stage.ends_with))
        helped.append((gains > 0).astype(np.float64))
    return Data(tuple(inputs), tuple(helped))


def zeros() -> list[Array]:
    """Weights that know nothing: every lookup helps as often as not."""
    return [np.zeros(1 + len(stage.features)) for stage in STAGES]


def step(sent: Sequence[Array], data: Data, config: StepConfig) -> list[Array]:
    """The client's weights after its gradient steps, from those that it was sent.

    The step's length is the inverse of the largest curvature that the loss can have, so that
    each one lowers it.
    """
    found = []
    for start, inputs, helped in zip(sent, data.inputs, data.helped, strict=True):
        n_examples = max(1, len(helped))
        curvature = 0.25 * float(np.linalg.eigvalsh(inputs.T @ inputs)[-1]) / n_examples
        length = 1.0 / (curvature + config.penalty + config.proximal)
        penalised = np.ones(len(start))
        penalised[0] = 0.0
        weights = start.copy()
        for _ in range(config.n_steps):
            error = _sigmoid(inputs @ weights) - helped
            gradient = inputs.T @ error / n_examples
            gradient += config.penalty * penalised * weights
            gradient += config.proximal * (weights - start)
            weights = weights - length * gradient
        found.append(weights)
    return found


def scores_of(weights: Array, inputs: Array) -> Array:
    """A stage's scores, which rise with how likely a lookup is to help."""
    return np.asarray(inputs @ weights, np.float64)


def shapes_fit(weights: Sequence[Any]) -> bool:
    """Whether these are weights of this codebuddy's head: so many numbers, all finite."""
    return len(weights) == len(STAGES) and all(
        isinstance(each, np.ndarray)
        and each.shape == (1 + len(stage.features),)
        and each.dtype.kind == "f"
        and bool(np.isfinite(each).all())
        for each, stage in zip(weights, STAGES, strict=True)
    )


def norm(weights: Sequence[Array]) -> float:
    """The Euclidean norm of all stages together."""
    return float(np.sqrt(sum(float(each @ each) for each in weights)))


def classifiers(
    weights: Sequence[Array], scales: Scales, calibration: Sequence[Example]
) -> list[Classifier]:
    """The stages as the head has them, their readings fitted on `calibration`.

    Raises:
        TrainingError: There is too little to calibrate on.
    """
    found = []
    data = data_of(calibration, scales)
    for number, stage in enumerate(STAGES):
        own = weights[number]
        gains = gains_of(calibration, FitConfig(ends_with=stage.ends_with))
        scores = scores_of(own, data.inputs[number])
        content = {
            "features": list(stage.features),
            # At the means of the features, where all standardised ones are 0.
            "base": float(own[0]),
            "weights": (own[1:] / scales.scales[number]).tolist(),
            "means": scales.means[number].tolist(),
            **readings(scores, gains),
        }
        found.append(read_classifier(content))
    return found


def weights_of(classifier_of: Sequence[Classifier], scales: Scales) -> list[Array]:
    """The vectors of a head's stages, to start from.

    Raises:
        ValueError: The head is for other features.
    """
    found = []
    for number, (stage, known) in enumerate(zip(STAGES, classifier_of, strict=True)):
        if known.features != stage.features:
            raise ValueError(f"the stage {stage.name} has other features")
        weights = np.array(known.weights)
        moved = float(weights @ (scales.means[number] - np.array(known.means)))
        found.append(np.concatenate([[known.base + moved], weights * scales.scales[number]]))
    return found


def _raw(examples: Sequence[Example], stage: Stage) -> Array:
    known = (values_of(each) for each in examples)
    rows = [[values[name] for name in stage.features] for values in known]
    return np.array(rows, np.float64).reshape(len(rows), len(stage.features))


def _sigmoid(scores: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * scores)), np.float64)
