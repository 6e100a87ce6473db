"""Adapting the default head to one repository, and keeping of it only what is better.

The repository's own holes join the default's with more weight. Whether that helps is asked of
holes whose files took no part in the training, of each stage by itself: an adapted stage must
predict gains with a smaller error than the default one there, and decide at least as well.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codebuddy import heads
from codebuddy.completion.decision import POINTS_PER_SECOND
from codebuddy.completion.head import Classifier, Head
from codebuddy.errors import HeadError, TrainingError
from codebuddy.training.head.examples import Example
from codebuddy.training.head.fit import (
    FitConfig,
    check_examples,
    fit_stage,
    fold_of,
    gains_of,
    head_content,
    values_of,
)

# An own hole counts as so many of the default's.
_OWN_WEIGHT = 3
# An error is smaller if it is at most this share of the other: what is alike stays as it was.
_BETTER = 0.99


@dataclass(frozen=True, slots=True)
class GainThresholds:
    """Points of gain that retrieval must bring: in the syntax stage and in the confidence stage."""

    at_once: float
    again: float


@dataclass(frozen=True, slots=True)
class Score:
    """How a stage does on held-out holes.

    `gain_error` is the root mean square error of the expected gain, in points of edit
    similarity; `net_gain` the mean points won by its lookups, each having paid its price.
    """

    gain_error: float
    net_gain: float
    lookup_rate: float


@dataclass(frozen=True, slots=True)
class Compared:
    """A classifier before and after adapting, with the scores of both."""

    default_stage: Classifier
    adapted_stage: Classifier
    default: Score
    adapted: Score

    @property
    def is_better(self) -> bool:
        """Whether to keep the adapted classifier."""
        return (
            self.adapted.gain_error < _BETTER * self.default.gain_error
            and self.adapted.net_gain >= self.default.net_gain
        )

    @property
    def kept(self) -> Classifier:
        """The better stage."""
        return self.adapted_stage if self.is_better else self.default_stage


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What adapting did to each stage; `confidence` is None where the default has none."""

    syntax: Compared
    confidence: Compared | None
    n_holes: int

    @property
    def is_better(self) -> bool:
        """Whether anything of the adapted head is to be kept."""
        return self.syntax.is_better or (self.confidence is not None and self.confidence.is_better)

    @property
    def stages(self) -> dict[str, Compared]:
        """Those that there are, by name."""
        stages = {"syntax": self.syntax, "confidence": self.confidence}
        return {name: each for name, each in stages.items() if each is not None}

    def head_content(
        self, name: str, trained_for: Mapping[str, Any], default: Head
    ) -> dict[str, Any]:
        """The head to keep in place of `default`: of each stage the better one."""
        return head_content(
            name,
            trained_for,
            self.syntax.kept,
            self.confidence.kept if self.confidence else None,
            self.asked_again(default.asked_again),
        )

    def asked_again(self, default: float) -> float:
        """The share of own holes where an adapted confidence stage asks for retrieval, else
        `default`."""
        if self.confidence is None or not self.confidence.is_better:
            return default
        return self.confidence.adapted.lookup_rate


def head_to_start_from() -> Head:
    """The shipped head.

    Raises:
        TrainingError: It is missing or damaged.
    """
    try:
        return heads.load_shipped_head()
    except HeadError as error:
        raise TrainingError(
            f"there is no head to start from: {error.message}", hint="reinstall codebuddy"
        ) from error


def gain_thresholds(with_ms: Sequence[float], without_ms: Sequence[float]) -> GainThresholds:
    """The gain thresholds at `balanced`, from the milliseconds with and without retrieval."""
    rate = POINTS_PER_SECOND["balanced"] / 1000
    usual = statistics.median(with_ms)
    added = max(0.0, usual - statistics.median(without_ms))
    return GainThresholds(at_once=added * rate, again=usual * rate)


def adapt(
    default: Head,
    default_examples: Sequence[Example],
    own: Sequence[Example],
    thresholds: GainThresholds,
) -> Adaptation:
    """Train on both sets of holes and compare on those held out.

    Args:
        default: The head to start from.
        default_examples: The holes that it was trained on.
        own: The repository's holes.
        thresholds: The gain that retrieval must bring there.

    Raises:
        TrainingError: There are too few holes, or all gain the same.
    """
    check_examples(own)
    config = FitConfig()
    confidence = None
    if default.confidence is not None:
        after = dataclasses.replace(config, ends_with="kept")
        confidence = _compared(default.confidence, default_examples, own, thresholds.again, after)
    return Adaptation(
        syntax=_compared(default.syntax, default_examples, own, thresholds.at_once, config),
        confidence=confidence,
        n_holes=len(own),
    )


def compared_stages(
    present: Head,
    candidates: Sequence[Classifier],
    held_out: Sequence[Example],
    thresholds: GainThresholds,
) -> Adaptation:
    """Other classifiers of a head's stages beside those of `present`, on holes that none has seen.

    Args:
        present: The head in use.
        candidates: For its syntax stage and, if it has one, its confidence stage.
        held_out: Neither has learned from them.
        thresholds: The gain that retrieval must bring there.
    """
    known = [present.syntax] + ([present.confidence] if present.confidence else [])
    config = FitConfig()
    configs = (config, dataclasses.replace(config, ends_with="kept"))
    found = []
    for stage, candidate, threshold, ending in zip(
        known, candidates, (thresholds.at_once, thresholds.again), configs, strict=False
    ):
        gains = gains_of(held_out, ending).tolist()
        values = [values_of(each) for each in held_out]
        scores = [
            _score(
                [(each.predict(v).gain, gain) for v, gain in zip(values, gains, strict=True)],
                threshold,
            )
            for each in (stage, candidate)
        ]
        found.append(Compared(stage, candidate, *scores))
    return Adaptation(found[0], found[1] if len(found) > 1 else None, len(held_out))


def as_json(adaptation: Adaptation) -> Mapping[str, Any]:
    """The comparison in numbers, stage by stage."""
    return {
        name: {
            "is_better": compared.is_better,
            "default": _rounded(compared.default),
            "adapted": _rounded(compared.adapted),
        }
        for name, compared in adaptation.stages.items()
    }


def _compared(
    stage: Classifier,
    default_examples: Sequence[Example],
    own: Sequence[Example],
    threshold: float,
    config: FitConfig,
) -> Compared:
    folds = fold_of(_as_one(own), config.seed)
    gains = gains_of(own, config).tolist()
    before, after = [], []
    for fold in sorted(set(folds)):
        kept = [each for each, f in zip(own, folds, strict=True) if f != fold]
        adapted = _joined(stage.features, default_examples, kept, config)
        for example, f, gain in zip(own, folds, gains, strict=True):
            if f == fold:
                values = values_of(example)
                before.append((stage.predict(values).gain, gain))
                after.append((adapted.predict(values).gain, gain))
    return Compared(
        default_stage=stage,
        adapted_stage=_joined(stage.features, default_examples, own, config),
        default=_score(before, threshold),
        adapted=_score(after, threshold),
    )


def _rounded(score: Score) -> dict[str, float]:
    return {name: round(value, 3) for name, value in dataclasses.asdict(score).items()}


def _joined(
    features: Sequence[str],
    default_examples: Sequence[Example],
    own: Sequence[Example],
    config: FitConfig,
) -> Classifier:
    return fit_stage([*default_examples, *list(own) * _OWN_WEIGHT], features, config)


def _as_one(own: Sequence[Example]) -> Sequence[Example]:
    # Folds are of files: all of one repository, whatever its rows are called.
    assert len({example.repository for example in own}) == 1
    return own


def _score(predicted: Sequence[tuple[float, float]], threshold: float) -> Score:
    """Of pairs of expected and real gains."""
    n = len(predicted)
    taken = [real - threshold for expected, real in predicted if expected >= threshold]
    return Score(
        gain_error=math.sqrt(sum((expected - real) ** 2 for expected, real in predicted) / n),
        net_gain=sum(taken) / n,
        lookup_rate=len(taken) / n,
    )
