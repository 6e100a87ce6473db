"""Bootstrap intervals, percentiles, and classification metrics of probabilities.

It knows numbers only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

# Low and high end; `None` of fewer than two values.
Interval = tuple[float, float] | None
N_RESAMPLES = 1000
TAILS = (2.5, 97.5)


def mean_interval(values: Sequence[float], seed: int) -> Interval:
    """The 95% interval of the mean; `None` of fewer than two values."""
    return interval(lambda drawn: drawn.mean(axis=1), values, seed)


def percentile_interval(values: Sequence[float], percent: float, seed: int) -> Interval:
    """The 95% interval of a percentile; `None` of fewer than two values."""
    import numpy as np

    return interval(lambda drawn: np.percentile(drawn, percent, axis=1), values, seed)


def interval(statistic: Callable[[Floats], Floats], values: Sequence[float], seed: int) -> Interval:
    """The percentile bootstrap's 95% interval.

    Args:
        statistic: Takes `[resamples, values]` and gives one number for each resample.
        values: One for each task, so that tasks are what is drawn.
        seed: Of the draws.
    """
    import numpy as np

    if len(values) < 2:
        return None
    drawn = np.asarray(values, dtype=np.float64)[draws(len(values), seed)]
    low, high = np.percentile(statistic(drawn), TAILS)
    return float(low), float(high)


def draws(count: int, seed: int) -> Integers:
    """Indices of tasks drawn with replacement, `[resamples, count]`."""
    import numpy as np

    return np.random.default_rng(seed).integers(0, count, size=(N_RESAMPLES, count))


def mean(values: Sequence[float]) -> float | None:
    """The mean; `None` of no values."""
    return sum(values) / len(values) if values else None


def percentile(values: Sequence[float], percent: float) -> float:
    """A percentile, linear between neighbours; 0 of no values."""
    import numpy as np

    return float(np.percentile(values, percent)) if values else 0.0


def auroc(probabilities: Sequence[float], labels: Sequence[bool]) -> float | None:
    """The chance that a yes is given a higher probability than a no; ties count half.

    `None` unless there are both. By ranks (Mann-Whitney).
    """
    import numpy as np

    positives = sum(labels)
    negatives = len(labels) - positives
    if not positives or not negatives:
        return None
    values = np.asarray(probabilities, dtype=np.float64)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(counts)
    mean_rank = last_rank - (counts - 1) / 2
    ranks_of_positives = mean_rank[inverse][np.asarray(labels, dtype=bool)]
    return float(
        (ranks_of_positives.sum() - positives * (positives + 1) / 2) / (positives * negatives)
    )


def brier(probabilities: Sequence[float], labels: Sequence[bool]) -> float | None:
    """The mean squared distance of the probabilities from what happened; 0 is perfect."""
    if not labels:
        return None
    return sum((p - y) ** 2 for p, y in zip(probabilities, labels, strict=True)) / len(labels)


def classification(
    decisions: Sequence[bool], labels: Sequence[bool]
) -> tuple[float | None, float | None, float | None]:
    """Accuracy, precision and recall of yes; `None` where nothing was there to be right about."""
    right = sum(d == y for d, y in zip(decisions, labels, strict=True))
    both = sum(d and y for d, y in zip(decisions, labels, strict=True))
    said, true = sum(decisions), sum(labels)
    return (
        right / len(labels) if labels else None,
        both / said if said else None,
        both / true if true else None,
    )
