"""The retrieval-decision head: a weighted sum, or small trees, over features; read from JSON.

Plain data and arithmetic; it needs no training library and runs nothing that a file says.
One score is read in two ways, both fitted out of fold and both rising with it: how likely a
lookup is to help, and how many points of edit similarity it gains on average.

The sum is a logistic regression's, the trees are gradient boosted (Friedman 2001). What each
feature did to a score is its weight times its distance from the mean, and the sum of the
changes along the paths taken through the trees (Saabas 2014).
"""

from __future__ import annotations

import json
import math
import struct
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from codebuddy.errors import HeadError

FORMAT = "codebuddy-head"
VERSION = 1
# What the features and the retrieval mean; raise it when either changes.
RETRIEVAL_VERSION = 2
_MAX_BYTES = 200_000
_MAX_NODES = 64
_MAX_TREES = 1000
_FLOAT32 = struct.Struct("f")


@dataclass(frozen=True, slots=True)
class Tree:
    """A binary tree in arrays: node i goes left if x[feature[i]] <= threshold[i].

    `feature` is -1 at leaves; `value` is the node's mean, which leaves add to the score.
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the head says of a place: `gain` in points of edit similarity (0 to 100).

    `features` holds what moved the score most, with the size of the move.
    """

    score: float
    probability: float
    gain: float
    features: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """One scorer: feature names, weights or trees, and two readings of its score at knots.

    `weights` and `means` have a number for each feature, or are empty where trees judge alone.
    """

    features: tuple[str, ...]
    base: float
    weights: tuple[float, ...]
    means: tuple[float, ...]
    trees: tuple[Tree, ...]
    knots: tuple[float, ...]
    probabilities: tuple[float, ...]
    gains: tuple[float, ...]

    def judge(self, values: Mapping[str, float]) -> Verdict:
        """Score a place.

        Args:
            values: A number for each of `features`; more may be there.
        """
        # Trained on float32, so compared as float32.
        inputs = [_FLOAT32.unpack(_FLOAT32.pack(values[name]))[0] for name in self.features]
        moves = dict.fromkeys(self.features, 0.0)
        score = self.base
        if self.weights:
            for name, at, weight, mean in zip(
                self.features, inputs, self.weights, self.means, strict=True
            ):
                moves[name] = weight * (at - mean)
            score += sum(moves.values())
        for tree in self.trees:
            node = 0
            while (feature := tree.feature[node]) >= 0:
                is_left = inputs[feature] <= tree.threshold[node]
                following = tree.left[node] if is_left else tree.right[node]
                moves[self.features[feature]] += tree.value[following] - tree.value[node]
                node = following
            score += tree.value[node]
        strongest = sorted(moves.items(), key=lambda item: (-abs(item[1]), item[0]))
        return Verdict(
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
    """A trained head: `syntax` judges before the model has run, `confidence` afterwards.

    `trained_for` names the model and the retrieval that its labels came from; `name` is what
    receipts call it. `asked_again` is the share of places where the second stage asked for a
    lookup, among those that it was trained on.
    """

    name: str
    trained_for: Mapping[str, Any]
    syntax: Stage
    confidence: Stage | None = None
    asked_again: float = 0.0


def load_head(file: Path, known_features: Sequence[str]) -> Head:
    """Read a head.

    Args:
        file: JSON as `codebuddy train head` writes it.
        known_features: The features that this codebuddy computes.

    Raises:
        HeadError: It is missing, damaged, of a newer codebuddy, or for other features.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise HeadError(f"the head {file} is larger than {_MAX_BYTES} bytes")
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise HeadError(f"the head {file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
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
            syntax=read_stage(stages["syntax"]),
            confidence=read_stage(stages["confidence"]) if stages.get("confidence") else None,
            asked_again=_numbers([content["asked_again"]])[0],
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise HeadError(f"the head {file} is damaged: {type(error).__name__} {error}") from error
    for stage in (head.syntax, head.confidence):
        unknown = sorted(set(stage.features) - set(known_features)) if stage else []
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


def read_stage(content: Mapping[str, Any]) -> Stage:
    """A stage from its JSON form.

    Raises:
        ValueError, KeyError, TypeError, IndexError: The content is not one.
    """
    features = tuple(str(name) for name in content["features"])
    knots = _numbers(content["knots"])
    stage = Stage(
        features=features,
        base=_numbers([content["base"]])[0],
        weights=_numbers(content["weights"]),
        means=_numbers(content["means"]),
        trees=tuple(_tree(tree, len(features)) for tree in content["trees"]),
        knots=knots,
        probabilities=_numbers(content["probabilities"]),
        gains=_numbers(content["gains"]),
    )
    if len(stage.trees) > _MAX_TREES:
        raise ValueError("too many trees")
    if stage.weights and not len(stage.weights) == len(stage.means) == len(features):
        raise ValueError("weights and features differ in number")
    if not len(knots) == len(stage.probabilities) == len(stage.gains) >= 2:
        raise ValueError("knots and readings differ in number")
    for rising in (knots, stage.probabilities, stage.gains):
        if any(after <= before for before, after in pairwise(rising)):
            raise ValueError("a reading does not rise")
    if stage.probabilities[0] < 0 or stage.probabilities[-1] > 1:
        raise ValueError("a probability is out of bounds")
    return stage


def _tree(content: Mapping[str, Any], n_features: int) -> Tree:
    feature, left, right = (
        tuple(int(each) for each in content[key]) for key in ("feature", "left", "right")
    )
    threshold, value = _numbers(content["threshold"]), _numbers(content["value"])
    size = len(feature)
    if not 0 < size <= _MAX_NODES or {len(left), len(right), len(threshold), len(value)} != {size}:
        raise ValueError("a tree's arrays differ in length")
    for node, used in enumerate(feature):
        if used >= n_features:
            raise ValueError("a tree asks for a feature that is not there")
        # Children come after their parent, so that every walk ends.
        if used >= 0 and not (node < left[node] < size and node < right[node] < size):
            raise ValueError("a tree does not end")
    return Tree(feature, threshold, left, right, value)


def _numbers(content: Sequence[Any]) -> tuple[float, ...]:
    found = tuple(float(each) for each in content)
    if not all(math.isfinite(each) for each in found):
        raise ValueError("a number is not finite")
    return found
