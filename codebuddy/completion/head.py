"""The retrieval-decision head: logistic regression over features, read from JSON.

Plain data and arithmetic; it needs no training library and runs nothing that a file says.
The score is a logistic regression's. It is read in two ways, both fitted out of fold and both
rising with it: how likely a lookup is to help, and how many points of edit similarity it gains
on average. What each feature did to a score is its weight times its distance from the mean.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from codebuddy.errors import HeadError
from codebuddy.private_files import read_json

FORMAT = "codebuddy-head"
VERSION = 1
# What the features and the retrieval mean; raise it when either changes so that labels are of no
# more use. The labels of 3 are of lookups before candidates were ranked by their expected gain:
# what they say of the gain is on the low side.
RETRIEVAL_VERSION = 3
_MAX_BYTES = 200_000
# Beyond any weight, mean or score of a head that was fitted; sums of such numbers stay finite.
_LARGEST = 1e6


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the head says of a place: `gain` in points of edit similarity (0 to 100).

    `features` holds what moved the score most, with the size of the move.
    """

    score: float
    probability: float
    gain: float
    features: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Classifier:
    """A scorer: features, a weight and a mean for each, and two readings at knots of the score."""

    features: tuple[str, ...]
    base: float
    weights: tuple[float, ...]
    means: tuple[float, ...]
    knots: tuple[float, ...]
    probabilities: tuple[float, ...]
    gains: tuple[float, ...]

    def predict(self, values: Mapping[str, float]) -> Prediction:
        """Score a place.

        Args:
            values: A number for each of `features`; more may be there.
        """
        moves = {
            name: weight * (values[name] - mean)
            for name, weight, mean in zip(self.features, self.weights, self.means, strict=True)
        }
        score = self.base + sum(moves.values())
        strongest = sorted(moves.items(), key=lambda item: (-abs(item[1]), item[0]))
        return Prediction(
            score=score,
            probability=interpolate(score, self.knots, self.probabilities),
            gain=interpolate(score, self.knots, self.gains),
            features=tuple((name, move) for name, move in strongest if move),
        )

    def probability_at_gain(self, gain: float) -> float:
        """The probability at which the expected gain reaches `gain`; 1.0 if it never does."""
        if gain > self.gains[-1]:
            return 1.0
        if gain <= self.gains[0]:
            return 0.0
        score = interpolate(gain, self.gains, self.knots)
        return interpolate(score, self.knots, self.probabilities)


@dataclass(frozen=True, slots=True)
class Head:
    """A trained head: classifier `syntax` runs before generation, `confidence` after it.

    `trained_for` names the model and the retrieval that its labels came from; `name` is what
    receipts call it. `asked_again` is the share of places where the second stage asked for a
    lookup, among those that it was trained on.
    """

    name: str
    trained_for: Mapping[str, Any]
    syntax: Classifier
    confidence: Classifier | None = None
    asked_again: float = 0.0


def load_head(
    file: Path,
    of_place: Sequence[str],
    of_text: Sequence[str],
    *,
    follows_links: bool = False,
) -> Head:
    """Read a head.

    Args:
        file: JSON as `codebuddy train head` writes it.
        of_place: The features that are known before the model runs.
        of_text: Those that are known besides once a text was written.
        follows_links: Whether the file may be a link.

    Raises:
        HeadError: It is missing, damaged, of a newer codebuddy, or for other features.
    """
    try:
        content = read_json(file, _MAX_BYTES, follows_links=follows_links)
    except OSError as error:
        raise HeadError(f"the head {file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise HeadError(f"the head {file} is damaged: it is not JSON") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise HeadError(f"{file} is not a head of codebuddy")
    if content.get("version") != VERSION or content.get("retrieval_version") != RETRIEVAL_VERSION:
        raise HeadError(
            f"the head {file} is of another version"
            f" (its format {content.get('version')}, retrieval {content.get('retrieval_version')};"
            f" wanted {VERSION} and {RETRIEVAL_VERSION})"
        )
    try:
        stages = content["stages"]
        head = Head(
            name=str(content["name"]),
            trained_for=dict(content["trained_for"]),
            syntax=read_classifier(stages["syntax"]),
            confidence=None
            if stages["confidence"] is None
            else read_classifier(stages["confidence"]),
            asked_again=_share(content["asked_again"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise HeadError(f"the head {file} is damaged: {type(error).__name__} {error}") from error
    for stage, known in ((head.syntax, of_place), (head.confidence, (*of_place, *of_text))):
        unknown = sorted(set(stage.features) - set(known)) if stage else []
        if unknown:
            raise HeadError(f"the head {file} is for other features: {', '.join(unknown)}")
    return head


def interpolate(at: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """The value at `at` of the line through the points, flat beyond the first and the last."""
    if at <= xs[0]:
        return ys[0]
    if at >= xs[-1]:
        return ys[-1]
    right = bisect_right(xs, at)
    left = right - 1
    share = (at - xs[left]) / (xs[right] - xs[left])
    return ys[left] + share * (ys[right] - ys[left])


def read_classifier(content: Mapping[str, Any]) -> Classifier:
    """A stage from its JSON form.

    Raises:
        ValueError, KeyError, TypeError, OverflowError: The content is not one.
    """
    features = tuple(str(name) for name in content["features"])
    knots = _numbers(content["knots"])
    stage = Classifier(
        features=features,
        base=_numbers([content["base"]])[0],
        weights=_numbers(content["weights"]),
        means=_numbers(content["means"]),
        knots=knots,
        probabilities=_numbers(content["probabilities"]),
        gains=_numbers(content["gains"]),
    )
    if not len(stage.weights) == len(stage.means) == len(features):
        raise ValueError("weights and features differ in number")
    if len(set(features)) < len(features):
        raise ValueError("a feature is there twice")
    if not len(knots) == len(stage.probabilities) == len(stage.gains) >= 2:
        raise ValueError("knots and readings differ in number")
    for rising in (knots, stage.probabilities, stage.gains):
        if any(after <= before for before, after in pairwise(rising)):
            raise ValueError("a reading does not rise")
    if stage.probabilities[0] < 0 or stage.probabilities[-1] > 1:
        raise ValueError("a probability is out of bounds")
    return stage


def _share(content: Any) -> float:
    (share,) = _numbers([content])
    if not 0 <= share <= 1:
        raise ValueError("a share is out of bounds")
    return share


def _numbers(content: Sequence[Any]) -> tuple[float, ...]:
    found = tuple(float(each) for each in content)
    if not all(abs(each) <= _LARGEST for each in found):
        raise ValueError("a number is out of bounds")
    return found
