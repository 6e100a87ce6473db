"""The arithmetic of attacks: exposure of canaries, and telling members from others by a score.

It knows numbers only. Exposure: Carlini et al., "The Secret Sharer" (arXiv 1802.08232). True
positives at few false ones: Carlini et al., LiRA (arXiv 2112.03570).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codebuddy.evaluation.statistics import auroc

# False positive rates at which true positives are reported.
FALSE_POSITIVE_RATES = (0.01, 0.001)
# 95%, both sides.
_TAIL = 0.025
_RESAMPLES = 400
# Points of a curve that a report draws.
_MAX_POINTS = 120


@dataclass(frozen=True, slots=True)
class Scored:
    """A score, higher for what looks like a member, and the file that it is of."""

    file: str
    score: float


@dataclass(frozen=True, slots=True)
class Told:
    """How well a score tells members from others.

    `auroc` has a 95% interval over files, which are drawn as wholes; `rates` gives for each false
    positive rate the share of members that are told, with Clopper and Pearson's interval.
    `curve` holds (false positives, true positives), both rising.
    """

    members: int
    others: int
    auroc: float
    interval: tuple[float, float]
    rates: Mapping[float, tuple[float, float, float]]
    curve: tuple[tuple[float, float], ...]

    def as_json(self) -> dict[str, Any]:
        """The figures."""
        return {
            "members": self.members,
            "others": self.others,
            "auroc": round(self.auroc, 4),
            "interval": [round(each, 4) for each in self.interval],
            "rates": [
                {"fpr": rate, "tpr": round(share, 4), "low": round(low, 4), "high": round(high, 4)}
                for rate, (share, low, high) in self.rates.items()
            ],
            "curve": [[round(x, 4), round(y, 4)] for x, y in self.curve],
        }


def exposure(score: float, others: Sequence[float]) -> float:
    """Bits by which a secret stands out among others of its kind that were not drawn.

    log2 of how many there are, less log2 of its rank; at most log2(1 + len(others)), where it is
    the likeliest of all. Others of the same score count half.
    """
    rank = 1.0 + sum(1.0 if other > score else 0.5 * (other == score) for other in others)
    return math.log2(1 + len(others)) - math.log2(rank)


def chance_in(samples: int, log_probability: float) -> float:
    """The chance that one of so many samples at temperature 1 is the text of that probability."""
    probability = math.exp(min(0.0, log_probability))
    if probability >= 1.0:
        return 1.0
    return -math.expm1(samples * math.log1p(-probability))


def tell(members: Sequence[Scored], others: Sequence[Scored], seed: int) -> Told | None:
    """How well the scores tell members from others; `None` unless there are both.

    Args:
        members: Of what was trained on.
        others: Of what was not, from the same draw.
        seed: Of the interval's draws.
    """
    if not members or not others:
        return None
    whole = _auroc([each.score for each in members], [each.score for each in others])
    found = [each.score for each in members]
    rates = {
        rate: _rate(found, [each.score for each in others], rate) for rate in FALSE_POSITIVE_RATES
    }
    return Told(
        len(members),
        len(others),
        whole,
        _interval(members, others, seed),
        rates,
        _curve(found, [each.score for each in others]),
    )


def clopper_pearson(hits: int, count: int) -> tuple[float, float]:
    """The exact 95% interval of a share, by quantiles of the beta distribution."""
    from scipy.stats import beta

    low = 0.0 if hits == 0 else float(beta.ppf(_TAIL, hits, count - hits + 1))
    high = 1.0 if hits == count else float(beta.ppf(1 - _TAIL, hits + 1, count - hits))
    return low, high


def epsilon_at_least(told: Told, delta: float) -> float:
    """The epsilon that a private training must have had at least, by the worst end of intervals.

    From TPR <= e^epsilon FPR + delta at each threshold reported; 0 where nothing follows.
    """
    found = 0.0
    for rate, (_, low, _) in told.rates.items():
        wrong = clopper_pearson(math.floor(rate * told.others), told.others)[1]
        if low > delta and wrong > 0:
            found = max(found, math.log((low - delta) / wrong))
    return found


def longest_run(hits: Sequence[bool]) -> int:
    """The most neighbours in a row that are right."""
    longest = run = 0
    for hit in hits:
        run = run + 1 if hit else 0
        longest = max(longest, run)
    return longest


def _rate(
    members: Sequence[float], others: Sequence[float], rate: float
) -> tuple[float, float, float]:
    """The share of members above a threshold that at most that share of others passes."""
    allowed = math.floor(rate * len(others))
    threshold = sorted(others, reverse=True)[allowed]
    hits = sum(score > threshold for score in members)
    low, high = clopper_pearson(hits, len(members))
    return hits / len(members), low, high


def _auroc(members: Sequence[float], others: Sequence[float]) -> float:
    labels = [True] * len(members) + [False] * len(others)
    found = auroc([*members, *others], labels)
    assert found is not None
    return found


def _interval(
    members: Sequence[Scored], others: Sequence[Scored], seed: int
) -> tuple[float, float]:
    """Bootstrap over files: what stands in one file is no independent evidence."""
    import numpy as np

    rng = np.random.default_rng(seed)
    sides = [_by_file(each) for each in (members, others)]
    if any(len(each) < 2 for each in sides):
        return 0.0, 1.0
    drawn = []
    for _ in range(_RESAMPLES):
        chosen = [
            [score for at in rng.integers(0, len(files), len(files)) for score in files[at]]
            for files in sides
        ]
        drawn.append(_auroc(chosen[0], chosen[1]))
    low, high = np.percentile(drawn, (100 * _TAIL, 100 * (1 - _TAIL)))
    return float(low), float(high)


def _by_file(scored: Sequence[Scored]) -> list[list[float]]:
    found: dict[str, list[float]] = {}
    for each in scored:
        found.setdefault(each.file, []).append(each.score)
    return list(found.values())


def _curve(members: Sequence[float], others: Sequence[float]) -> tuple[tuple[float, float], ...]:
    thresholds = sorted({*members, *others}, reverse=True)
    step = max(1, len(thresholds) // _MAX_POINTS)
    points = [(0.0, 0.0)]
    for threshold in [*thresholds[::step], thresholds[-1]]:
        wrong = sum(score >= threshold for score in others) / len(others)
        right = sum(score >= threshold for score in members) / len(members)
        points.append((wrong, right))
    return tuple(dict.fromkeys(points))
