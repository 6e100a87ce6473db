"""The control of a membership attack: whether words alone tell the two sides of files apart.

Sides that differ in topic or date are told apart without any model (arXiv 2406.17975); then an
attack that succeeds shows nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from codebuddy.training.adapter.packing import SampleGroup
from codebuddy.training.audit.attacks import Scored, Told, tell

_WIDTH, _FOLDS, _STRENGTH = 1024, 5, 0.1


def told_by_words(
    members: Sequence[SampleGroup], others: Sequence[SampleGroup], seed: int
) -> Told | None:
    """A logistic regression over counts of tokens, on files that it has not seen."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    groups = [*members, *others]
    labels = np.array([True] * len(members) + [False] * len(others))
    counts = np.zeros((len(groups), _WIDTH))
    for row, group in enumerate(groups):
        for branch in group.branches:
            np.add.at(counts[row], np.asarray(branch.middle, np.int64) % _WIDTH, 1)
    files = sorted({group.path for group in groups})
    order = np.random.default_rng(seed).permutation(len(files))
    fold = {path: int(at) % _FOLDS for path, at in zip(files, order, strict=True)}
    folds = np.array([fold[group.path] for group in groups])
    scores = np.zeros(len(groups))
    for number in range(_FOLDS):
        kept = folds != number
        if not (~kept).any() or len(set(labels[kept].tolist())) < 2:
            continue
        fitted = LogisticRegression(C=_STRENGTH, max_iter=500).fit(counts[kept], labels[kept])
        scores[~kept] = fitted.decision_function(counts[~kept])
    rows = [Scored(group.path, float(score)) for group, score in zip(groups, scores, strict=True)]
    return tell(rows[: len(members)], rows[len(members) :], seed)
