"""A head of one's own: label the repository's holes, adapt the shipped head, keep the better.

It begins where the last run ended; what is kept lies beside the index, never in the work tree.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codebuddy import heads
from codebuddy.training.head.adapt import (
    Adaptation,
    adapt,
    as_json,
    gain_thresholds,
    head_to_start_from,
)
from codebuddy.training.head.examples import read_folder
from codebuddy.training.head.fit import MIN_EXAMPLES
from codebuddy.training.head.labels import Labelling, OnProgress, label_holes


@dataclass(frozen=True, slots=True)
class Training:
    """What came of it; `adaptation` is None where there are too few holes yet.

    `is_exhausted` says that all holes which may be cut were labelled, so that more time gives
    no more of them.
    """

    n_holes: int
    n_missing: int
    is_exhausted: bool
    adaptation: Adaptation | None

    def as_json(self) -> dict[str, Any]:
        """The outcome in numbers."""
        compared: Mapping[str, Any] = as_json(self.adaptation) if self.adaptation else {}
        is_kept = self.adaptation is not None and self.adaptation.is_better
        return {
            "holes": self.n_holes,
            "missing": self.n_missing,
            "exhausted": self.is_exhausted,
            "kept": is_kept,
            **compared,
        }


def train_personal(
    labelling: Labelling, per_kind: int, minutes: float, on_progress: OnProgress | None = None
) -> Training:
    """Label up to `per_kind` holes of each kind within `minutes`, then adapt the shipped head.

    Raises:
        TrainingError: The repository has too little code, or there is no head to start from.
        CodebuddyError: The model or the index failed; what was labelled stays.
    """
    default = head_to_start_from()
    repository = labelling.repository
    deadline = time.monotonic() + 60 * minutes
    own = label_holes(
        labelling,
        heads.personal_labels_file(repository),
        per_kind,
        deadline=deadline,
        on_progress=on_progress,
    )
    is_exhausted = time.monotonic() < deadline
    if len(own) < MIN_EXAMPLES:
        return Training(len(own), MIN_EXAMPLES - len(own), is_exhausted, None)
    _, shared = read_folder(heads.default_labels_folder())
    thresholds = gain_thresholds([each.always.ms for each in own], [each.never.ms for each in own])
    adaptation = adapt(default, shared, own, thresholds)
    file = heads.personal_head_file(repository)
    if adaptation.is_better:
        name, settings = labelling.generator.name, labelling.settings
        trained_for = heads.trained_for(name, settings, labelling.adapter)
        content = adaptation.head_content(
            f"{repository.root.name}, {len(own)} holes", trained_for, default
        )
        heads.save_head(file, content)
    else:
        # One that fewer holes had spoken for.
        file.unlink(missing_ok=True)
    return Training(len(own), 0, is_exhausted, adaptation)
