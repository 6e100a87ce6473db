"""What a decision head says of the labels behind it: membership, and the white-box attack.

Shadow heads are fitted to random halves of the labels; each of some is attacked with the others,
as LiRA does (arXiv 2112.03570). The white-box attack knows every label but one, and reads that one
from the condition that the fitted weights meet: w / C = sum of (y - p) x over all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codebuddy.federation.weights import STAGES, data_of, scales_of
from codebuddy.training.audit.attacks import Scored, tell
from codebuddy.training.audit.findings import Findings
from codebuddy.training.head.examples import Example
from codebuddy.training.head.fit import FitConfig, check_examples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Heads that are fitted, those of them that are attacked, and rows that the white-box attack reads.
_SHADOWS, _TARGETS, _READ = 64, 4, 60
_OWN_WEIGHT = 3
# Bits of a number of nine digits, as a head holds them.
_BITS_PER_NUMBER = 30
_LEAST_SPREAD = 1e-3
_WHAT = (
    "attacked are fits of the head's first stage as 'train head' makes them, not the head's file;"
    " intervals are indicative: each row counts once for every head attacked, as if independent,"
    " which makes them too narrow"
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Standardised features `[n, d]`, whether a lookup helped `[n]`, and the file of each row."""

    inputs: Array
    helped: Array
    files: tuple[str, ...]


def audit_head(
    name: str, model: str, own: Sequence[Example], shared: Sequence[Example], seed: int
) -> Findings:
    """Attack heads that are fitted to these labels as `train head` fits.

    Args:
        name: What the report calls the head.
        model: That the labels are of.
        own: The labels that are attacked.
        shared: Labels that are fitted to besides, and known to everybody.
        seed: Of all draws.

    Raises:
        TrainingError: There are too few labels.
    """
    import numpy as np

    check_examples(own)
    scales = scales_of([*shared, *own])
    rows = _rows(own, scales)
    known = _rows(shared, scales) if shared else None
    rng = np.random.default_rng(seed)
    masks = rng.random((_SHADOWS, len(own))) < 0.5
    weights = [_fit(rows, known, mask) for mask in masks]
    margins = np.array([_margins(rows, each) for each in weights])
    losses, ratios = _scores(rows, masks, margins)
    membership = {}
    for attack, (members, others) in (("loss", losses), ("shadows", ratios)):
        told = tell(members, others, seed)
        if told is not None:
            membership[attack] = told
    white_box = _white_box(rows, known, rng)
    stage = STAGES[0]
    n_numbers = 2 * len(stage.features) + 1
    note = (
        f"white box: who knows all features and all labels but one reads that one right in"
        f" {white_box:.0%} of {min(_READ, len(own))} tries; who knows no label learns at most"
        f" {min(n_numbers * _BITS_PER_NUMBER, len(own))} bits of {len(own)} labels from"
        f" {n_numbers} numbers"
    )
    return Findings(
        {"head": name, "model": model, "rows": len(own), "seed": seed},
        (),
        membership,
        {},
        extra={
            "white_box": {
                "right": round(white_box, 4),
                "numbers": n_numbers,
                "bits": n_numbers * _BITS_PER_NUMBER,
                "labels": len(own),
            },
            "notes": [note, _WHAT],
        },
    )


def _rows(examples: Sequence[Example], scales: Any) -> Rows:
    data = data_of(examples, scales)
    files = tuple(f"{each.repository}/{each.path}" for each in examples)
    return Rows(data.inputs[0][:, 1:], data.helped[0], files)


def _fit(rows: Rows, known: Rows | None, mask: Any) -> tuple[float, Array]:
    """Intercept and weights of a head fitted to the rows of the mask, and all known ones."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    inputs, helped = rows.inputs[mask], rows.helped[mask]
    own_weight = 1 if known is None else _OWN_WEIGHT
    weights = np.full(len(helped), float(own_weight))
    if known is not None:
        inputs, helped = np.vstack([inputs, known.inputs]), np.append(helped, known.helped)
        weights = np.append(weights, np.ones(len(known.helped)))
    model = LogisticRegression(C=FitConfig().strength, max_iter=1000, tol=1e-8)
    model.fit(inputs, helped, sample_weight=weights)
    return float(model.intercept_[0]), np.asarray(model.coef_[0], np.float64)


def _margins(rows: Rows, fitted: tuple[float, Array]) -> Array:
    """log(p / (1 - p)) of the right label, for each row."""
    import numpy as np

    base, weights = fitted
    return np.asarray((base + rows.inputs @ weights) * (2 * rows.helped - 1), np.float64)


def _scores(
    rows: Rows, masks: Any, margins: Array
) -> tuple[tuple[list[Scored], list[Scored]], tuple[list[Scored], list[Scored]]]:
    """Members and others of the heads attacked: by their margin, and by the likelihood ratio."""
    import numpy as np

    losses: tuple[list[Scored], list[Scored]] = ([], [])
    ratios: tuple[list[Scored], list[Scored]] = ([], [])
    for target in range(_TARGETS):
        others = np.arange(len(masks)) != target
        ratio = _likelihood_ratio(margins[target], margins[others], masks[others])
        for number, file in enumerate(rows.files):
            side = 0 if masks[target, number] else 1
            losses[side].append(Scored(file, float(margins[target, number])))
            ratios[side].append(Scored(file, float(ratio[number])))
    return losses, ratios


def _likelihood_ratio(found: Array, shadows: Array, masks: Any) -> Array:
    """By row, log N(found; in) - log N(found; out) of shadows with it and without it."""
    import numpy as np

    told = []
    for is_in in (True, False):
        held = np.where(masks == is_in, shadows, np.nan)
        mean, spread = np.nanmean(held, axis=0), np.nanstd(held, axis=0)
        spread = np.maximum(spread, _LEAST_SPREAD)
        told.append(-0.5 * ((found - mean) / spread) ** 2 - np.log(spread))
    return np.asarray(told[0] - told[1], np.float64)


def _white_box(rows: Rows, known: Rows | None, rng: Any) -> float:
    """The share of labels that are read right by somebody who knows all the others."""
    import numpy as np

    everything = np.ones(len(rows.helped), bool)
    base, weights = _fit(rows, known, everything)
    # As a head holds them.
    weights = np.array([float(f"{each:.9g}") for each in weights])
    own_weight = 1.0 if known is None else float(_OWN_WEIGHT)
    parts = [(rows, own_weight)] + ([] if known is None else [(known, 1.0)])
    total = np.zeros(rows.inputs.shape[1])
    for part, weight in parts:
        chances = 1 / (1 + np.exp(-(base + part.inputs @ weights)))
        total += weight * ((part.helped - chances) @ part.inputs)
    chances = 1 / (1 + np.exp(-(base + rows.inputs @ weights)))
    chosen = rng.choice(len(rows.helped), min(_READ, len(rows.helped)), replace=False)
    right = 0
    for at in chosen:
        without = total - own_weight * (rows.helped[at] - chances[at]) * rows.inputs[at]
        wanted = weights / FitConfig().strength - without
        misses = [
            float(np.linalg.norm(wanted - own_weight * (label - chances[at]) * rows.inputs[at]))
            for label in (0, 1)
        ]
        right += int(np.argmin(misses)) == int(rows.helped[at])
    return right / len(chosen)
