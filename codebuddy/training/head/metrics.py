"""How well probabilities predict where retrieval helps, with intervals over repositories.

Holes of one repository are alike, so what is drawn with replacement, for an interval of 95%, is
whole repositories (a cluster bootstrap): it says what to expect of a further repository.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from codebuddy.evaluation.statistics import N_RESAMPLES, auroc, brier, percentile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.int64]

_BINS = 10
_SEED = 0

Interval = tuple[float, float]
Statistic = Callable[["Rows"], float | None]


def interval_over(repositories: Sequence[str], statistic: Statistic) -> Interval | None:
    """The 95% interval of a statistic of rows, repositories being drawn; `None` of a single one.

    Args:
        repositories: Of each row.
        statistic: Takes the numbers of rows, some more than once; `None` where it is undefined.
    """
    drawn = _draws(tuple(repositories))
    found = [value for value in map(statistic, drawn) if value is not None]
    return (percentile(found, 2.5), percentile(found, 97.5)) if found else None


@lru_cache(maxsize=8)
def _draws(repositories: tuple[str, ...]) -> list[Rows]:
    import numpy as np

    of_each = np.array(repositories)
    rows = [np.flatnonzero(of_each == name) for name in sorted(set(repositories))]
    if len(rows) < 2:
        return []
    chosen = np.random.default_rng(_SEED).integers(0, len(rows), size=(N_RESAMPLES, len(rows)))
    return [np.concatenate([rows[each] for each in draw]) for draw in chosen]


def classifier_report(
    probabilities: Sequence[float], gains: Sequence[float], repositories: Sequence[str]
) -> dict[str, Any]:
    """AUROC, calibration and accuracy of `a lookup helps`, beside what guessing would get.

    `auroc` compares holes of all repositories, each predicted by its own head, `auroc_within` those
    of one repository. `calibration_error` is over bins of equal width (Naeini et al. 2015), and
    `even_calibration_error` over bins of as many holes each. `accuracy` is at probability 0.5;
    `balanced_accuracy` at the share of helped holes, the mean of the rates at which yes and no
    are recognised. Those that end with `_interval` are 95% intervals.
    """
    import numpy as np

    chances, labels = np.array(probabilities), np.array([each > 0 for each in gains])
    of_each = np.array(repositories)
    share = float(labels.mean())
    statistics: dict[str, Statistic] = {
        "auroc": lambda rows: auroc(chances[rows].tolist(), labels[rows].tolist()),
        "auroc_within": lambda rows: within(chances[rows], labels[rows], of_each[rows]),
        "calibration_error": lambda rows: calibration_error(chances[rows], labels[rows]),
        "even_calibration_error": lambda rows: calibration_error(
            chances[rows], labels[rows], is_even=True
        ),
        "accuracy": lambda rows: float(((chances[rows] >= 0.5) == labels[rows]).mean()),
    }
    every = np.arange(len(labels))
    found: dict[str, Any] = {}
    for name, statistic in statistics.items():
        found[name] = statistic(every)
        found[f"{name}_interval"] = interval_over(repositories, statistic)
    rates = [float(((chances >= share) == labels)[labels == kind].mean()) for kind in (True, False)]
    return found | {
        "brier": brier(chances.tolist(), labels.tolist()),
        "majority_accuracy": max(share, 1 - share),
        "balanced_accuracy": sum(rates) / 2,
    }


def within(scores: Any, labels: Any, repositories: Any) -> float | None:
    """AUROC over pairs of holes of one repository; `None` without any pair of yes and no."""
    total = pairs = 0.0
    for name in sorted(set(repositories.tolist())):
        own = repositories == name
        value = auroc(scores[own].tolist(), labels[own].tolist())
        if value is not None:
            n_pairs = float(labels[own].sum() * (~labels[own]).sum())
            total, pairs = total + value * n_pairs, pairs + n_pairs
    return total / pairs if pairs else None


def calibration_error(probabilities: Any, labels: Any, *, is_even: bool = False) -> float:
    """Expected calibration error over ten bins of equal width, or of as many holes each."""
    import numpy as np

    chances = np.asarray(probabilities, dtype=np.float64)
    happened = np.asarray(labels, dtype=np.float64)
    if is_even:
        bins = np.empty(len(chances), dtype=np.int64)
        bins[np.argsort(chances, kind="stable")] = np.arange(len(chances)) * _BINS // len(chances)
    else:
        bins = np.minimum(_BINS - 1, (chances * _BINS).astype(np.int64))
    off = np.bincount(bins, chances, _BINS) - np.bincount(bins, happened, _BINS)
    return float(np.abs(off).sum() / len(chances))
