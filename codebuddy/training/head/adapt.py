"""Adapting the default head to one repository, and keeping the result only if it is better.

The repository's own holes join the default's with more weight. Whether that helps is asked
of holes whose files took no part in the training: the adapted head must predict gains with
a smaller error than the default one there, and decide at least as well.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codebuddy.completion.head import Head, Stage
from codebuddy.training.head.examples import Example
from codebuddy.training.head.fit import Recipe, check_examples, fit_stage, fold_of, values_of

# An own hole counts as so many of the default's.
_OWN_WEIGHT = 3


@dataclass(frozen=True, slots=True)
class Score:
    """How a head does on held-out holes.

    `gain_error` is the root mean square error of the expected gain, in points of edit
    similarity; `net_gain` the mean points won by its lookups, each having paid `price`.
    """

    gain_error: float
    net_gain: float
    lookup_rate: float


@dataclass(frozen=True, slots=True)
class Adaptation:
    """An adapted head's stages with the comparison that speaks for or against them."""

    syntax: Stage
    confidence: Stage | None
    default: Score
    adapted: Score
    n_holes: int

    @property
    def is_better(self) -> bool:
        """Whether the adapted head is to be kept."""
        return (
            self.adapted.gain_error < self.default.gain_error
            and self.adapted.net_gain >= self.default.net_gain
        )


def adapt(
    default: Head,
    default_examples: Sequence[Example],
    own: Sequence[Example],
    price: float,
    recipe: Recipe | None = None,
) -> Adaptation:
    """Train on both sets of holes and compare on those held out.

    Args:
        default: The head to start from.
        default_examples: The holes that it was trained on.
        own: The repository's holes.
        price: Points of gain that a lookup must bring to be worth its time.
        recipe: How to fit.

    Raises:
        TrainingError: There are too few holes, or all gain the same.
    """
    check_examples(own)
    recipe = recipe or Recipe()
    folds = fold_of(_as_one(own), recipe.seed)
    default_gains, adapted_gains = [], []
    for fold in sorted(set(folds)):
        kept = [each for each, f in zip(own, folds, strict=True) if f != fold]
        held_out = [each for each, f in zip(own, folds, strict=True) if f == fold]
        stage = _joined(default.syntax.features, default_examples, kept, recipe)
        for example in held_out:
            values = values_of(example)
            default_gains.append((default.syntax.judge(values).gain, example))
            adapted_gains.append((stage.judge(values).gain, example))
    confidence = None
    if default.confidence is not None:
        after = dataclasses.replace(recipe, ends_with="kept")
        confidence = _joined(default.confidence.features, default_examples, own, after)
    return Adaptation(
        syntax=_joined(default.syntax.features, default_examples, own, recipe),
        confidence=confidence,
        default=_score(default_gains, price),
        adapted=_score(adapted_gains, price),
        n_holes=len(own),
    )


def as_json(adaptation: Adaptation) -> Mapping[str, Any]:
    """The comparison in numbers."""
    return {
        "holes": adaptation.n_holes,
        "is_better": adaptation.is_better,
        **{
            name: {
                "gain_error": round(score.gain_error, 3),
                "net_gain": round(score.net_gain, 3),
                "lookup_rate": round(score.lookup_rate, 3),
            }
            for name, score in (("default", adaptation.default), ("adapted", adaptation.adapted))
        },
    }


def _joined(
    features: Sequence[str],
    default_examples: Sequence[Example],
    own: Sequence[Example],
    recipe: Recipe,
) -> Stage:
    return fit_stage([*default_examples, *list(own) * _OWN_WEIGHT], features, recipe)


def _as_one(own: Sequence[Example]) -> Sequence[Example]:
    # Folds are of files: all of one repository, whatever its rows are called.
    assert len({example.repository for example in own}) == 1
    return own


def _score(predicted: Sequence[tuple[float, Example]], price: float) -> Score:
    n = len(predicted)
    taken = [example.gain - price for gain, example in predicted if gain >= price]
    return Score(
        gain_error=math.sqrt(sum((gain - e.gain) ** 2 for gain, e in predicted) / n),
        net_gain=sum(taken) / n,
        lookup_rate=len(taken) / n,
    )
