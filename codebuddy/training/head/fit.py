"""Fitting a head with scikit-learn, calibrated out of fold, exported as data.

A logistic regression says where a lookup helps; boosted trees and forests did no better
(docs/log.md). Scores of repositories that a fold has not seen give the two readings,
probability and expected gain, by isotonic regression (Zadrozny and Elkan 2002), thinned to a
few knots so that both rise smoothly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codebuddy.completion.head import (
    FORMAT,
    RETRIEVAL_VERSION,
    VERSION,
    Classifier,
    read_classifier,
)
from codebuddy.errors import TrainingError
from codebuddy.training.head.examples import Example, repositories

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_EXAMPLES = 60
# Features of the confidence stage: few, since more of them did worse on repositories that the
# fit had not seen (docs/log.md).
AFTER_FEATURES = (
    "mean_logprob",
    "low_quartile_logprob",
    "min_logprob",
    "first_mean_logprob",
    "doubtful_share",
)
_N_KNOTS = 12
_SHUFFLED_FOLDS = 5


@dataclass(frozen=True, slots=True)
class FitConfig:
    """How to fit; with few degrees of freedom, since examples are a thousand, not a million.

    `ends_with` is the text that a lookup leads to: `always` the one written with it, `kept` the
    likelier of both. `strength` is the inverse of the penalty on squared weights of standardised
    features; `seed` shuffles files into folds.
    """

    ends_with: str = "always"
    strength: float = 0.01
    seed: int = 0


def fit_stage(
    examples: Sequence[Example], features: Sequence[str], config: FitConfig | None = None
) -> Classifier:
    """Train one stage on `features` and calibrate it on scores from unseen folds.

    Raises:
        TrainingError: There are too few examples, or lookups did the same in all of a fold.
    """
    config = config or FitConfig()
    check_examples(examples)
    raw = _weighed(examples, features, config)
    scores = out_of_fold_scores(examples, features, config)
    return read_classifier({**raw, **readings(scores, gains_of(examples, config))})


def out_of_fold_scores(
    examples: Sequence[Example], features: Sequence[str], config: FitConfig
) -> NDArray[np.float64]:
    """A score for each example from a fit that saw none of its repository.

    With a single repository the folds are shuffled files instead.
    """
    import numpy as np

    folds = fold_of(examples, config.seed)
    scores = np.zeros(len(examples))
    for fold in sorted(set(folds)):
        kept = [e for e, f in zip(examples, folds, strict=True) if f != fold]
        stage = read_classifier({**_weighed(kept, features, config), **_FLAT})
        for row, (example, own) in enumerate(zip(examples, folds, strict=True)):
            if own == fold:
                scores[row] = stage.predict(values_of(example)).score
    return scores


def fold_of(examples: Sequence[Example], seed: int) -> list[int]:
    """The fold of each example: its repository, or one of five groups of files."""
    import random

    groups = repositories(examples)
    if len(groups) > 1:
        return [groups.index(example.repository) for example in examples]
    files = sorted({example.path for example in examples})
    random.Random(seed).shuffle(files)
    return [files.index(example.path) % _SHUFFLED_FOLDS for example in examples]


def gains_of(examples: Sequence[Example], config: FitConfig) -> NDArray[np.float64]:
    """Points of edit similarity that a lookup of today wins in each example."""
    import numpy as np

    kept = config.ends_with == "kept"
    gains = [each.gain_of(each.kept) if kept else each.gain for each in examples]
    return np.array([g * each.gain_growth for g, each in zip(gains, examples, strict=True)])


def values_of(example: Example) -> dict[str, float]:
    """All numbers of an example that a stage may ask for."""
    return {**example.features, **example.confidence}


def head_content(
    name: str,
    trained_for: Mapping[str, Any],
    syntax: Classifier,
    confidence: Classifier | None,
    asked_again: float = 0.0,
) -> dict[str, Any]:
    """The JSON form of a head, as `codebuddy.completion.head.load_head` reads it."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "retrieval_version": RETRIEVAL_VERSION,
        "name": name,
        "trained_for": dict(trained_for),
        "asked_again": round(asked_again, 4),
        "stages": {
            "syntax": _content(syntax),
            "confidence": _content(confidence) if confidence else None,
        },
    }


def check_examples(examples: Sequence[Example]) -> None:
    """Raise TrainingError where there is too little to learn from, saying how much is missing."""
    if len(examples) < MIN_EXAMPLES:
        raise TrainingError(
            f"{len(examples)} labelled holes are too few to train on: at least {MIN_EXAMPLES}"
            f" are needed, {MIN_EXAMPLES - len(examples)} more",
            hint="give training more minutes, or a repository with more code",
        )


_FLAT = {"knots": [0.0, 1.0], "probabilities": [0.0, 1.0], "gains": [0.0, 1.0]}


def _weighed(
    examples: Sequence[Example], features: Sequence[str], config: FitConfig
) -> dict[str, Any]:
    """A logistic regression over standardised features, its weights for features as they are."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    inputs = np.array([[values_of(e)[name] for name in features] for e in examples])
    helped = gains_of(examples, config) > 0
    if len(set(helped.tolist())) < 2:
        raise TrainingError("in all labelled holes a lookup did the same: nothing can be learned")
    means, scales = inputs.mean(axis=0), inputs.std(axis=0)
    scales[scales == 0] = 1.0
    model = LogisticRegression(C=config.strength, max_iter=1000)
    model.fit((inputs - means) / scales, helped)
    return {
        "features": list(features),
        "base": float(model.intercept_[0]),
        "weights": (model.coef_[0] / scales).tolist(),
        "means": means.tolist(),
    }


def readings(scores: NDArray[np.float64], gained: NDArray[np.float64]) -> dict[str, list[float]]:
    """Probability and expected gain at knots of the score, both rising, as a stage has them."""
    import numpy as np
    from sklearn.isotonic import IsotonicRegression

    helped = (gained > 0).astype(float)
    # Means over neighbours first: isotonic steps at single examples would be noise.
    order = np.argsort(scores, kind="stable")
    groups = np.array_split(order, min(_N_KNOTS, max(2, len(order) // 15)))
    at = np.array([scores[group].mean() for group in groups])
    sizes = np.array([len(group) for group in groups])
    # Shrunk to the overall mean by some five examples' weight.
    readings = []
    for target in (helped, gained):
        means = np.array([target[group].sum() for group in groups]) + 5 * target.mean()
        readings.append(
            IsotonicRegression(out_of_bounds="clip").fit_transform(
                at, means / (sizes + 5), sample_weight=sizes
            )
        )
    # Beyond the outer groups' means the readings stay, but the order of scores does not get lost.
    at = np.array([scores.min(), *at, scores.max()])
    slope = np.arange(len(at)) * 1e-6
    chances, gains = (np.array([each[0], *each, each[-1]]) for each in readings)
    return {
        "knots": _rising(at),
        "probabilities": [float(p) for p in np.clip(chances, 0, 1 - 1e-4) + slope],
        "gains": [float(g) for g in gains + slope],
    }


def _rising(at: NDArray[np.float64]) -> list[float]:
    found: list[float] = []
    for value in at.tolist():
        found.append(max(value, found[-1] + 1e-9) if found else value)
    return found


def _content(stage: Classifier) -> dict[str, Any]:
    return {
        "features": list(stage.features),
        "base": stage.base,
        "weights": [float(f"{each:.9g}") for each in stage.weights],
        "means": [float(f"{each:.9g}") for each in stage.means],
        "knots": list(stage.knots),
        "probabilities": list(stage.probabilities),
        "gains": list(stage.gains),
    }
